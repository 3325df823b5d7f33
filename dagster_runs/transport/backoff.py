"""Slows down the requests for an account after the vendor refused one with 429, in everything in this process.

Other processes and other machines may use the same account, and only the vendor counts all requests. So each process
learns from refusals: each one doubles the pause, and each accepted request shortens it by a tenth. So no matter how
many processes there are, no more than about one request in eight is refused in the long run.
"""

import random
import threading

from dagster_runs.transport.clock import Clock, current_clock
from dagster_runs.transport.retry import retry_after_seconds

FIRST_PAUSE = 6.0
"""The mean pause in seconds after the first refusal."""
MAX_PAUSE = 60.0
_GROWTH, _DECAY = 2.0, 0.9
_FORGOTTEN_BELOW = 0.5
"""The mean pause in seconds below which refusals are forgotten, because no run is polled more often."""
_MIN_DELAY = 0.1
"""The seconds for which a request must have waited for its turn, to show that the limit is exhausted."""
_REFUSED, _HAS_RETRY_AFTER = 429, (429, 503)

_backoffs: dict[str, "Backoff"] = {}
_lock = threading.Lock()


def backoff_of(account: str) -> "Backoff":
    """Returns the backoff that everything in this process shares for an account."""
    with _lock:
        return _backoffs.setdefault(account, Backoff())


class Backoff:
    """What the responses for one account say about its rate limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock: Clock | None = None
        self._forget()

    def _forget(self) -> None:
        self._mean = 0.0
        self._raised_at = self._not_before = float("-inf")
        self._delay = 0.0

    def _now(self) -> float:
        """Returns the current time. If a test has replaced the clock, the times that are known mean nothing."""
        clock = current_clock()
        if clock is not self._clock:
            self._forget()
            self._clock = clock
        return clock.monotonic()

    def observe(self, status: int, retry_after: str | None, *, sent_at: float, delayed: float = 0.0) -> None:
        """Records a response.

        Args:
            status: Its status.
            retry_after: Its ``Retry-After`` header.
            sent_at: When the request was sent, in monotonic seconds.
            delayed: The seconds that the client-side rate limit had delayed the request.
        """
        with self._lock:
            now = self._now()
            self._delay = max(delayed, self._delay * _DECAY)
            if status == _REFUSED and sent_at >= self._raised_at:
                # Requests that were sent before the pause was raised say nothing about the new one.
                self._mean = min(MAX_PAUSE, max(FIRST_PAUSE, _GROWTH * self._mean))
                self._raised_at = now
            elif status < _REFUSED:
                self._mean *= _DECAY
                if self._mean < _FORGOTTEN_BELOW:
                    self._mean = 0.0
            if status in _HAS_RETRY_AFTER:
                seconds = retry_after_seconds(retry_after, current_clock().wall())
                self._not_before = max(self._not_before, now + (seconds or 0.0))

    @property
    def retry_after(self) -> float:
        """The seconds until the vendor allows the next request, according to ``Retry-After``; 0 if it allows one."""
        with self._lock:
            now = self._now()  # first, because it may forget the rest
            return max(0.0, self._not_before - now)

    @property
    def is_slowed_down(self) -> bool:
        """Whether the account's rate limit is currently exhausted: requests are refused, or wait for their turn."""
        with self._lock:
            self._now()
            return self._mean > 0 or self._delay > _MIN_DELAY

    def pause(self) -> float:
        """Returns the seconds until the next request, for a caller that can wait: 0 unless the limit is exhausted.

        The pause is random, so that requests that were refused at the same time are not sent again at the same time.
        """
        remaining = self.retry_after
        with self._lock:
            self._now()
            return remaining + random.uniform(0.0, 2.0) * max(self._mean, self._delay)
