"""Each run is reported exactly once, even if ticks, the daemon or the code server are interrupted."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor
from dagster_runs.remote_run.execution.ledger import Ledger
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, materialize
from tests.remote_run.reexecuting import execute, reexecute
from tests.sensors.driving import DaemonKilled, Driver, completion, deferred, evaluations, reported

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("stored", [0, 2, 4])
@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
@pytest.mark.covers("defer.killed-during-tick")
def test_next_tick_completes_the_events_of_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int, same_process: bool
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    clock.sleep(120)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=stored)  # three checks, then the materialization
    if not same_process:
        driver.sensor = build_completion_sensor([asset])
    driver.ticks(clock, 4)
    assert reported(instance, "it") == [sandbox.runs()[0].id]
    assert set(evaluations(instance, "it")) == {"run_status", "tests_passed", "quality_score"}


def test_tick_whose_result_is_never_stored_changes_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(120)
    for _ in range(3):
        assert driver.evaluate().asset_events  # and then the daemon was killed, or its wait timed out
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1


def test_partially_reported_partitions_of_one_run_are_completed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    partitions = dg.DailyPartitionsDefinition(start_date="2026-11-01")
    asset = deferred(PROFILES, partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    tags = {"dagster/asset_partition_range_start": "2026-11-02", "dagster/asset_partition_range_end": "2026-11-04"}
    materialize([asset], sandbox, instance, tags=tags)
    driver = completion([asset], sandbox, instance)
    clock.sleep(300)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=3)  # run_status, and two of three partitions
    driver.ticks(clock, 3)
    found = instance.fetch_materializations(dg.AssetKey("it"), limit=100, ascending=True).records
    assert [record.partition_key for record in found] == ["2026-11-02", "2026-11-03", "2026-11-04"]


@pytest.mark.covers("defer.new-code-server")
def test_new_code_server_finds_the_active_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=300))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 10)
    driver.sensor = build_completion_sensor([asset])
    driver.tick()
    assert "1 in flight" in str(driver.skipped[-1])
    driver.ticks(clock, 30)
    assert len(reported(instance, "it")) == 1


def test_new_code_server_does_not_poll_runs_that_were_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 9)
    requests_before = len(sandbox.requests())
    driver.sensor, driver.cursor = build_completion_sensor([asset]), None
    driver.ticks(clock, 3)
    assert len(sandbox.requests()) == requests_before
    assert len(reported(instance, "it")) == 1


@pytest.mark.covers("defer.killed-during-tick")
def test_failure_requested_by_a_lost_tick_is_reported_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(300)
    [request] = driver.evaluate().run_requests
    driver.launch(request)  # and then the daemon was killed
    driver.sensor = build_completion_sensor([asset])
    driver.ticks(clock, 4)
    assert len(driver.runs) == 1
    assert entries(instance, "it").count("ended") == 1


@pytest.mark.covers("defer.sensor-off")
def test_runs_deferred_while_the_sensor_was_off_are_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    for _ in range(3):
        materialize([asset], sandbox, instance)
        clock.sleep(3600)
    completion([asset], sandbox, instance).ticks(clock, 4)  # one after the other, as they are of the same asset
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())


@pytest.mark.covers("defer.step-dies")
def test_run_is_reported_when_its_step_was_killed_right_after_the_start(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """The sensor needs only the ledger entry of the start, no matter whether the step succeeded."""
    asset = deferred(TESTS, on_uncertain_start="start_again")
    result = materialize([asset], sandbox, instance)
    instance.report_run_failed(instance.get_run_by_id(result.run_id))
    completion([asset], sandbox, instance).ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_concurrent_tick_is_skipped(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    skip_messages: list[str | None] = []

    class Meanwhile(Driver):
        pass

    original = type(clock).monotonic

    def tick_meanwhile(self: SandboxClock) -> float:
        type(clock).monotonic = original  # type: ignore[method-assign]
        skip_messages.append(driver.evaluate().skip_message)
        return original(self)

    type(clock).monotonic = tick_meanwhile  # type: ignore[method-assign]
    try:
        driver.tick()
    finally:
        type(clock).monotonic = original  # type: ignore[method-assign]
    assert skip_messages == ["The last tick of this sensor is still running"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '{"token": 1}', '{"read_from": "x"}'])
def test_runs_are_reported_when_the_cursor_is_invalid(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, cursor: str
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.cursor = cursor
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_entry_that_becomes_visible_late_is_found_by_a_new_code_server(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When several processes write, an entry with a smaller id may be stored after an entry with a larger id."""
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=100))
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    late_run_id = materialize([asset], sandbox, instance).run_id
    materialize([asset], sandbox, instance)
    fetch = instance.fetch_observations

    def without_the_late_run(*args: Any, **options: Any) -> dg.EventRecordsResult:
        page = fetch(*args, **options)
        return page._replace(records=[record for record in page.records if record.run_id != late_run_id])

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_observations", without_the_late_run)
        clock.sleep(61)
        driver.tick()
    driver.sensor = build_completion_sensor([asset])
    clock.sleep(100)
    driver.ticks(clock, 2)
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())


def test_run_reported_just_before_an_attempt_attaches_is_not_reported_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """A re-execution checks whether the run was reported. Then the sensor reports it, and then the attempt attaches."""
    asset = deferred(TESTS)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    driver.tick()
    first = execute(driver.job("nightly"), instance)
    clock.sleep(120)
    checks: list[bool] = []

    def not_yet(ledger: Ledger, run_id: str) -> bool:
        driver.tick()
        checks.append(True)
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ledger, "was_reported_before", not_yet)
        assert reexecute(driver.job("nightly"), instance, first.run_id).success
    assert checks
    driver.ticks(clock, 4)
    assert len(reported(instance, "it")) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["the next tick succeeds", "the next tick fails"])
def test_run_is_reported_after_a_user_keeps_the_cursor_of_a_test_evaluation(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    materialize([asset], sandbox, instance)
    clock.sleep(120)
    previewed = driver.evaluate()
    assert previewed.asset_events
    driver.cursor = previewed.cursor
    if fails:
        with monkeypatch.context() as patched:
            patched.setattr(instance, "fetch_materializations", raise_connection_error)
            with pytest.raises(ConnectionError):
                driver.tick()
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1


def raise_connection_error(*args: Any, **options: Any) -> Any:
    """Fail as a storage does that cannot be reached."""
    raise ConnectionError
