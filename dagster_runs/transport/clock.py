"""Time, in one place, so that tests inject it instead of sleeping.

``wall`` seconds may be stored and compared between processes; ``monotonic`` seconds mean something only inside
one process.
"""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

_ROUNDED = 2
"""Seconds. Unless the clock is set, the moment at which the machine was started stays the same."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The machine's own time.

    Attributes:
        longest_sleep: Seconds that a waiting step sleeps before it asks again what became of its Dagster run.

            A step can outlive its Dagster run, and until it asks, it uses a worker's slot for nothing. The question is
            one read of one row by an indexed column, and writes no event: 500 waiting steps make 100 such reads a
            second, which PostgreSQL answers in a few percent of one core.
    """

    longest_sleep: float = 5.0

    def wall(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump; for pauses and deadlines inside one process."""
        return time.monotonic()

    def uptime(self) -> float:
        """Seconds since the machine was started; setting its wall clock does not change them."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    def host(self) -> str:
        """Which clock ``wall`` reads: an id of the machine since it was started, and its wall clock at that moment.

        `is_same_clock` compares two of them.
        """
        return f"{_host()}-{self.wall() - self.uptime():.0f}"

    def sleep(self, seconds: float) -> None:
        """Wait; Dagster's termination signal interrupts it."""
        time.sleep(seconds)


@cache
def _host() -> str:
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        boot = f"{uuid.getnode():x}"
    # Both: containers of one machine share the boot id, and copies of one image may share the name.
    return sha256(f"{socket.gethostname()} {boot}".encode()).hexdigest()[:16]


def is_same_clock(one: str | None, other: str | None) -> bool:
    """Whether times that were read where ``host`` was ``one`` and ``other`` can be compared to the second.

    Not if the machine's clock was set in between: then one of the times was wrong.
    """
    (name, _, began), (other_name, _, other_began) = ((host or "").rpartition("-") for host in (one, other))
    try:
        return name == other_name != "" and abs(int(began) - int(other_began)) <= _ROUNDED
    except ValueError:
        return False


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
