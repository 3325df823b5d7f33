"""The clock that all code uses, so that tests can inject time instead of sleeping.

``wall`` seconds may be stored and compared between processes; ``monotonic`` seconds are meaningful only within one
process.
"""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

_BOOT_TIME_TOLERANCE = 2
"""Seconds that rounding may add. Otherwise the computed boot time only changes when the machine's clock is set."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The real time of this machine.

    Attributes:
        max_sleep: The longest time in seconds that a waiting step sleeps before it checks the status of its Dagster
            run again.

            A step can outlive its Dagster run, and until it checks, it needlessly occupies a worker's slot. A check
            reads one row by an indexed column and writes no event. 500 waiting steps make 100 such reads per second,
            which cost PostgreSQL a few percent of one core.
    """

    max_sleep: float = 5.0

    def wall(self) -> float:
        """Returns the seconds since the epoch, in UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Returns seconds that never jump, for pauses and deadlines within one process."""
        return time.monotonic()

    def uptime(self) -> float:
        """Returns the seconds since the machine booted. Setting the wall clock does not change them."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    def host(self) -> str:
        """Returns an identifier of the clock that ``wall`` reads: the machine, its boot, and the wall time of the boot.

        Compare two identifiers with `is_same_clock`.
        """
        return f"{_host()}-{self.wall() - self.uptime():.0f}"

    def sleep(self, seconds: float) -> None:
        """Sleeps. Dagster's termination signal interrupts the sleep."""
        time.sleep(seconds)


@cache
def _host() -> str:
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        boot = f"{uuid.getnode():x}"
    # Uses both because containers on one machine share the boot id, and copies of one image may share the host name.
    return sha256(f"{socket.gethostname()} {boot}".encode()).hexdigest()[:16]


def is_same_clock(one: str | None, other: str | None) -> bool:
    """Whether times from the clocks with the ``host`` identifiers ``one`` and ``other`` are comparable to the second.

    They are not comparable if the machine's clock was set in between, because one of the times was then wrong.
    """
    (name, _, boot), (other_name, _, other_boot) = ((host or "").rpartition("-") for host in (one, other))
    try:
        return name == other_name != "" and abs(int(boot) - int(other_boot)) <= _BOOT_TIME_TOLERANCE
    except ValueError:
        return False


_clock = Clock()


def current_clock() -> Clock:
    """Returns the clock that all code in this process uses."""
    return _clock


def machine_time(at: float) -> float:
    """Converts the time ``at`` of the current clock to the machine's real time, which Dagster uses for its events."""
    return time.time() - (current_clock().wall() - at)


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Replaces the clock inside the block. For tests."""
    global _clock  # noqa: PLW0603 - the one place where the clock is replaced
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
