"""A clock that lets something happen while a step waits."""

from collections.abc import Callable

from dagster_runs.sandbox import Sandbox, SandboxClient
from dagster_runs.testing.clock import SandboxClock


class KitClock(SandboxClock):
    """A clock whose pauses take no real time, and in which something can happen, such as a signal.

    Attributes:
        ahead_of_vendor: Seconds by which our clock is ahead of the vendor's.
    """

    def __init__(self, sandbox: Sandbox | SandboxClient) -> None:
        super().__init__(sandbox)
        self._events: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self.ahead_of_vendor = 0.0

    def wall(self) -> float:
        """Returns the time by our clock, which may be ahead of the vendor's."""
        return super().wall() + self.ahead_of_vendor

    def clear(self) -> None:
        """Drops what has not happened yet, and sets our clock to the vendor's."""
        self._events.clear()
        self.ahead_of_vendor = 0.0

    def when(self, is_due: Callable[[], bool], action: Callable[[], None]) -> None:
        """Calls ``action`` once, in the first pause after which ``is_due`` returns true."""
        self._events.append((is_due, action))

    def sleep(self, seconds: float) -> None:
        """Returns immediately, after what is due has happened."""
        super().sleep(seconds)
        for event in [event for event in self._events if event[0]()]:
            self._events.remove(event)
            event[1]()
