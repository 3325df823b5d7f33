"""Simulated time: real time at a given speed, plus the jumps that a test makes."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class Clock:
    """The clock of the simulated vendors. It starts at the real time and only moves forward.

    Args:
        speed: Simulated seconds per real second; 0 stops the clock, so that only `advance` moves it.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._simulated = time.time()
        self._real = time.monotonic()
        self._speed = _check_not_negative(speed, "speed")

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        # Resets the reference point, so that the new speed does not apply to the time that has already passed.
        self._simulated, self._real = self.now(), time.monotonic()
        self._speed = _check_not_negative(speed, "speed")

    def now(self) -> float:
        """Returns the simulated time in seconds since the epoch."""
        return self._simulated + (time.monotonic() - self._real) * self._speed

    def advance(self, seconds: float) -> None:
        """Moves the time forward immediately."""
        self._simulated += _check_not_negative(seconds, "seconds")


def to_utc(timestamp: float) -> datetime:
    """Converts epoch seconds to an aware datetime."""
    return datetime.fromtimestamp(timestamp, timezone.utc)


def _check_not_negative(value: float, name: str) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)
