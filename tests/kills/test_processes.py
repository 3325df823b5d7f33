"""Real processes, really killed: step processes and run workers of Dagster's executors."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Behaviour, Sandbox, well_known

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 40.0


class Worker:
    """A run worker in a process of its own, with a Dagster instance on disk."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.home = home
        self.pid_file = home / "step.pid"
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self._environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SANDBOX_URL": sandbox.url,
            "STEP_PID_FILE": str(self.pid_file),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"worker{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-c", f"from tests.kills.code_location import work; work(*{arguments})"],
            cwd=REPOSITORY,
            env=self._environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._processes.append(process)
        return process

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self._processes[-1].poll() is None, (self.home / "worker0.log").read_text()[-3000:]
            assert time.monotonic() < deadline, "this did not happen in time"
            time.sleep(0.05)

    def until_going(self, vendor: str) -> None:
        """Until a remote run is going and the ledger knows it, so that the process can be killed."""
        self.until(lambda: any(r.path.endswith("/status") or "/jobs/" in r.path for r in self.sandbox.requests(vendor)))


@pytest.fixture
def worker(tmp_path: Path, sandbox: Sandbox) -> Iterator[Worker]:
    worker = Worker(tmp_path, sandbox)
    yield worker
    worker.stop()
    sandbox.set_speed(1)


def the_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.get_runs(limit=1)[0]


def terminate(worker: Worker, process: subprocess.Popen[bytes]) -> None:
    """What the UI's *Terminate* does with the default launcher: mark the run, then signal its worker."""
    with worker.instance() as instance:
        instance.report_run_canceling(the_run(instance))
    process.send_signal(signal.SIGTERM)


def test_a_killed_step_process_is_retried_and_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_processes")
    worker.until_going("testgen")
    os.kill(int(worker.pid_file.read_text()), signal.SIGKILL)
    before = len(sandbox.requests("testgen"))
    worker.until(lambda: len(sandbox.requests("testgen")) > before + 1)
    sandbox.advance(3600)
    assert process.wait(PATIENCE) == 0
    assert sandbox.starts("testgen") == 1


def test_an_evicted_worker_leaves_the_run_and_a_resumption_attaches(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("profiles_in_processes")
    worker.until_going("rudderstack")
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    with worker.instance() as instance:
        evicted = the_run(instance)
        assert evicted.status is dg.DagsterRunStatus.FAILURE
    sandbox.advance(3600)
    assert worker.start("profiles_in_processes", evicted.run_id).wait(PATIENCE) == 0
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.parametrize("job", ["tests_in_processes", "tests_in_process"])
def test_a_terminated_run_cancels_the_job_and_is_not_retried(worker: Worker, sandbox: Sandbox, job: str) -> None:
    sandbox.set_behaviour(well_known.SUITE_SLOW, Behaviour(running_seconds=36000))
    process = worker.start(job)
    worker.until_going("testgen")
    sandbox.set_speed(20)  # the cancellation takes two simulated seconds
    terminate(worker, process)
    process.wait(PATIENCE)
    with worker.instance() as instance:
        assert the_run(instance).status is dg.DagsterRunStatus.CANCELED
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


def test_a_killed_worker_leaves_a_run_that_a_resumption_finds(worker: Worker, sandbox: Sandbox) -> None:
    process = worker.start("tests_in_process")
    worker.until_going("testgen")
    process.kill()
    process.wait()
    with worker.instance() as instance:
        killed = the_run(instance)
        instance.report_run_failed(killed)  # what Dagster's run monitoring finds out
    sandbox.advance(3600)
    assert worker.start("tests_in_process", killed.run_id).wait(PATIENCE) == 0
    assert sandbox.starts("testgen") == 1
