"""Dagster runs that were requested to report an outcome, and that are superseded before they start."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize
from tests.remote_run.reexecuting import execute, reexecute
from tests.sensors.driving import completion, deferred, reported
from tests.sensors.test_cancellation import cancel

pytestmark = pytest.mark.usefixtures("clock")


def test_requested_retry_does_not_start_a_run_after_the_cancel_job_canceled_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="cancel"))
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=3))
    materialize([asset], sandbox, instance)
    clock.sleep(120)
    driver = completion([asset], sandbox, instance)
    [request] = driver.evaluate().run_requests  # the sensor finds the outcome before the job does
    assert cancel(asset, sandbox, instance, asset="it").success
    driver.launch(request)
    assert sandbox.starts(None) == 1
    assert [run.success for run in driver.runs] == [True]
    assert entries(instance, "it") == ["starting", "started", "cancel_requested", "ended"]


def test_requested_retry_does_not_start_a_run_after_a_reexecution_replaced_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(running_seconds=5, outcome="fail"), Behavior()])
    asset = deferred(PROFILES)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    first = execute(driver.job("nightly"), instance)
    clock.sleep(30)
    [request] = driver.evaluate().run_requests
    assert reexecute(driver.job("nightly"), instance, first.run_id).success
    driver.launch(request)
    assert sandbox.starts(None) == 2
    assert [run.success for run in driver.runs] == [True]


def test_requested_timeout_report_is_dropped_after_the_sensor_reported_the_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=150))
    asset = deferred(TESTS, timeout=100)
    materialize([asset], sandbox, instance)
    clock.sleep(110)
    [request] = completion([asset], sandbox, instance).evaluate().run_requests
    clock.sleep(60)
    driver = completion([asset], sandbox, instance)  # a new code server, while that run is queued
    driver.tick()
    assert len(reported(instance, "it")) == 1
    driver.launch(request)
    assert [run.success for run in driver.runs] == [True]
    assert len(reported(instance, "it")) == 1


@pytest.mark.parametrize("first_poll", ["before", "after"])
def test_run_canceled_after_the_cancel_job_gave_up_is_not_reported_or_retried(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, first_poll: str
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600))
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=3))
    driver = completion([asset], sandbox, instance)
    driver.tick()
    materialize([asset], sandbox, instance)
    if first_poll == "before":
        driver.tick()
    sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=503, times=10_000))
    assert "did not confirm" in failure(cancel(asset, sandbox, instance, asset="it"))
    sandbox.clear_faults()
    clock.sleep(60)
    assert [run.state for run in sandbox.runs()] == ["canceled"]
    driver.ticks(clock, 4)
    assert not driver.runs
    assert sandbox.starts(None) == 1
    assert "No deferred run is in flight" in str(driver.skipped[-1])
    assert completion([asset], sandbox, instance).tick().run_requests == []
