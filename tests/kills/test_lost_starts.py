"""Killed between the POST and the record of its answer: one remote run, or an error that says what to look for."""

import os
import signal

import dagster as dg
import pytest

from dagster_runs.sandbox import Fault, Sandbox
from tests.kills.code_location import STARTS
from tests.kills.worker import PATIENCE, Worker

pytestmark = pytest.mark.timeout(5 * PATIENCE)
FOUND_AGAIN = ("testgen", "amperity", "segmentflow")
NEVER_FOUND = ("rudderstack", "prophecy")


@pytest.fixture(autouse=True)
def _answers_are_held_back(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("hang", method="POST"))


def step_error(worker: Worker, step: str) -> dg.DagsterEvent:
    """How the step of the newest run ended."""
    failures = worker.events(dg.DagsterEventType.STEP_FAILURE)
    [event] = [entry.get_dagster_event() for entry in failures if entry.step_key == step]
    return event


def check(worker: Worker, vendor: str) -> None:
    """What the re-execution from failure has made of the vendor's start."""
    [remote] = worker.sandbox.runs(vendor)
    if vendor in FOUND_AGAIN:
        assert worker.materializations(vendor) == [remote.id]
        return
    assert worker.materializations(vendor) == []
    failure = step_error(worker, vendor).step_failure_data.user_failure_data
    assert failure is not None
    said = failure.description or ""
    run = STARTS[vendor]
    assert f"it is unknown whether a {run.label} of {run.target} was started" in said
    assert "this step's last attempt ended while it was starting" in said
    assert f"Check in {run.vendor} whether a run of {run.target} is active" in said
    assert "materialize the asset again (re-execute all steps, not from failure)" in said
    assert "on_uncertain_start='start_again'" in said


@pytest.mark.covers(
    "lost-start.testgen-mark",
    "lost-start.amperity",
    "lost-start.segmentflow-key",
    "lost-start.rudderstack",
    "lost-start.prophecy",
    "cancel.killed-during-start",
)
def test_of_step_processes(worker: Worker, sandbox: Sandbox) -> None:
    # All five vendors in one Dagster run, a process each.
    job = "starts_in_processes"
    process = worker.start(job, FAST_FORWARD="1", DAGSTER_MULTIPROCESS_EXECUTOR_MAX_CONCURRENT=str(len(STARTS)))
    worker.until(lambda: sandbox.starts() == len(STARTS))
    steps = worker.step_processes()
    assert len(steps) == len(STARTS)
    for step in steps:
        os.kill(step, signal.SIGKILL)
    assert process.wait(PATIENCE) == 1, worker.said()
    killed = worker.the_run()
    assert killed.status is dg.DagsterRunStatus.FAILURE
    sandbox.clear_faults()
    again = worker.start(job, resumes=killed.run_id, FAST_FORWARD="1", DAGSTER_MULTIPROCESS_EXECUTOR_MAX_CONCURRENT="1")
    assert again.wait(4 * PATIENCE) == 1, worker.said()
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
def test_of_a_worker(worker: Worker, sandbox: Sandbox, vendor: str) -> None:
    job = "starts_in_process"
    process = worker.start(job, asset=vendor, FAST_FORWARD="1")
    worker.until(lambda: sandbox.starts(vendor) == 1)
    process.kill()
    process.wait()
    killed = worker.write_off()
    sandbox.clear_faults()
    again = worker.start(job, resumes=killed, FAST_FORWARD="1")
    assert again.wait(PATIENCE) == (0 if vendor in FOUND_AGAIN else 1), worker.said()
    check(worker, vendor)
