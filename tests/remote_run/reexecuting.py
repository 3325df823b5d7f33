"""Helpers that re-execute, kill or terminate a Dagster run while its remote run is active."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run

from dagster_runs import build_remote_run_asset
from dagster_runs.remote_run.execution import submit
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import Clock, use_clock
from tests.remote_run.materializing import PROFILES, failure, resources_at

KEY = "remote"


def job_with(run: Any, sandbox: Sandbox, *, key: str = KEY, resources: Any = None, **options: Any) -> dg.JobDefinition:
    """Builds a job with one asset. `options` are passed to the asset."""
    asset = build_remote_run_asset(run, key=key, **options)
    given = resources or resources_at(sandbox.url)
    defs = dg.Definitions(assets=[asset], resources=given, executor=dg.in_process_executor)
    return defs.resolve_implicit_global_asset_job_def()


def execute(job: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(instance=instance, raise_on_error=False)


def reexecute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    parent: str,
    *,
    from_failure: bool = True,
    steps: list[str] | None = None,
) -> Any:
    """Re-executes a run as the UI does. Dagster has no public function for this without a running code server.

    Args:
        job: The job.
        instance: The Dagster instance.
        parent: The run's id.
        from_failure: Whether it is re-executed from failure.
        steps: The steps to execute; all by default.
    """
    tags = {"dagster/parent_run_id": parent, "dagster/root_run_id": parent}
    if from_failure:
        tags["dagster/is_resume_retry"] = "true"
    before = instance.get_run_by_id(parent)
    run = instance.create_run_for_job(
        job,
        run_config=before.run_config,
        parent_run_id=parent,
        root_run_id=parent,
        tags=tags,
        execution_plan=create_execution_plan(job, step_keys_to_execute=steps) if steps else None,
    )
    return execute_run(InMemoryJob(job), run, instance, raise_on_error=False)


class AtPause(SandboxClock):
    """Calls a function in one of the pauses."""

    max_sleep = Clock.max_sleep

    def __init__(self, sandbox: Sandbox, action: Callable[[], None], *, pause: int) -> None:
        super().__init__(sandbox)
        self._action, self._pause = action, pause

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.pauses) == self._pause:
            self._action()


class ClockOff(SandboxClock):
    """The clock of a machine that is some seconds ahead of the vendor's clock, or behind it."""

    def __init__(self, sandbox: Sandbox, ahead: float) -> None:
        super().__init__(sandbox)
        self._offset = ahead

    def wall(self) -> float:
        return super().wall() + self._offset

    def host(self) -> str:
        return f"another machine, {self._offset} s ahead"


@contextmanager
def at_pause(sandbox: Sandbox, action: Callable[[], None], *, pause: int = 3) -> Iterator[AtPause]:
    """Calls a function in one pause of the block, by its number."""
    clock = AtPause(sandbox, action, pause=pause)
    with use_clock(clock):
        yield clock


@contextmanager
def in_another_process() -> Iterator[None]:
    """Inside the block, this process does not remember which recorded starts it did not send."""
    with patch.object(submit, "_known_unsent", set()):
        yield


def dies() -> None:
    """Ends an attempt without a request to the vendor, as a crash does."""
    raise MemoryError("this process dies")


def signalled() -> None:
    """Raises what Dagster raises when the step's process receives a signal."""
    raise dg.DagsterExecutionInterruptedError


def mark_as_terminated(instance: dg.DagsterInstance) -> None:
    """Does what *Terminate* does first. The signal comes later, or never."""
    [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_canceling(run)


def mark_as_failed(instance: dg.DagsterInstance) -> str:
    """Does what run monitoring does with a run whose worker is gone, and returns the run's id."""
    [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_failed(run)
    return run.run_id


def terminate(instance: dg.DagsterInstance) -> None:
    """Does what *Terminate* does, including the signal that follows."""
    mark_as_terminated(instance)
    signalled()


def features_job(sandbox: Sandbox, run: Any = PROFILES, **options: Any) -> dg.JobDefinition:
    return job_with(run, sandbox, key="features", **options)


def leave_going(sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> tuple[dg.JobDefinition, str]:
    """Executes a job that times out while its remote run is active. Returns it and the Dagster run's id."""
    job = features_job(sandbox, timeout=5, **options)
    result = execute(job, instance)
    assert not result.success
    assert "did not finish within" in failure(result)
    return job, result.run_id
