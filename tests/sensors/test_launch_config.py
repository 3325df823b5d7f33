"""A launch of its own: what a person wrote into the launchpad holds for the retries of a deferred run too."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize
from tests.remote_run.reexecuting import reexecute
from tests.sensors.driving import Driver, completion, deferred, reported
from tests.sensors.test_changed_definitions import told

pytestmark = pytest.mark.usefixtures("clock")
REBASED = {"ops": {"it": {"config": {"rebase_incremental": True}}}}
RETRY = dg.RetryPolicy(max_retries=1)


@pytest.fixture(autouse=True)
def failing_once(sandbox: Sandbox) -> None:
    sandbox.set_behavior(
        PROFILES.target, [Behavior(running_seconds=5, outcome="fail", error="no such column"), Behavior()]
    )


def starts(sandbox: Sandbox) -> list[Any]:
    """What each start of a project's run asked for."""
    return [run.body for run in sandbox.runs("rudderstack")]


def is_tried_again_as_launched(driver: Driver, sandbox: Sandbox, clock: SandboxClock) -> None:
    driver.ticks(clock, 25)
    assert starts(sandbox) == [{"parameters": ["--rebase_incremental"]}] * 2
    assert reported(driver.instance, "it") == [sandbox.runs("rudderstack")[1].id]


@pytest.mark.covers("defer.failure-launch-config")
def test_a_retry_starts_what_was_launched(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset, other = deferred(PROFILES, retry_policy=RETRY), deferred(TESTS, key="other")
    config = {"ops": {**REBASED["ops"], "other": {"config": {"match_schema_name": "staging"}}}}
    materialize([asset, other], sandbox, instance, run_config=config)
    is_tried_again_as_launched(completion([asset, other], sandbox, instance), sandbox, clock)


@pytest.mark.parametrize("may_be_requested", [True, False], ids=["of the job", "of the sensor's own"])
def test_a_retry_of_a_job_with_config_starts_what_the_job_says(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, may_be_requested: bool
) -> None:
    asset, other = deferred(PROFILES, retry_policy=RETRY), deferred(TESTS, key="other")
    config = {"ops": {**REBASED["ops"], "other": {"config": {"match_schema_name": "staging"}}}}
    job = dg.define_asset_job("rebasing", selection=[asset, other], config=config)
    jobs = [job] if may_be_requested else []
    driver = completion([asset, other], sandbox, instance, jobs=jobs, more_jobs=[job])
    assert driver.job("rebasing").execute_in_process(instance=instance).success
    is_tried_again_as_launched(driver, sandbox, clock)
    assert {run.dagster_run.job_name for run in driver.runs} == {
        "rebasing" if may_be_requested else "remote_run_completion_ends"
    }


@pytest.mark.covers("defer.failure-launch-config")
def test_a_run_that_was_left_is_attached_to_as_it_was_launched(
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
    assert len(starts(sandbox)) == 1


@pytest.mark.covers("defer.failure-deleted-run")
def test_nothing_is_started_for_a_dagster_run_that_was_deleted(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """With it went its entries in the ledger and its config: a step would take the end for a start that is due."""
    asset = deferred(PROFILES, retry_policy=RETRY)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    launched = materialize([asset], sandbox, instance, run_config=REBASED)
    driver.tick()
    instance.delete_run(launched.run_id)
    driver.ticks(clock, 9)
    assert len(starts(sandbox)) == 1
    assert not driver.runs
    assert told(instance, "it") == ["FAILED"]


def test_nothing_is_started_where_the_config_does_not_fit_any_more(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    materialize([deferred(PROFILES)], sandbox, instance, run_config=REBASED)
    driver = completion([deferred(TESTS)], sandbox, instance)
    driver.ticks(clock, 9)
    assert sandbox.starts(None) == 1
    assert not driver.runs
    assert told(instance, "it") == ["UNKNOWN"]


def test_a_launch_that_is_deleted_after_the_request_starts_nothing(
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
    assert len(starts(sandbox)) == 1
