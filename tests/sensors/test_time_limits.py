"""A tick that comes to its reports late: it reports one run of each kind, and the next ones do the rest."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import Driver, Lost, completion, deferred, reported
from tests.sensors.test_changed_definitions import told
from tests.sensors.test_follow_ups import after_it, jobs_run

SHOPS = ["berlin", "graz", "wien"]
HOUR = 3600.0


@pytest.fixture(autouse=True)
def late(clock: SandboxClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is, though there is all time for reading and for looks."""
    monkeypatch.setattr(limits, "TICK_REPORT_UNTIL", 0.0)


def ended(asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    """A run for each shop, none of them going any more."""
    for shop in SHOPS:
        materialize([asset], sandbox, instance, partition_key=shop)
        clock.sleep(60)  # else the next start would meet a run that is going


def told_by_a_lost_tick(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> dg.AssetsDefinition:
    """All of an asset's runs are reported, by a tick that has time; but nothing that follows was requested."""
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    ended(asset, sandbox, instance, clock)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "TICK_REPORT_UNTIL", 60.0)
        with pytest.raises(Lost):
            completion([asset], sandbox, instance, job=after_it).tick(lost_after=100)
    return asset


def one_a_tick(driver: Driver) -> list[int]:
    """How many runs each of some ticks requested."""
    return [len(driver.tick().run_requests or []) for _ in range(4)]


def test_one_success_is_reported(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    ended(asset, sandbox, instance, clock)
    driver = completion([asset], sandbox, instance)
    seen = []
    for _ in range(4):
        driver.tick()
        seen.append(len(reported(instance, "it")))
    assert seen == [1, 2, 3, 3]


def test_a_step_is_requested_for_one_failure(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    asset = deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    ended(asset, sandbox, instance, clock)
    driver = completion([asset], sandbox, instance)
    assert one_a_tick(driver) == [1, 1, 1, 0]
    assert {run.dagster_run.tags["dagster/partition"] for run in driver.runs} == set(SHOPS)


def test_one_failure_is_told_that_can_have_no_step(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    ended(deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(SHOPS)), sandbox, instance, clock)
    driver = completion([deferred(PROFILES)], sandbox, instance)
    seen = []
    for _ in range(4):
        driver.tick()
        seen.append(len(told(instance, "it")))
    assert seen == [1, 2, 3, 3]
    assert not driver.runs


def test_what_follows_after_a_lost_tick_is_requested_for_one(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = told_by_a_lost_tick(sandbox, instance, clock)
    assert len(reported(instance, "it")) == len(SHOPS)
    driver = completion([asset], sandbox, instance, job=after_it)
    assert one_a_tick(driver) == [1, 1, 1, 0]
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")] * len(SHOPS)
    assert len(reported(instance, "it")) == len(SHOPS)


def test_a_new_code_server_goes_on_with_what_follows_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = told_by_a_lost_tick(sandbox, instance, clock)
    monkeypatch.setattr(limits, "REREAD_BY_TIMESTAMP", -HOUR)  # as if it were long ago
    driver = completion([asset], sandbox, instance, job=after_it)
    for _ in SHOPS:
        driver.tick()
        driver.sensor = build_completion_sensor([asset], job=after_it)
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")] * len(SHOPS)


def test_how_long_earlier_runs_took_is_read_by_a_tick_that_has_time(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = deferred(TESTS)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=1000))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    read: list[dg.AssetKey] = []

    def watched(wanted: object, *args: object, **options: object) -> dg.EventRecordsResult:
        read.extend([wanted] if isinstance(wanted, dg.AssetKey) else [])
        return fetch(wanted, *args, **options)  # type: ignore[arg-type]

    fetch = instance.fetch_materializations
    monkeypatch.setattr(instance, "fetch_materializations", watched)
    with monkeypatch.context() as patched:
        patched.setattr(limits, "TICK_SCHEDULES_UNTIL", 0.0)
        driver.tick()
    assert sandbox.requests("testgen")[-1].method == "GET", "it is looked at all the same"
    assert read == []
    driver.ticks(clock, 2)
    assert read == [dg.AssetKey("it")]
