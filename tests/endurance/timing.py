"""The sandbox's time in all Dagster processes, at a speed that the campaign changes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_runs.sandbox import SandboxClient
from dagster_runs.transport.clock import Clock, use_clock
from tests.chaos.processes import anchor_of
from tests.chaos.timing import Anchor

VARIABLE = "ENDURANCE_TIME"
_READ_EVERY = 0.2


class SandboxTime(Clock):
    """A clock with the sandbox's wall time; pauses and tick limits use real time, like HTTP and the storage.

    Args:
        file: The file in which the campaign stores the speed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_at = 0.0
        self._anchor = self._read()

    def wall(self) -> float:
        now = time.monotonic()
        if now >= self._read_at + _READ_EVERY:
            self._anchor = self._read()
        return self._anchor.to_simulated(time.time())

    def _read(self) -> Anchor:
        self._read_at = time.monotonic()
        return Anchor(**json.loads(self._file.read_text()))


@contextmanager
def sandbox_time() -> Iterator[None]:
    """Uses the time that the environment defines during the block."""
    with use_clock(SandboxTime(Path(os.environ[VARIABLE]))):
        yield


def set_speed(sandbox: SandboxClient, speed: float, file: Path) -> None:
    """Changes the speed of time in all processes."""
    sandbox.set_speed(speed)
    written = file.with_suffix(".new")
    written.write_text(anchor_of(sandbox, speed).as_text())
    written.replace(file)
