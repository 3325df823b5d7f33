"""Client-side rate limits, shared by everything in this process that uses the same account."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from dagster_runs.transport import machine_rate_limit

_MAX_ARRIVAL_DELAY = 1.0
"""Seconds after which a request without a response has certainly arrived at the vendor."""

_windows: dict[str, "_RequestWindow"] = {}
_lock = threading.Lock()


@contextmanager
def rate_limited(account: str, requests_per_second: float | None, *, on_machine: str | None = None) -> Iterator[None]:
    """Waits until the rate limit allows another request, which must be sent inside the block.

    Args:
        account: The account that the limit applies to.
        requests_per_second: The limit; ``None`` for no limit.
        on_machine: The name of the account for the processes on this machine that share the limit; ``None`` to share it
            only within this process.
    """
    if requests_per_second is None:
        yield
        return
    with _lock:
        window = _windows.setdefault(account, _RequestWindow())
    # For a limit below one request per second, the window is longer and allows one request.
    limit = max(1, int(requests_per_second))
    if on_machine is not None:
        time.sleep(machine_rate_limit.reserve(on_machine, limit, limit / requests_per_second))
    number = window.begin(limit, limit / requests_per_second)
    try:
        yield
    finally:
        window.end(number)


class _RequestWindow:
    """The latest requests of one account.

    The vendor counts the arrival of each request. The client only knows that a request arrived between its start and
    its response, which may be a quarter of a second or more with a new connection or on a busy machine. So a request
    counts until a whole window has passed after its response, and the vendor never sees too many within a window.

    This uses the real clock, because the vendor does.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = count()
        self._pending: dict[int, float] = {}
        self._arrived: list[float] = []
        self._window = 0.0

    def begin(self, limit: int, seconds: float) -> int:
        """Blocks until fewer than ``limit`` requests can have arrived in the last ``seconds``.

        Returns:
            The number of the new request.
        """
        with self._changed:
            self._window = max(self._window, seconds)
            while (pause := self._pause(limit, seconds)) is not None:
                self._changed.wait(pause)
            number = next(self._numbers)
            self._pending[number] = time.monotonic()
            return number

    def end(self, number: int) -> None:
        """Records that the response has arrived or was lost."""
        with self._changed:
            if self._pending.pop(number, None) is not None:
                self._arrived.append(time.monotonic())
                self._changed.notify_all()

    def _pause(self, limit: int, seconds: float) -> float | None:
        """Returns the seconds to wait before checking again; ``None`` if another request is allowed now."""
        now = time.monotonic()
        for number, sent in list(self._pending.items()):
            if sent + _MAX_ARRIVAL_DELAY <= now:
                del self._pending[number]
                self._arrived.append(sent + _MAX_ARRIVAL_DELAY)
        self._arrived = [at for at in self._arrived if at > now - self._window]
        # Pending requests count as arriving now. The others leave the window one at a time.
        leave = sorted(at + seconds - now for at in self._arrived if at > now - seconds)
        room = limit - len(leave) - len(self._pending)
        if room > 0:
            return None
        too_many = 1 - room
        arrive_by = [sent + _MAX_ARRIVAL_DELAY - now for sent in self._pending.values()]
        return leave[too_many - 1] if too_many <= len(leave) else max(0.001, *arrive_by)
