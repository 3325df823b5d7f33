"""Steps that outlive their Dagster run, as with Celery: only one attempt reports the remote run, and only once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.transport.clock import Clock, use_clock
from tests.remote_run.materializing import TESTS, entries, failure
from tests.remote_run.reexecuting import (
    at_pause,
    dies,
    execute,
    features_job,
    mark_as_failed,
    mark_as_terminated,
    reexecute,
)

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.15")]
KEY = "features"
LONG = Behavior(running_seconds=300)


class AtPauses(SandboxClock):
    """Calls functions in some of the pauses, by their numbers."""

    def __init__(self, sandbox: Sandbox, actions: dict[int, Callable[[], Any]]) -> None:
        super().__init__(sandbox)
        self._actions = actions

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        action = self._actions.pop(len(self.pauses), None)
        if action is not None:
            action()


class AtAge(SandboxClock):
    """Calls a function at the beginning of the first long pause after some seconds of pauses."""

    max_sleep = Clock.max_sleep

    def __init__(self, sandbox: Sandbox, action: Callable[[], Any], *, age: float) -> None:
        super().__init__(sandbox)
        self._action, self._age = action, age
        self.called_at = 0.0

    def sleep(self, seconds: float) -> None:
        if not self.called_at and sum(self.pauses) >= self._age and seconds > 1:
            self.called_at = self.wall()
            self._action()
        super().sleep(seconds)


def mark_canceled(instance: dg.DagsterInstance) -> str:
    """Does what *Terminate* does if the launcher reports at once that the run is gone, and returns the run's id."""
    [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    return run.run_id


def reported_by(instance: dg.DagsterInstance) -> list[str]:
    """Returns the ids of the Dagster runs that materialized the asset."""
    return [record.run_id for record in instance.fetch_materializations(dg.AssetKey(KEY), limit=100).records]


@contextmanager
def at_pauses(sandbox: Sandbox, actions: dict[int, Callable[[], Any]]) -> Iterator[None]:
    with use_clock(AtPauses(sandbox, actions)):
        yield


@pytest.mark.parametrize("ends", [mark_as_failed, mark_canceled])
@pytest.mark.covers("cancel.two-steps-alive")
def test_success_is_reported_by_the_attempt_that_attached(
    ends: Callable[[dg.DagsterInstance], str], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, newer = features_job(sandbox, TESTS), []
    with at_pauses(sandbox, {3: lambda: newer.append(reexecute(job, instance, ends(instance)))}):
        execute(job, instance)
    [run] = newer
    assert run.success
    assert reported_by(instance) == [run.run_id]
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("cancel.two-steps-alive")
def test_failure_is_reported_by_the_attempt_that_attached(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    job = features_job(sandbox, TESTS)
    with at_pauses(sandbox, {3: lambda: reexecute(job, instance, mark_as_failed(instance))}):
        result = execute(job, instance)
    assert entries(instance, KEY).count("ended") == 1
    assert "has marked this step's Dagster run as failed" in failure(result)


def test_step_of_a_run_marked_as_failed_leaves_reporting_to_the_next_attempt(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job = features_job(sandbox, TESTS)

    def fail_dagster_run() -> None:
        mark_as_failed(instance)
        sandbox.advance(3600)  # the next poll returns the final status

    with at_pause(sandbox, fail_dagster_run):
        parent = execute(job, instance)
    assert reported_by(instance) == []
    again = reexecute(job, instance, parent.run_id)
    assert again.success
    assert reported_by(instance) == [again.run_id]
    assert sandbox.starts("testgen") == 1


@pytest.mark.parametrize(
    "retries", [None, dg.RetryPolicy(max_retries=2)], ids=["without a retry policy", "with a retry policy"]
)
@pytest.mark.covers("cancel.newer-attempt")
def test_terminated_step_does_not_cancel_a_run_that_a_newer_attempt_attached_to(
    retries: dg.RetryPolicy | None, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job, newer = features_job(sandbox, TESTS, retry_policy=retries), []

    def reexecute_meanwhile() -> None:
        parent = mark_canceled(instance)
        with at_pause(sandbox, dies):  # its worker is killed while it waits
            newer.append(reexecute(features_job(sandbox, TESTS), instance, parent))

    with at_pauses(sandbox, {3: reexecute_meanwhile}):
        execute(job, instance)
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None
    assert reexecute(job, instance, newer[0].run_id).success
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("cancel.newer-attempt-late")
def test_attaching_to_a_run_being_canceled_starts_a_new_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=3600, cancel_seconds=60), Behavior()])
    job, newer = features_job(sandbox, TESTS), []
    actions = {
        3: lambda: mark_canceled(instance),
        # The cancellation is requested, but the vendor has not canceled the run yet.
        5: lambda: newer.append(reexecute(job, instance, instance.get_runs(limit=1)[0].run_id)),
    }
    with at_pauses(sandbox, actions):
        execute(job, instance)
    [run] = newer
    assert run.success
    assert [one.state for one in sandbox.runs("testgen")] == ["canceled", "completed"]
    assert reported_by(instance) == [run.run_id]


def test_timeout_does_not_cancel_a_run_that_a_newer_attempt_attached_to(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job = features_job(sandbox, TESTS, timeout=60, on_timeout="cancel")

    def reexecute_meanwhile() -> None:
        [parent] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        with at_pause(sandbox, dies):
            reexecute_with_the_python_api(features_job(sandbox, TESTS), instance, parent.run_id)

    with at_pauses(sandbox, {4: reexecute_meanwhile}):
        result = execute(job, instance)
    assert "did not finish within" in failure(result)
    assert sandbox.starts("testgen") == 1
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None


@pytest.mark.covers("cancel.two-steps-alive")
def test_step_of_an_active_dagster_run_reports_when_the_newer_attempt_failed(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job = features_job(sandbox, TESTS)

    def reexecute_meanwhile() -> None:
        [parent] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        with at_pause(sandbox, dies):
            reexecute_with_the_python_api(job, instance, parent.run_id)

    with at_pauses(sandbox, {3: reexecute_meanwhile}):
        result = execute(job, instance)
    assert result.success
    assert sandbox.starts("testgen") == 1
    assert reported_by(instance) == [result.run_id]


def reexecute_with_the_python_api(job: dg.JobDefinition, instance: dg.DagsterInstance, parent: str) -> Any:
    """Re-executes a run as `dagster.execute_job` does with `ReexecutionOptions`."""
    run = instance.create_run_for_job(job, parent_run_id=parent, root_run_id=parent)
    return execute_run(InMemoryJob(job), run, instance, raise_on_error=False)


@pytest.mark.parametrize("ends", [mark_as_terminated, mark_canceled])
@pytest.mark.covers("cancel.no-signal")
def test_termination_is_noticed_within_seconds_when_polls_are_rare(
    ends: Callable[[dg.DagsterInstance], Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # Earlier runs took an hour, so the first poll of this one is after half an hour.
    history = {"dagster_runs/duration_seconds": dg.MetadataValue.float(3600.0)}
    for _ in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata=history))
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=36_000))
    job = features_job(sandbox, TESTS, resources=sandbox_resources(sandbox.url, poll_interval=600))
    clock = AtAge(sandbox, lambda: ends(instance), age=0)
    with use_clock(clock):
        execute(job, instance)
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is not None
    # On this clock, the test's own real time passes too.
    assert run.cancel_requested_at - clock.called_at < 30
