"""Steps that outlive their Dagster run, as they can with Celery: one of the attempts reports the remote run, once."""

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
from tests.remote_run.reexecuting import at_pause, dies, execute, features_job, give_up, mark_as_terminated, reexecute

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.15")]
KEY = "features"
LONG = Behavior(running_seconds=300)


class AtPauses(SandboxClock):
    """Something happens in each of these pauses."""

    def __init__(self, sandbox: Sandbox, happens: dict[int, Callable[[], Any]]) -> None:
        super().__init__(sandbox)
        self._happens = happens

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        happens = self._happens.pop(len(self.pauses), None)
        if happens is not None:
            happens()


class AtAge(SandboxClock):
    """Something happens at the beginning of the first long pause after so many seconds of pauses."""

    max_sleep = Clock.max_sleep

    def __init__(self, sandbox: Sandbox, happens: Callable[[], Any], *, age: float) -> None:
        super().__init__(sandbox)
        self._happens, self._age = happens, age
        self.happened_at = 0.0

    def sleep(self, seconds: float) -> None:
        if not self.happened_at and sum(self.pauses) >= self._age and seconds > 1:
            self.happened_at = self.wall()
            self._happens()
        super().sleep(seconds)


def mark_canceled(instance: dg.DagsterInstance) -> str:
    """What *Terminate* does with a run whose launcher says at once that it is gone; the run's id."""
    [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    return run.run_id


def reported_by(instance: dg.DagsterInstance) -> list[str]:
    """The Dagster runs that have materialized the asset."""
    return [record.run_id for record in instance.fetch_materializations(dg.AssetKey(KEY), limit=100).records]


@contextmanager
def meanwhile(sandbox: Sandbox, happens: dict[int, Callable[[], Any]]) -> Iterator[None]:
    with use_clock(AtPauses(sandbox, happens)):
        yield


@pytest.mark.parametrize("ends", [give_up, mark_canceled])
@pytest.mark.covers("cancel.two-steps-alive")
def test_a_success_is_reported_by_the_attempt_that_attached(
    ends: Callable[[dg.DagsterInstance], str], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, newer = features_job(sandbox, TESTS), []
    with meanwhile(sandbox, {3: lambda: newer.append(reexecute(job, instance, ends(instance)))}):
        execute(job, instance)
    [run] = newer
    assert run.success
    assert reported_by(instance) == [run.run_id]
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("cancel.two-steps-alive")
def test_a_failure_is_reported_by_the_attempt_that_attached(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    job = features_job(sandbox, TESTS)
    with meanwhile(sandbox, {3: lambda: reexecute(job, instance, give_up(instance))}):
        result = execute(job, instance)
    assert entries(instance, KEY).count("ended") == 1
    assert "has marked this step's Dagster run as failed" in failure(result)


def test_without_another_attempt_a_given_up_step_leaves_the_end_to_the_next(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job = features_job(sandbox, TESTS)

    def given_up() -> None:
        give_up(instance)
        sandbox.advance(3600)  # the next poll sees the end

    with at_pause(sandbox, given_up):
        parent = execute(job, instance)
    assert reported_by(instance) == []
    again = reexecute(job, instance, parent.run_id)
    assert again.success
    assert reported_by(instance) == [again.run_id]
    assert sandbox.starts("testgen") == 1


@pytest.mark.parametrize("retries", [None, dg.RetryPolicy(max_retries=2)], ids=["", "with a retry policy"])
@pytest.mark.covers("cancel.newer-attempt")
def test_a_terminated_step_does_not_cancel_what_another_run_has_attached_to(
    retries: dg.RetryPolicy | None, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job, newer = features_job(sandbox, TESTS, retry_policy=retries), []

    def is_reexecuted() -> None:
        parent = mark_canceled(instance)
        with at_pause(sandbox, dies):  # its worker is killed while it waits
            newer.append(reexecute(features_job(sandbox, TESTS), instance, parent))

    with meanwhile(sandbox, {3: is_reexecuted}):
        execute(job, instance)
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None
    assert reexecute(job, instance, newer[0].run_id).success
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("cancel.newer-attempt-late")
def test_who_attaches_to_a_run_that_is_being_canceled_starts_another(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=3600, cancel_seconds=60), Behavior()])
    job, newer = features_job(sandbox, TESTS), []
    happens = {
        3: lambda: mark_canceled(instance),
        # The vendor has been asked to cancel, and has not done so yet.
        5: lambda: newer.append(reexecute(job, instance, instance.get_runs(limit=1)[0].run_id)),
    }
    with meanwhile(sandbox, happens):
        execute(job, instance)
    [run] = newer
    assert run.success
    assert [one.state for one in sandbox.runs("testgen")] == ["canceled", "completed"]
    assert reported_by(instance) == [run.run_id]


def test_a_timeout_that_cancels_spares_what_another_run_has_attached_to(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job = features_job(sandbox, TESTS, timeout=60, on_timeout="cancel")

    def is_reexecuted() -> None:
        [parent] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        with at_pause(sandbox, dies):
            repeat_by_python(features_job(sandbox, TESTS), instance, parent.run_id)

    with meanwhile(sandbox, {4: is_reexecuted}):
        result = execute(job, instance)
    assert "did not finish within" in failure(result)
    assert sandbox.starts("testgen") == 1
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None


@pytest.mark.covers("cancel.two-steps-alive")
def test_a_step_whose_run_is_alive_reports_when_the_newer_one_has_failed(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, LONG)
    job = features_job(sandbox, TESTS)

    def is_reexecuted() -> None:
        [parent] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        with at_pause(sandbox, dies):
            repeat_by_python(job, instance, parent.run_id)

    with meanwhile(sandbox, {3: is_reexecuted}):
        result = execute(job, instance)
    assert result.success
    assert sandbox.starts("testgen") == 1
    assert reported_by(instance) == [result.run_id]


def repeat_by_python(job: dg.JobDefinition, instance: dg.DagsterInstance, parent: str) -> Any:
    """What `dagster.execute_job` does with `ReexecutionOptions`."""
    run = instance.create_run_for_job(job, parent_run_id=parent, root_run_id=parent)
    return execute_run(InMemoryJob(job), run, instance, raise_on_error=False)


@pytest.mark.parametrize("ends", [mark_as_terminated, mark_canceled])
@pytest.mark.covers("cancel.no-signal")
def test_a_termination_is_noticed_within_seconds_however_rarely_the_vendor_is_polled(
    ends: Callable[[dg.DagsterInstance], Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # Earlier runs took an hour, so this one is polled after half of it at first.
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
    # On this clock the test's own time passes, too.
    assert run.cancel_requested_at - clock.happened_at < 30
