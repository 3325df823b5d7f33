"""Deferred runs that fail or are canceled: a Dagster run of the asset reports the failure, and fails."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, checks, entries, failure, materialize
from tests.remote_run.reexecuting import execute, reexecute
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.covers("defer.failure")
def test_failure_is_reported_by_a_failed_dagster_run_with_the_vendor_error(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="warehouse auth failed"))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance, tags={"team": "growth"})
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    [run] = driver.runs
    assert not run.success
    assert "warehouse auth failed" in failure(run)
    assert not checks(run)["run_status"].passed
    assert instance.get_run_by_id(run.run_id).tags["team"] == "growth"
    assert sandbox.starts(None) == 1
    assert entries(instance, "it") == ["starting", "started", "ended"]


def test_failure_of_a_partition_is_reported_for_that_partition(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    asset = deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))
    materialize([asset], sandbox, instance, partition_key="y")
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    assert [instance.get_run_by_id(run.run_id).tags["dagster/partition"] for run in driver.runs] == ["y"]


@pytest.mark.covers("defer.failure")
def test_failed_run_is_retried_as_often_as_the_retry_policy_allows(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
    asset = deferred(PROFILES, retry_policy=dg.RetryPolicy(max_retries=2))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 30)
    assert sandbox.starts(None) == 3
    assert [run.success for run in driver.runs] == [True, True, False]


def test_successful_retry_of_a_failed_run_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(outcome="fail"), Behavior()])
    asset = deferred(PROFILES, retry_policy=dg.RetryPolicy(max_retries=2))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 25)
    assert reported(instance, "it") == [sandbox.runs()[1].id]
    assert [run.success for run in driver.runs] == [True]


def test_failure_is_reported_by_a_run_of_the_job_that_deferred_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    alerts: list[str] = []

    @dg.failure_hook
    def alert(context: dg.HookContext) -> None:
        alerts.append(str(context.op_exception))

    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="no such column"))
    asset = deferred(PROFILES)
    nightly = dg.define_asset_job("nightly", selection=[asset], hooks={alert})
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    job = driver.job("nightly")
    assert job.execute_in_process(instance=instance).success
    driver.ticks(clock, 12)
    assert [run.dagster_run.job_name for run in driver.runs] == ["nightly"]
    assert len(alerts) == 1
    assert "no such column" in alerts[0]


def test_run_canceled_at_the_vendor_is_reported_as_canceled(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="cancel"))
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    assert "canceled" in failure(driver.runs[0])


def test_failure_is_not_reported_after_a_new_attempt_replaced_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(running_seconds=5, outcome="fail"), Behavior()])
    asset = deferred(PROFILES)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    job = driver.job("nightly")
    first = execute(job, instance)
    clock.sleep(30)
    assert reexecute(job, instance, first.run_id).success
    driver.ticks(clock, 12)
    assert not driver.runs
    assert reported(instance, "it") == [sandbox.runs()[1].id]
