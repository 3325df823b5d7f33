"""Time, in one place, so that tests inject it instead of sleeping.

``wall`` seconds may be stored and compared between processes; ``monotonic`` seconds mean something only inside
one process.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """The machine's own time."""

    def wall(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump; for pauses and deadlines inside one process."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; Dagster's termination signal interrupts it."""
        time.sleep(seconds)


_clock = Clock()


def current_clock() -> Clock:
    """The clock that everything in this process waits by."""
    return _clock


def machine_time(at: float) -> float:
    """The moment ``at`` of the current clock in the machine's own time, with which Dagster stamps its events."""
    return time.time() - (current_clock().wall() - at)


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Wait by ``clock`` inside the block. For tests."""
    global _clock  # noqa: PLW0603 - the one place where time is exchanged
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
