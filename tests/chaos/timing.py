"""Accelerated time, shared by the sandbox and all Dagster processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from dagster_runs.transport.clock import Clock, use_clock

SPEED = 10.0
"""More is risky on a busy machine: whatever takes a second there seems to take so many."""
VARIABLE = "CHAOS_TIME"


@dataclass(frozen=True)
class Anchor:
    """A simulated time with its real time, and the simulated seconds per real second since then."""

    real: float
    simulated: float
    speed: float = SPEED

    def to_simulated(self, real: float) -> float:
        return self.simulated + (real - self.real) * self.speed

    def to_real(self, simulated: float) -> float:
        return self.real + (simulated - self.simulated) / self.speed

    def as_text(self) -> str:
        return json.dumps(asdict(self))


class FastClock(Clock):
    """A clock with the sandbox's time, which shortens pauses accordingly."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor

    def wall(self) -> float:
        return self._anchor.to_simulated(time.time())

    def monotonic(self) -> float:
        return time.monotonic() * self._anchor.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._anchor.speed)


class SensorClock(FastClock):
    """The same wall time, but pauses and the limit of a tick use real time, like HTTP and the storage."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def sensor_time() -> Iterator[None]:
    """Uses the time that the harness defines in the environment, as a sensor's process needs it."""
    with use_clock(SensorClock(Anchor(**json.loads(os.environ[VARIABLE])))):
        yield


@contextmanager
def fast_time() -> Iterator[None]:
    """Uses the time that the harness defines in the environment."""
    with use_clock(FastClock(Anchor(**json.loads(os.environ[VARIABLE])))):
        yield
