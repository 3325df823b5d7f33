"""The sandbox's time in every process of Dagster's, at a speed that the campaign changes on the way."""

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
    """The wall clock is the sandbox's; pauses and a tick's limits are real, as HTTP and storages are no faster here.

    Args:
        file: Where the campaign writes how the time runs.
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
    """Inside the block, the time that the environment names."""
    with use_clock(SandboxTime(Path(os.environ[VARIABLE]))):
        yield


def set_speed(sandbox: SandboxClient, speed: float, file: Path) -> None:
    """Let time run faster or slower, everywhere."""
    sandbox.set_speed(speed)
    written = file.with_suffix(".new")
    written.write_text(anchor_of(sandbox, speed).as_text())
    written.replace(file)
