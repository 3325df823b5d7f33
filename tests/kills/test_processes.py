"""Step processes and run workers of Dagster's executors are killed while a remote run is active."""

import os
import signal

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.kills.worker import MAX_WAIT_SECONDS, Worker

pytestmark = pytest.mark.timeout(5 * MAX_WAIT_SECONDS)
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _remote_run_takes_an_hour(sandbox: Sandbox) -> None:
    sandbox.set_behavior(well_known.SUITE_SLOW, Behavior(running_seconds=HOUR))


def succeeded_once(worker: Worker) -> bool:
    """Whether there is exactly one remote run, which was not canceled, and whose result was reported once."""
    [run] = worker.sandbox.runs("testgen")
    return (run.state, run.cancel_requested_at, worker.materializations("quality")) == ("completed", None, [run.id])


@pytest.mark.covers("cancel.step-killed")
def test_killed_step_process_is_retried_and_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_processes")
    worker.wait_until_active("testgen")
    [step] = worker.step_processes()
    os.kill(step, signal.SIGKILL)
    before = len(sandbox.requests("testgen"))
    worker.wait_until(lambda: len(sandbox.requests("testgen")) > before + 1)
    sandbox.advance(2 * HOUR)
    assert process.wait(MAX_WAIT_SECONDS) == 0, worker.output()
    assert succeeded_once(worker)


@pytest.mark.covers("cancel.sigterm", "retry.from-failure")
def test_evicted_worker_leaves_the_run_active_and_a_reexecution_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_processes")
    worker.wait_until_active("testgen")
    process.send_signal(signal.SIGTERM)
    assert process.wait(MAX_WAIT_SECONDS) != 0
    evicted = worker.newest_run()
    assert evicted.status is dg.DagsterRunStatus.FAILURE
    sandbox.advance(2 * HOUR)
    assert worker.start("tests_in_processes", resumes=evicted.run_id).wait(MAX_WAIT_SECONDS) == 0, worker.output()
    assert succeeded_once(worker)


@pytest.mark.covers("cancel.sigterm-in-process")
def test_evicted_worker_that_retries_its_own_step_attaches(worker: Worker, sandbox: Sandbox) -> None:
    # With a retry policy, Dagster's in-process executor runs an interrupted step again, until it is killed.
    process = worker.start("tests_in_process")
    worker.wait_until_active("testgen")
    process.send_signal(signal.SIGTERM)
    worker.wait_until(lambda: worker.events(dg.DagsterEventType.STEP_UP_FOR_RETRY))
    sandbox.advance(2 * HOUR)
    assert process.wait(MAX_WAIT_SECONDS) == 0, worker.output()
    assert succeeded_once(worker)


@pytest.mark.parametrize("job", ["tests_in_processes", "tests_in_process"])
@pytest.mark.covers("cancel.terminate")
def test_terminated_dagster_run_cancels_the_remote_run_and_is_not_retried(
    worker: Worker, sandbox: Sandbox, job: str
) -> None:
    # The asset has a retry policy, so Dagster's in-process executor would run the terminated step again.
    process = worker.start(job)
    worker.wait_until_active("testgen")
    sandbox.set_speed(20)  # the cancellation takes two simulated seconds
    worker.terminate()
    process.wait(MAX_WAIT_SECONDS)
    assert worker.newest_run().status is dg.DagsterRunStatus.CANCELED
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


@pytest.mark.covers("cancel.worker-killed")
def test_killed_worker_leaves_the_run_active_and_a_reexecution_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_process")
    worker.wait_until_active("testgen")
    process.kill()
    process.wait()
    killed = worker.mark_run_as_failed()
    sandbox.advance(2 * HOUR)
    assert worker.start("tests_in_process", resumes=killed).wait(MAX_WAIT_SECONDS) == 0, worker.output()
    assert succeeded_once(worker)
