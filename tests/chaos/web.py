"""Attempts through a Dagster web server: launched, terminated and re-executed like in the UI."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import dagster as dg

from tests.chaos.worker import Order
from tests.dagster_ui import DagsterUI

_NOTICES_WITHIN = 15.0
"""Real seconds in which the code server notices that a run worker is gone."""


class WebAttempt:
    """A Dagster run launched through the web server; its worker is a child of the code server."""

    def __init__(self, order: Order, ui: DagsterUI) -> None:
        self._ui = ui
        if order.parent is None:
            self._run_id = ui.launch_job("in_process", [[asset] for asset in order.assets], order.tags)
        else:
            self._run_id = ui.re_execute(order.parent, "FROM_FAILURE" if order.from_failure else "ALL_STEPS")

    @property
    def run(self) -> dg.DagsterRun | None:
        return self._ui.instance.get_run_by_id(self._run_id)

    def is_alive(self) -> bool:
        run = self.run
        return run is not None and not run.is_finished

    def signal(self, number: int) -> None:
        pid = self._ui.run_worker(self._run_id)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def terminate(self) -> None:
        with suppress(AssertionError):  # it has just ended
            self._ui.terminate(self._run_id)

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the attempt; returns whether it ended in time."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True

    def close(self) -> dg.DagsterRun | None:
        """Ends the run if it is still active."""
        if self.is_alive():
            self.signal(signal.SIGKILL)
            if not self.wait(_NOTICES_WITHIN) and (run := self.run) is not None:
                self._ui.instance.report_run_failed(run)
        return self.run

    def kill_all(self) -> None:
        """Kills its only process."""
        if self.is_alive():
            self.signal(signal.SIGKILL)
