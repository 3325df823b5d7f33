"""Each end is told once, whatever becomes of ticks, of the daemon and of the code server."""

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
from tests.sensors.driving import Driver, Lost, completion, deferred, evaluations, reported

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("stored", [0, 2, 4])
@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
@pytest.mark.covers("defer.killed-during-tick")
def test_a_tick_that_gets_lost_after_some_of_its_events_is_made_up_for(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int, same_process: bool
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    clock.sleep(120)
    with pytest.raises(Lost):
        driver.tick(lost_after=stored)  # three checks, then the materialization
    if not same_process:
        driver.sensor = build_completion_sensor([asset])
    driver.ticks(clock, 4)
    assert reported(instance, "it") == [sandbox.runs()[0].id]
    assert set(evaluations(instance, "it")) == {"run_status", "tests_passed", "quality_score"}


def test_a_tick_whose_result_never_arrives_changes_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(120)
    for _ in range(3):
        assert driver.evaluate().asset_events  # and the daemon was killed, or had waited too long
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1


def test_half_reported_assets_of_one_run_are_completed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    partitions = dg.DailyPartitionsDefinition(start_date="2026-11-01")
    asset = deferred(PROFILES, partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    tags = {"dagster/asset_partition_range_start": "2026-11-02", "dagster/asset_partition_range_end": "2026-11-04"}
    materialize([asset], sandbox, instance, tags=tags)
    driver = completion([asset], sandbox, instance)
    clock.sleep(300)
    with pytest.raises(Lost):
        driver.tick(lost_after=3)  # run_status, and two of three partitions
    driver.ticks(clock, 3)
    found = instance.fetch_materializations(dg.AssetKey("it"), limit=100, ascending=True).records
    assert [record.partition_key for record in found] == ["2026-11-02", "2026-11-03", "2026-11-04"]


@pytest.mark.covers("defer.new-code-server")
def test_a_new_code_server_knows_what_is_going(
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


def test_a_new_code_server_asks_the_vendor_nothing_about_what_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 9)
    asked = len(sandbox.requests())
    driver.sensor, driver.cursor = build_completion_sensor([asset]), None
    driver.ticks(clock, 3)
    assert len(sandbox.requests()) == asked
    assert len(reported(instance, "it")) == 1


@pytest.mark.covers("defer.killed-during-tick")
def test_a_failure_whose_run_was_requested_by_a_lost_tick_is_told_once(
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
def test_what_was_deferred_while_the_sensor_was_off_is_found(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    for _ in range(3):
        materialize([asset], sandbox, instance)
        clock.sleep(3600)
    completion([asset], sandbox, instance).ticks(clock, 4)  # one after the other, as they fill the same asset
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())


@pytest.mark.covers("defer.step-dies")
def test_a_step_killed_right_after_its_start_loses_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """The entry of the start is all that the sensor needs: whether the step ended well does not matter to it."""
    asset = deferred(TESTS, on_uncertain_start="start_again")
    result = materialize([asset], sandbox, instance)
    instance.report_run_failed(instance.get_run_by_id(result.run_id))
    completion([asset], sandbox, instance).ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_two_ticks_at_once_are_one(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    seen: list[str | None] = []

    class Meanwhile(Driver):
        pass

    original = type(clock).monotonic

    def another(self: SandboxClock) -> float:
        type(clock).monotonic = original  # type: ignore[method-assign]
        seen.append(driver.evaluate().skip_message)
        return original(self)

    type(clock).monotonic = another  # type: ignore[method-assign]
    try:
        driver.tick()
    finally:
        type(clock).monotonic = original  # type: ignore[method-assign]
    assert seen == ["The last tick of this sensor is still running"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '{"token": 1}', '{"read_from": "x"}'])
def test_a_cursor_that_is_none_of_ours_begins_anew(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, cursor: str
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.cursor = cursor
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_an_entry_that_becomes_visible_late_is_not_lost_with_the_code_server(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where several processes write, one with a smaller id may be stored after one with a larger id."""
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=100))
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    late = materialize([asset], sandbox, instance).run_id
    materialize([asset], sandbox, instance)
    fetch = instance.fetch_observations

    def without_it(*args: Any, **options: Any) -> dg.EventRecordsResult:
        page = fetch(*args, **options)
        return page._replace(records=[record for record in page.records if record.run_id != late])

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_observations", without_it)
        clock.sleep(61)
        driver.tick()
    driver.sensor = build_completion_sensor([asset])
    clock.sleep(100)
    driver.ticks(clock, 2)
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())


def test_what_was_reported_before_an_attempt_attached_is_not_reported_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """A re-execution looks whether the run was reported; then it is; and then the attempt notes that it attaches."""
    asset = deferred(TESTS)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    driver.tick()
    first = execute(driver.job("nightly"), instance)
    clock.sleep(120)
    looked: list[bool] = []

    def not_yet(ledger: Ledger, run_id: str) -> bool:
        driver.tick()
        looked.append(True)
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ledger, "was_reported_before", not_yet)
        assert reexecute(driver.job("nightly"), instance, first.run_id).success
    assert looked
    driver.ticks(clock, 4)
    assert len(reported(instance, "it")) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["and", "and the next tick fails"])
def test_a_cursor_that_a_person_kept_from_trying_the_sensor_out_loses_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    materialize([asset], sandbox, instance)
    clock.sleep(120)
    tried = driver.evaluate()
    assert tried.asset_events
    driver.cursor = tried.cursor
    if fails:
        with monkeypatch.context() as patched:
            patched.setattr(instance, "fetch_materializations", away)
            with pytest.raises(ConnectionError):
                driver.tick()
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1


def away(*args: Any, **options: Any) -> Any:
    """A storage that cannot be reached."""
    raise ConnectionError
