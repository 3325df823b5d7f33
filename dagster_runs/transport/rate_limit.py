"""Client-side rate limits, shared by everything in this process that talks to one account."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_LATEST = 1.0
"""Seconds after which a request that is not answered yet has arrived for certain."""

_turns: dict[str, "_Turns"] = {}
_lock = threading.Lock()


@contextmanager
def turn(account: str, requests_per_second: float | None) -> Iterator[None]:
    """Wait until one more request to ``account`` keeps within the limit, and send it inside the block.

    Args:
        account: Whose limit it is.
        requests_per_second: The limit; ``None`` is none.
    """
    if requests_per_second is None:
        yield
        return
    with _lock:
        turns = _turns.setdefault(account, _Turns())
    # Below one request a second a whole request is let through in a longer window.
    whole = max(1, int(requests_per_second))
    number = turns.begin(whole, whole / requests_per_second)
    try:
        yield
    finally:
        turns.end(number)


class _Turns:
    """An account's last requests.

    The vendor counts arrivals, of which the client knows only that they lie between the moment at which a request was
    let through and its answer: with a new connection, or on a busy machine, that is a quarter of a second and more. So
    a request counts until its window has passed since its answer, and no second can see too many.

    The clock is the real one, since the vendor counts by it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = count()
        self._under_way: dict[int, float] = {}
        self._arrived: list[float] = []
        self._window = 0.0

    def begin(self, most: int, seconds: float) -> int:
        """Block until fewer than ``most`` requests can have arrived in the last ``seconds``; the request's number."""
        with self._changed:
            self._window = max(self._window, seconds)
            while (pause := self._pause(most, seconds)) is not None:
                self._changed.wait(pause)
            number = next(self._numbers)
            self._under_way[number] = time.monotonic()
            return number

    def end(self, number: int) -> None:
        """The request was answered, or lost."""
        with self._changed:
            if self._under_way.pop(number, None) is not None:
                self._arrived.append(time.monotonic())
                self._changed.notify_all()

    def _pause(self, most: int, seconds: float) -> float | None:
        """Seconds after which to look again; ``None`` if there is room."""
        now = time.monotonic()
        for number, sent in list(self._under_way.items()):
            if sent + _LATEST <= now:
                del self._under_way[number]
                self._arrived.append(sent + _LATEST)
        self._arrived = [at for at in self._arrived if at > now - self._window]
        # Those under way count as arriving now, the others leave the window one after the other.
        leave = sorted(at + seconds - now for at in self._arrived if at > now - seconds)
        room = most - len(leave) - len(self._under_way)
        if room > 0:
            return None
        too_many = 1 - room
        latest = [sent + _LATEST - now for sent in self._under_way.values()]
        return leave[too_many - 1] if too_many <= len(leave) else max(0.001, *latest)
