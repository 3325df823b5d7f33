"""A tick that has little time left for reports: it reports one run of each kind, and later ticks report the others."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import DaemonKilled, Driver, completion, deferred, reported
from tests.sensors.test_changed_definitions import reported_states
from tests.sensors.test_follow_ups import after_it, jobs_run

SHOPS = ["berlin", "graz", "wien"]
HOUR = 3600.0


@pytest.fixture(autouse=True)
def late_ticks(clock: SandboxClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ticks are too late for reports, but have time for reading and polling."""
    monkeypatch.setattr(limits, "TICK_REPORT_SHARE", 0.0)


def finish_runs(
    asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """Start a run for each shop, and wait until all have finished."""
    for shop in SHOPS:
        materialize([asset], sandbox, instance, partition_key=shop)
        clock.sleep(60)  # otherwise the next start would find an active run


def reported_by_a_lost_tick(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> dg.AssetsDefinition:
    """Report all runs of an asset in one tick that has time, but is lost before it requests the follow-ups."""
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    finish_runs(asset, sandbox, instance, clock)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "TICK_REPORT_SHARE", 2.5)
        with pytest.raises(DaemonKilled):
            completion([asset], sandbox, instance, job=after_it).tick(lost_after=100)
    return asset


def requests_of_each_tick(driver: Driver) -> list[int]:
    """Return the number of run requests of each of four ticks."""
    return [len(driver.tick().run_requests or []) for _ in range(4)]


def test_late_tick_reports_one_success(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    finish_runs(asset, sandbox, instance, clock)
    driver = completion([asset], sandbox, instance)
    reported_counts = []
    for _ in range(4):
        driver.tick()
        reported_counts.append(len(reported(instance, "it")))
    assert reported_counts == [1, 2, 3, 3]


def test_late_tick_requests_a_dagster_run_for_one_failure(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    asset = deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(SHOPS))
    finish_runs(asset, sandbox, instance, clock)
    driver = completion([asset], sandbox, instance)
    assert requests_of_each_tick(driver) == [1, 1, 1, 0]
    assert {run.dagster_run.tags["dagster/partition"] for run in driver.runs} == set(SHOPS)


def test_late_tick_reports_one_failure_without_a_dagster_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    finish_runs(deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(SHOPS)), sandbox, instance, clock)
    driver = completion([deferred(PROFILES)], sandbox, instance)
    reported_counts = []
    for _ in range(4):
        driver.tick()
        reported_counts.append(len(reported_states(instance, "it")))
    assert reported_counts == [1, 2, 3, 3]
    assert not driver.runs


def test_late_tick_requests_one_follow_up_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = reported_by_a_lost_tick(sandbox, instance, clock)
    assert len(reported(instance, "it")) == len(SHOPS)
    driver = completion([asset], sandbox, instance, job=after_it)
    assert requests_of_each_tick(driver) == [1, 1, 1, 0]
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")] * len(SHOPS)
    assert len(reported(instance, "it")) == len(SHOPS)


def test_new_code_server_continues_with_the_follow_ups_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = reported_by_a_lost_tick(sandbox, instance, clock)
    monkeypatch.setattr(limits, "REREAD_BY_TIMESTAMP", -HOUR)  # as if the reports were old
    driver = completion([asset], sandbox, instance, job=after_it)
    for _ in SHOPS:
        driver.tick()
        driver.sensor = build_completion_sensor([asset], job=after_it)
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")] * len(SHOPS)


def test_durations_of_earlier_runs_are_read_only_by_a_tick_that_has_time(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = deferred(TESTS)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=1000))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    read: list[dg.AssetKey] = []

    def recording_fetch(records_filter: object, *args: object, **options: object) -> dg.EventRecordsResult:
        read.extend([records_filter] if isinstance(records_filter, dg.AssetKey) else [])
        return fetch(records_filter, *args, **options)  # type: ignore[arg-type]

    fetch = instance.fetch_materializations
    monkeypatch.setattr(instance, "fetch_materializations", recording_fetch)
    with monkeypatch.context() as patched:
        patched.setattr(limits, "TICK_SCHEDULES_SHARE", 0.0)
        driver.tick()
    assert sandbox.requests("testgen")[-1].method == "GET", "the run is still polled"
    assert read == []
    driver.ticks(clock, 2)
    assert read == [dg.AssetKey("it")]
