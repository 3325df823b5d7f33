"""Launch config: what a user enters in the launchpad also applies to the retries of a deferred run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize
from tests.remote_run.reexecuting import reexecute
from tests.sensors.driving import Driver, completion, deferred, reported
from tests.sensors.test_changed_definitions import reported_states

pytestmark = pytest.mark.usefixtures("clock")
REBASED = {"ops": {"it": {"config": {"rebase_incremental": True}}}}
RETRY = dg.RetryPolicy(max_retries=1)


@pytest.fixture(autouse=True)
def failing_once(sandbox: Sandbox) -> None:
    sandbox.set_behavior(
        PROFILES.target, [Behavior(running_seconds=5, outcome="fail", error="no such column"), Behavior()]
    )


def start_bodies(sandbox: Sandbox) -> list[Any]:
    """Return the request bodies of the RudderStack starts."""
    return [run.body for run in sandbox.runs("rudderstack")]


def assert_retried_as_launched(driver: Driver, sandbox: Sandbox, clock: SandboxClock) -> None:
    driver.ticks(clock, 25)
    assert start_bodies(sandbox) == [{"parameters": ["--rebase_incremental"]}] * 2
    assert reported(driver.instance, "it") == [sandbox.runs("rudderstack")[1].id]


@pytest.mark.covers("defer.failure-launch-config")
def test_retry_starts_the_run_with_the_launch_config(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset, other = deferred(PROFILES, retry_policy=RETRY), deferred(TESTS, key="other")
    config = {"ops": {**REBASED["ops"], "other": {"config": {"match_schema_name": "staging"}}}}
    materialize([asset, other], sandbox, instance, run_config=config)
    assert_retried_as_launched(completion([asset, other], sandbox, instance), sandbox, clock)


@pytest.mark.parametrize("is_sensor_job", [True, False], ids=["retried by the job", "retried by the sensor's own job"])
def test_retry_of_a_job_with_config_starts_the_run_with_that_config(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, is_sensor_job: bool
) -> None:
    asset, other = deferred(PROFILES, retry_policy=RETRY), deferred(TESTS, key="other")
    config = {"ops": {**REBASED["ops"], "other": {"config": {"match_schema_name": "staging"}}}}
    job = dg.define_asset_job("rebasing", selection=[asset, other], config=config)
    jobs = [job] if is_sensor_job else []
    driver = completion([asset, other], sandbox, instance, jobs=jobs, more_jobs=[job])
    assert driver.job("rebasing").execute_in_process(instance=instance).success
    assert_retried_as_launched(driver, sandbox, clock)
    assert {run.dagster_run.job_name for run in driver.runs} == {
        "rebasing" if is_sensor_job else "remote_run_completion_ends"
    }


@pytest.mark.covers("defer.failure-launch-config")
def test_reexecution_after_a_timeout_attaches_with_the_launch_config(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=1000))
    asset = deferred(PROFILES, timeout=60)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    assert driver.job("nightly").execute_in_process(run_config=REBASED, instance=instance).success
    driver.ticks(clock, 9)
    [run] = driver.runs
    assert "did not finish within" in failure(run)
    assert reexecute(driver.job("nightly"), instance, run.run_id).success
    assert len(start_bodies(sandbox)) == 1


@pytest.mark.covers("defer.failure-deleted-run")
def test_retry_does_not_start_a_run_after_its_dagster_run_was_deleted(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """Its ledger entries and its config are deleted too: a step would find no start, and would start a new run."""
    asset = deferred(PROFILES, retry_policy=RETRY)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    launched = materialize([asset], sandbox, instance, run_config=REBASED)
    driver.tick()
    instance.delete_run(launched.run_id)
    driver.ticks(clock, 9)
    assert len(start_bodies(sandbox)) == 1
    assert not driver.runs
    assert reported_states(instance, "it") == ["FAILED"]


def test_retry_does_not_start_a_run_when_the_launch_config_is_no_longer_valid(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    materialize([deferred(PROFILES)], sandbox, instance, run_config=REBASED)
    driver = completion([deferred(TESTS)], sandbox, instance)
    driver.ticks(clock, 9)
    assert sandbox.starts(None) == 1
    assert not driver.runs
    assert reported_states(instance, "it") == ["UNKNOWN"]


def test_requested_retry_starts_nothing_when_the_dagster_run_is_deleted_meanwhile(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(PROFILES, retry_policy=RETRY)
    launched = materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(60)
    [request] = driver.evaluate().run_requests
    instance.delete_run(launched.run_id)
    driver.launch(request)
    assert "no longer has an entry for" in failure(driver.runs[0])
    assert len(start_bodies(sandbox)) == 1
