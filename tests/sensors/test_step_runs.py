"""Runs that steps of backfills wait for: counted, and named if nothing waits for them anymore."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, materialize
from tests.sensors.driving import completion, deferred, materializations

pytestmark = pytest.mark.usefixtures("clock")
BACKFILL = {"dagster/backfill": "abcdefgh"}


@pytest.mark.covers("defer.backfill")
def test_step_of_a_backfill_waits_for_its_run_and_reports_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    assert materialize([asset], sandbox, instance, tags=BACKFILL).success
    [record] = materializations(instance, "it")
    assert record.run_id
    completion([asset], sandbox, instance).ticks(clock, 10)
    assert len(materializations(instance, "it")) == 1


def test_step_of_a_backfill_ends_at_once_if_the_user_wants_that(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    assert materialize([deferred(TESTS, backfill_wait="defer")], sandbox, instance, tags=BACKFILL).success
    assert not materializations(instance, "it")


def test_failed_step_of_a_backfill_is_reported_by_itself_alone(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    asset = deferred(TESTS)
    assert not materialize([asset], sandbox, instance, tags=BACKFILL).success
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 20)
    assert not driver.runs
    assert entries(instance, "it").count("ended") == 1


@pytest.mark.covers("defer.orphan")
def test_orphan_is_named(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=7200))
    asset = deferred(TESTS, timeout=60)
    assert not materialize([asset], sandbox, instance, tags=BACKFILL).success
    driver = completion([asset], sandbox, instance)
    with pytest.MonkeyPatch.context() as patched:
        logged: list[str] = []
        patched.setattr(
            "dagster_runs.sensors.completion.step_runs.StepRuns._warn", lambda *args: logged.append(args[3])
        )
        driver.tick()
    assert f"run {sandbox.runs()[0].id} is an orphan" in logged[0]


def test_uncertain_start_is_named_and_counts_until_its_timeout(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(PROFILES, max_in_flight=1, timeout=3600, on_in_flight="start")
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    driver.ticks(clock, 3)
    materialize([asset], sandbox, instance)
    driver.ticks(clock, 3)
    assert "1 queued" in str(driver.skipped[-1])
    clock.sleep(3600)
    driver.ticks(clock, 3)
    assert sandbox.starts(None) == 2


@pytest.mark.covers("defer.queue-sensor-off")
def test_step_that_queues_says_if_the_completion_sensor_is_off(
    sandbox: Sandbox, clock: SandboxClock, tmp_path: Path
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=7200))
    asset = deferred(TESTS)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def logged() -> str:
            run_id = materialize([asset], sandbox, instance).run_id
            return "\n".join(entry.user_message for entry in instance.all_logs(run_id))

        first = logged()
        assert "The request will not start" not in first  # it is not queued
        assert "nothing will report how it ends: this code location has no completion sensor" in first
        assert "this code location has no completion sensor for the asset" in logged()
        completion([asset], sandbox, instance)
        assert "the completion sensor remote_run_completion is off" in logged()
