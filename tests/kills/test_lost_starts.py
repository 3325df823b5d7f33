"""A process is killed between a start request and its record: one remote run, or an error that says what to check."""

import os
import signal

import dagster as dg
import pytest

from dagster_runs.sandbox import Fault, Sandbox
from tests.kills.code_location import STARTS
from tests.kills.worker import MAX_WAIT_SECONDS, Worker

pytestmark = pytest.mark.timeout(5 * MAX_WAIT_SECONDS)
CAN_FIND_LOST_STARTS = ("testgen", "amperity", "segmentflow")
CANNOT_FIND_LOST_STARTS = ("rudderstack", "prophecy")


@pytest.fixture(autouse=True)
def _hold_back_responses(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("hang", method="POST"))


def step_error(worker: Worker, step: str) -> dg.DagsterEvent:
    """Returns the failure event of a step of the newest run."""
    failures = worker.events(dg.DagsterEventType.STEP_FAILURE)
    [event] = [entry.get_dagster_event() for entry in failures if entry.step_key == step]
    return event


def check(worker: Worker, vendor: str) -> None:
    """Checks the result of the re-execution from failure for the vendor's start."""
    [remote] = worker.sandbox.runs(vendor)
    if vendor in CAN_FIND_LOST_STARTS:
        assert worker.materializations(vendor) == [remote.id]
        return
    assert worker.materializations(vendor) == []
    failure = step_error(worker, vendor).step_failure_data.user_failure_data
    assert failure is not None
    message = failure.description or ""
    run = STARTS[vendor]
    assert f"it is unknown whether a {run.label} of {run.target} was started" in message
    assert "this step's last attempt ended while it was starting" in message
    assert f"Check in {run.vendor} whether a run of {run.target} was started" in message
    assert "materialize the asset again (re-execute all steps, not from failure)" in message
    assert "on_uncertain_start='start_again'" in message


@pytest.mark.covers(
    "lost-start.testgen-mark",
    "lost-start.amperity",
    "lost-start.segmentflow-key",
    "lost-start.rudderstack",
    "lost-start.prophecy",
    "cancel.killed-during-start",
)
def test_start_lost_with_a_killed_step_process_leaves_one_run_or_an_error(worker: Worker, sandbox: Sandbox) -> None:
    # All five vendors run in one Dagster run, each in a separate process.
    job = "starts_in_processes"
    process = worker.start(job, FAST_FORWARD="1", DAGSTER_MULTIPROCESS_EXECUTOR_MAX_CONCURRENT=str(len(STARTS)))
    worker.wait_until(lambda: sandbox.starts() == len(STARTS))
    steps = worker.step_processes()
    assert len(steps) == len(STARTS)
    for step in steps:
        os.kill(step, signal.SIGKILL)
    assert process.wait(MAX_WAIT_SECONDS) == 1, worker.output()
    killed = worker.newest_run()
    assert killed.status is dg.DagsterRunStatus.FAILURE
    sandbox.clear_faults()
    again = worker.start(job, resumes=killed.run_id, FAST_FORWARD="1", DAGSTER_MULTIPROCESS_EXECUTOR_MAX_CONCURRENT="1")
    assert again.wait(4 * MAX_WAIT_SECONDS) == 1, worker.output()
    for vendor in STARTS:
        check(worker, vendor)


@pytest.mark.parametrize("vendor", STARTS)
@pytest.mark.covers(
    "lost-start.testgen-mark",
    "lost-start.amperity",
    "lost-start.segmentflow-key",
    "lost-start.rudderstack",
    "lost-start.prophecy",
    "cancel.killed-during-start",
)
def test_start_lost_with_a_killed_worker_leaves_one_run_or_an_error(
    worker: Worker, sandbox: Sandbox, vendor: str
) -> None:
    job = "starts_in_process"
    process = worker.start(job, asset=vendor, FAST_FORWARD="1")
    worker.wait_until(lambda: sandbox.starts(vendor) == 1)
    process.kill()
    process.wait()
    killed = worker.mark_run_as_failed()
    sandbox.clear_faults()
    again = worker.start(job, resumes=killed, FAST_FORWARD="1")
    assert again.wait(MAX_WAIT_SECONDS) == (0 if vendor in CAN_FIND_LOST_STARTS else 1), worker.output()
    check(worker, vendor)
