"""Real processes, really killed: step processes and run workers of Dagster's executors, while a remote run goes on."""

import os
import signal

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.kills.worker import PATIENCE, Worker

pytestmark = pytest.mark.timeout(5 * PATIENCE)
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _takes_an_hour(sandbox: Sandbox) -> None:
    sandbox.set_behavior(well_known.SUITE_SLOW, Behavior(running_seconds=HOUR))


def ends_well_once(worker: Worker) -> bool:
    """Whether there is one remote run, that nobody canceled, and whose result was reported once."""
    [run] = worker.sandbox.runs("testgen")
    return (run.state, run.cancel_requested_at, worker.materializations("quality")) == ("completed", None, [run.id])


@pytest.mark.covers("cancel.step-killed")
def test_a_killed_step_process_is_retried_and_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_processes")
    worker.until_going("testgen")
    [step] = worker.step_processes()
    os.kill(step, signal.SIGKILL)
    before = len(sandbox.requests("testgen"))
    worker.until(lambda: len(sandbox.requests("testgen")) > before + 1)
    sandbox.advance(2 * HOUR)
    assert process.wait(PATIENCE) == 0, worker.said()
    assert ends_well_once(worker)


@pytest.mark.covers("cancel.sigterm", "retry.from-failure")
def test_an_evicted_worker_leaves_the_run_and_a_resumption_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_processes")
    worker.until_going("testgen")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) != 0
    evicted = worker.the_run()
    assert evicted.status is dg.DagsterRunStatus.FAILURE
    sandbox.advance(2 * HOUR)
    assert worker.start("tests_in_processes", resumes=evicted.run_id).wait(PATIENCE) == 0, worker.said()
    assert ends_well_once(worker)


@pytest.mark.covers("cancel.sigterm-in-process")
def test_an_evicted_worker_that_retries_its_step_itself_attaches(worker: Worker, sandbox: Sandbox) -> None:
    # With a retry policy, Dagster's in-process executor runs an interrupted step again, until it is killed.
    process = worker.start("tests_in_process")
    worker.until_going("testgen")
    process.send_signal(signal.SIGTERM)
    worker.until(lambda: worker.events(dg.DagsterEventType.STEP_UP_FOR_RETRY))
    sandbox.advance(2 * HOUR)
    assert process.wait(PATIENCE) == 0, worker.said()
    assert ends_well_once(worker)


@pytest.mark.parametrize("job", ["tests_in_processes", "tests_in_process"])
@pytest.mark.covers("cancel.terminate")
def test_a_terminated_run_cancels_the_job_and_is_not_retried(worker: Worker, sandbox: Sandbox, job: str) -> None:
    # The asset has a retry policy, by which Dagster's in-process executor would run the terminated step again.
    process = worker.start(job)
    worker.until_going("testgen")
    sandbox.set_speed(20)  # the cancellation takes two simulated seconds
    worker.terminate()
    process.wait(PATIENCE)
    assert worker.the_run().status is dg.DagsterRunStatus.CANCELED
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


@pytest.mark.covers("cancel.worker-killed")
def test_a_killed_worker_leaves_a_run_that_a_resumption_finds(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_process")
    worker.until_going("testgen")
    process.kill()
    process.wait()
    killed = worker.write_off()
    sandbox.advance(2 * HOUR)
    assert worker.start("tests_in_process", resumes=killed).wait(PATIENCE) == 0, worker.said()
    assert ends_well_once(worker)
