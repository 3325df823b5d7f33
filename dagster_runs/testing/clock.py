"""A clock for tests: pauses take no real time, and advance the sandbox's time instead."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from dagster_runs.sandbox import Sandbox, SandboxClient
from dagster_runs.transport.clock import Clock, use_clock


class SandboxClock(Clock):
    """A clock whose pauses take no real time. They advance the sandbox's time instead.

    Attributes:
        pauses: The seconds of every pause so far.
        max_sleep: Unlimited, because nothing else can happen during a pause that takes no time.
    """

    max_sleep = math.inf

    def __init__(self, sandbox: Sandbox | SandboxClient) -> None:
        self._sandbox = sandbox
        self._ahead = sandbox.now() - super().wall()
        self.pauses: list[float] = []

    def wall(self) -> float:
        """Returns the machine's time plus all pauses."""
        return super().wall() + self._ahead

    def monotonic(self) -> float:
        """Returns the machine's monotonic time plus all pauses."""
        return super().monotonic() + self._ahead

    def uptime(self) -> float:
        """Returns the machine's uptime plus all pauses, so that time differences are the same as with ``wall``."""
        return super().uptime() + sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        """Returns immediately, after advancing the sandbox's time by that many seconds."""
        self.pauses.append(seconds)
        self._ahead += seconds
        if seconds > 0:
            self._sandbox.advance(seconds)


@contextmanager
def fast_forward(sandbox: Sandbox | SandboxClient) -> Iterator[SandboxClock]:
    """Makes pauses in this process take no real time inside the block. They advance the sandbox's time instead."""
    clock = SandboxClock(sandbox)
    with use_clock(clock):
        yield clock
