"""A sensor and a cancel job for several vendors, one of which cannot be used."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    TestGenResource,
    build_cancel_job,
    build_completion_sensor,
    build_observation_sensor,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import Driver, deferred, observing, reported

pytestmark = pytest.mark.usefixtures("clock")
UNSET = "DAGSTER_RUNS_TESTS_VARIABLE_THAT_IS_UNSET"


def unset_testgen(sandbox: Sandbox) -> TestGenResource:
    return TestGenResource(
        access_token=dg.EnvVar(UNSET), base_url=f"{sandbox.url}/testgen", project_code=well_known.TESTGEN_PROJECT
    )


def both(sandbox: Sandbox, instance: dg.DagsterInstance, **resources: Any) -> tuple[Driver, list[dg.AssetsDefinition]]:
    assets = [deferred(PROFILES, "features"), deferred(TESTS, "quality")]
    for asset in assets:
        materialize([asset], sandbox, instance)
    driver = Driver(build_completion_sensor(assets), assets, sandbox, instance, resources=resources)
    return driver, assets


def daemon_ticks(driver: Driver, clock: SandboxClock, count: int) -> list[str]:
    """Run ticks as `Driver.ticks` does, and return the messages of the failed ones."""
    messages = []
    for _ in range(count):
        try:
            driver.tick()
        except Exception as error:
            messages.append(str(error))
        clock.sleep(10)
    return messages


@pytest.mark.fixes("6.13")
@pytest.mark.covers("defer.one-vendor-fails")
def test_unset_variable_of_one_vendor_does_not_delay_other_vendors(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, _ = both(sandbox, instance, testgen=unset_testgen(sandbox))
    failed = daemon_ticks(driver, clock, 12)
    assert len(reported(instance, "features")) == 1
    assert reported(instance, "quality") == []
    assert failed  # a tick that has nothing to report fails
    assert all("'testgen'" in message and UNSET in message for message in failed)
    assert any(UNSET in str(skipped) for skipped in driver.skipped)
    monkeypatch.setenv(UNSET, well_known.TESTGEN_TOKEN)
    daemon_ticks(driver, clock, 12)
    assert len(reported(instance, "quality")) == 1
    assert sandbox.starts(None) == 2


@pytest.mark.fixes("6.13")
@pytest.mark.covers("defer.one-vendor-fails")
def test_lasting_401_of_one_vendor_fails_idle_ticks_and_delays_no_reports(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    for run in (PROFILES, TESTS):
        sandbox.set_behavior(run.target, Behavior(running_seconds=400))
    driver, _ = both(sandbox, instance)
    sandbox.add_fault(Fault("status", method="GET", path="/testgen/", status=401))
    assert not daemon_ticks(driver, clock, 5)  # the problem may be temporary
    failed = daemon_ticks(driver, clock, 30)
    assert len(failed) >= 15
    assert all("testgen" in message and "401" in message for message in failed)
    daemon_ticks(driver, clock, 12)
    assert len(reported(instance, "features")) == 1
    sandbox.clear_faults()
    daemon_ticks(driver, clock, 6)
    assert len(reported(instance, "quality")) == 1
    assert not daemon_ticks(driver, clock, 3)


@pytest.mark.covers("defer.one-vendor-fails-busy")
def test_busy_sensor_fails_a_tick_every_five_minutes_during_a_lasting_problem() -> None:
    from dagster_runs.sensors.outages import Alarm, LastingProblem
    from dagster_runs.transport.clock import current_clock

    alarm, failed = Alarm(), []
    clock = current_clock()
    started_at = clock.wall()
    for _ in range(100):
        try:
            alarm.check_before_reporting(["testgen is refused"])
            alarm.check_after_reporting(["testgen is refused"], is_idle=False)
        except LastingProblem:
            failed.append(clock.wall() - started_at)
        clock.sleep(10)
    assert [round(seconds) for seconds in failed] == [300, 600, 900]


def test_infrequent_ticks_do_not_all_fail_during_a_lasting_problem() -> None:
    from dagster_runs.sensors.outages import Alarm, LastingProblem
    from dagster_runs.transport.clock import current_clock

    alarm, results = Alarm(), []
    for _ in range(6):
        current_clock().sleep(900)
        try:
            alarm.check_before_reporting(["testgen is refused"])
            alarm.check_after_reporting(["testgen is refused"], is_idle=True)
            results.append("stored")
        except LastingProblem:
            results.append("failed")
    assert results.count("stored") >= 2
    assert results.count("failed") >= 3


@pytest.mark.fixes("6.13")
@pytest.mark.covers("defer.one-vendor-fails-elsewhere")
def test_observation_of_other_vendors_continues_when_one_has_an_unset_variable(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS, workflow_name="Couriers")
    assets = [deferred(run, "couriers"), deferred(TESTS, "quality")]
    amperity = AmperityResource(
        tenant=well_known.AMPERITY_TENANT, access_token=dg.EnvVar(UNSET), base_url=f"{sandbox.url}/amperity"
    )
    driver = Driver(build_observation_sensor(assets), assets, sandbox, instance, resources={"amperity": amperity})
    failed = daemon_ticks(driver, clock, 1)
    run_started = sandbox.start_run(TESTS.target)
    for _ in range(10):
        failed += daemon_ticks(driver, clock, 1)
        clock.sleep(50)
    assert reported(instance, "quality") == [run_started.id]
    assert failed
    assert all(UNSET in message for message in failed)


@pytest.mark.fixes("6.13")
@pytest.mark.covers("defer.one-vendor-fails-elsewhere")
def test_lasting_401_fails_idle_ticks_of_the_observation_sensor(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    sandbox.add_fault(Fault("status", method="GET", path="/testgen/", status=401))
    failed = []
    for _ in range(10):
        failed += daemon_ticks(driver, clock, 1)
        clock.sleep(50)
    assert len(failed) >= 4
    assert all("401" in message for message in failed)
    sandbox.clear_faults()
    run = sandbox.start_run(TESTS.target)
    for _ in range(4):
        assert not daemon_ticks(driver, clock, 1)
        clock.sleep(50)
    assert reported(instance, "it") == [run.id]


@pytest.mark.fixes("6.13")
@pytest.mark.covers("defer.one-vendor-fails-elsewhere")
def test_cancel_job_needs_only_the_resource_of_the_asset(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    for run in (PROFILES, TESTS):
        sandbox.set_behavior(run.target, Behavior(running_seconds=4000))
    _, assets = both(sandbox, instance)
    result = build_cancel_job(assets).execute_in_process(
        run_config={"ops": {"cancel_remote_runs_op": {"config": {"asset": "quality"}}}},
        resources={"testgen": sandbox_resources(sandbox.url)["testgen"]},
        instance=instance,
        raise_on_error=False,
    )
    assert result.success
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


def test_cancel_job_error_names_the_missing_resource(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=4000))
    _, assets = both(sandbox, instance)
    result = build_cancel_job(assets).execute_in_process(
        run_config={"ops": {"cancel_remote_runs_op": {"config": {"asset": "quality"}}}},
        instance=instance,
        raise_on_error=False,
    )
    [event] = [event for event in result.all_events if event.is_step_failure]
    assert "'testgen' cannot be used: it is not defined" in str(event.step_failure_data)
