"""One attempt of a group: a Dagster run in its own processes, and its interruption."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import dagster as dg

from tests.chaos.plan import Disturbance
from tests.chaos.processes import end_group
from tests.chaos.worker import ATTEMPT_TAG, work

MAX_ATTEMPT_SECONDS = 900.0
"""Real seconds for one Dagster run; a run that takes longer hangs."""
_GRACE = 20.0
"""Real seconds from an eviction's SIGTERM to the SIGKILL, as a cluster has it."""
_PRELOADED = [
    "tests.chaos.queue_location",
    "dagster._core.executor.multiprocess",
    # What Dagster imports when it opens an instance, which would take longer than most steps.
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.upath_io_manager",
    "dagster._daemon.controller",
    "dagster_postgres",
]
_forkserver = multiprocessing.get_context("forkserver")


def prepare_processes() -> None:
    """Imports what each run worker needs, once. Call it when the environment is set up for the workers."""
    _forkserver.set_forkserver_preload(_PRELOADED)


class HarnessError(Exception):
    """The harness itself or Dagster failed."""


class AnyOrder(Protocol):
    """The task of a run worker, whose Dagster run has the name of the attempt in a tag."""

    @property
    def attempt(self) -> str: ...


class Attempt:
    """A run worker in its own session.

    Args:
        order: Its task.
        instance: The Dagster instance.
        carry_out: Carries out the task in the process.
    """

    def __init__(self, order: AnyOrder, instance: dg.DagsterInstance, carry_out: Callable[[Any], None] = work) -> None:
        self._order = order
        self._instance = instance
        self._process = _forkserver.Process(target=carry_out, args=(order,), daemon=False)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def run(self) -> dg.DagsterRun | None:
        """Returns the Dagster run, once it exists."""
        runs = self._instance.get_runs(dg.RunsFilter(tags={ATTEMPT_TAG: self._order.attempt}), limit=1)
        return runs[0] if runs else None

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Does what *Terminate* in the UI does with the default launcher: marks the run, then signals its worker."""
        run = self.run
        if run is not None and not run.is_finished:
            self._instance.report_run_canceling(run)
            self.signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the attempt; returns whether it ended in time."""
        self._process.join(seconds)
        return not self._process.is_alive()

    def close(self) -> dg.DagsterRun | None:
        """Ends the remaining processes, and records the outcome like Dagster's run monitoring."""
        self.signal(signal.SIGKILL)
        self._process.join()
        self._process.close()
        run = self.run
        if run is not None and not run.is_finished:
            if run.status is dg.DagsterRunStatus.CANCELING:
                self._instance.report_run_canceled(run)
            else:
                self._instance.report_run_failed(run)
            run = self.run
        return run

    def kill_all(self) -> None:
        """Kills all processes, including those that outlived the run worker."""
        end_group(self.pid)


class AnyAttempt(Protocol):
    """An active Dagster run, and ways to end it."""

    @property
    def run(self) -> dg.DagsterRun | None: ...
    def is_alive(self) -> bool: ...
    def signal(self, number: int) -> None: ...
    def terminate(self) -> None: ...
    def wait(self, seconds: float) -> bool: ...
    def close(self) -> dg.DagsterRun | None: ...
    def kill_all(self) -> None: ...


def disturb(
    attempt: AnyAttempt, disturbance: Disturbance, has_arrived: Callable[[], bool], step_pids: Sequence[Path] = ()
) -> bool:
    """Waits for the moment, then interrupts the attempt; returns whether it was still active.

    Args:
        attempt: The attempt.
        disturbance: How and when it is interrupted.
        has_arrived: Whether the start at which it is interrupted has arrived.
        step_pids: The files with the process ids of the steps that may be killed.
    """
    if disturbance.at_start_of is not None:
        _until(lambda: has_arrived() or not attempt.is_alive())
    else:
        attempt.wait(disturbance.after)
    if not attempt.is_alive():
        return False
    if disturbance.how == "kill step":
        written = [path for path in step_pids if path.exists()]
        if written:
            newest = max(written, key=lambda path: path.stat().st_mtime)
            with suppress(ProcessLookupError):
                os.kill(int(newest.read_text()), signal.SIGKILL)
        return True
    if disturbance.how == "kill":
        attempt.signal(signal.SIGKILL)
    elif disturbance.how == "kill machine":
        attempt.kill_all()
    elif disturbance.how == "terminate":
        attempt.terminate()
    else:
        attempt.signal(signal.SIGTERM)
        attempt.wait(_GRACE)
        attempt.kill_all()
    return True


def start_process(target: Callable[..., None], *arguments: Any) -> Any:
    """Starts another process of the harness, from the same preloaded one."""
    process = _forkserver.Process(target=target, args=arguments, daemon=False)
    process.start()
    return process


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MAX_ATTEMPT_SECONDS
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.1)
