"""Client-side rate limits, shared by everything in this process that talks to one account."""

import threading
import time
from collections import deque

_ON_THE_WAY = 0.025
"""Seconds by which one request may take longer to arrive than another. Measured on a busy machine: about 10 ms."""

_turns: dict[str, "_Turns"] = {}
_lock = threading.Lock()


def wait_for_turn(account: str, requests_per_second: float | None) -> None:
    """Block until one more request to ``account`` keeps within the limit; ``None`` is no limit."""
    if requests_per_second is None:
        return
    with _lock:
        turns = _turns.setdefault(account, _Turns())
    # Below one request a second a whole request is let through in a longer window.
    whole = max(1, int(requests_per_second))
    turns.wait(whole, whole / requests_per_second + _ON_THE_WAY)


class _Turns:
    """The moments at which an account's last requests were let through, one caller after the other.

    The clock is the real one, since the vendor counts by it. pyrate-limiter, measured on a busy machine, let 11
    requests into a second: it reckons with the moments at which callers were to wake up, not those at which they did.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: deque[float] = deque(maxlen=1)

    def wait(self, most: int, seconds: float) -> None:
        """Block until fewer than ``most`` requests were let through in the last ``seconds``."""
        with self._lock:
            if most > (self._last.maxlen or 0):
                self._last = deque(self._last, maxlen=most)
            if len(self._last) >= most:
                pause = self._last[-most] + seconds - time.monotonic()
                if pause > 0:
                    time.sleep(pause)  # the others wait for this one, and then each for its own turn
            self._last.append(time.monotonic())
