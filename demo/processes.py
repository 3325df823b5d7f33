"""Processes that the demo starts, and all that they start in turn."""

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
    """Something that a person has to put right; the message says how."""


class Background:
    """A Python module that runs in the background.

    It leads a process group of its own. So Ctrl-C in the terminal reaches the demo alone, which then ends things in
    order; and what the module has started itself can be ended with it, without knowing it.
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
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float, stop: threading.Event) -> None:
        """Wait until `ready`.

        Raises:
            DemoError: It ended before, or took too long.
            Stopped: The demo is to stop.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.is_running:
                raise DemoError(f"{self.name} did not start.\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} does not answer after {seconds:.0f} s.\n{self.last_words()}")
            if stop.wait(_PAUSE_SECONDS):
                raise Stopped

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([*(f"  | {line}" for line in lines), f"The whole log is in {self.log}"])

    def stop(self) -> None:
        """End it and everything that it has started: politely first, then for certain."""
        if self.is_running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        # Its children, if it left some, are still in its group; a group that has members keeps its number.
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
        """Whether somebody was there."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            return False  # what macOS says of a group of which only zombies are left
        return True


class Stopped(Exception):
    """Somebody wants the demo to stop."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, SIGTERM, and the closing of the terminal.

    That these are *handled* here matters to the children as well: a shell starts background commands with SIGINT
    ignored, children inherit that, and Dagster, which treats SIGTERM as it does SIGINT, could then not be ended.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored: started with nohup, to outlive the terminal
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Let SIGTERM and the closing of the terminal raise `Stopped`, so that what was started is ended on the way out.

    Ctrl-C does so by itself, and Dagster handles both while it executes.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
