"""Background processes of the demo, including their child processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent

_GRACE_SECONDS = 15.0
_KILL_AFTER_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class DemoError(Exception):
    """A problem that the user has to fix. The message says how."""


class Background:
    """A Python module that runs in the background.

    It leads its own process group. So Ctrl-C in the terminal reaches only the demo, which then stops everything in
    order, and the module's child processes can be stopped with it.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the arguments are the demo's own
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float, stop: threading.Event) -> None:
        """Waits until `ready` returns true.

        Raises:
            DemoError: The process exited before, or took too long.
            Stopped: The demo was asked to stop.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.is_running:
                raise DemoError(f"{self.name} did not start.\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not respond within {seconds:.0f} s.\n{self.last_words()}")
            if stop.wait(_PAUSE_SECONDS):
                raise Stopped

    def last_words(self) -> str:
        """Returns the end of the process's log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([*(f"  | {line}" for line in lines), f"The whole log is in {self.log}"])

    def stop(self) -> None:
        """Stops the process and all its child processes, first with SIGTERM, then with SIGKILL."""
        if self.is_running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        # Remaining child processes are still in its group. A group with members keeps its number.
        if self._signal_group(signal.SIGTERM) and not self._group_ends_within(_KILL_AFTER_SECONDS):
            self._signal_group(signal.SIGKILL)
        self._process.wait()

    def _group_ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._process.poll()
            if not self._signal_group(0):
                return True
            time.sleep(_PAUSE_SECONDS)
        return False

    def _signal_group(self, number: int) -> bool:
        """Sends a signal to the group. Returns whether the group had any processes."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return False  # macOS raises this if only zombies are left in the group
        return True


class Stopped(Exception):
    """The demo was asked to stop."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yields an event that is set by Ctrl-C, SIGTERM, and the closing of the terminal.

    *Handling* these signals also matters for the child processes: a shell starts background commands with SIGINT
    ignored, child processes inherit that, and Dagster, which treats SIGTERM like SIGINT, could then not be stopped.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    # It is ignored if the demo was started with nohup, to keep running after the terminal is closed.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Makes SIGTERM and the closing of the terminal raise `Stopped`, so that context managers stop their processes.

    Ctrl-C already raises an exception, and Dagster handles both while it executes.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
