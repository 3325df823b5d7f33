"""Counts the requests within one second of real time."""

from __future__ import annotations

from collections import deque

_WINDOW_SECONDS = 1.0


class RequestRate:
    """Counts the requests of each account in a sliding window of one second.

    The count is exact: the window with the most requests ends with an arrival, so it is enough to check at each
    arrival. Two requests that are a whole second apart are not in the same window.

    Attributes:
        peak: The maximum number of requests of one account within one second.
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        self.peak = 0

    def record(self, account: str, arrived_at: float) -> int:
        """Records a request, and returns the number of requests in the second that ends with it.

        Args:
            account: The account that sent the request.
            arrived_at: The time of arrival, by a monotonic clock.
        """
        recent = self._recent.setdefault(account, deque())
        while recent and arrived_at - recent[0] >= _WINDOW_SECONDS:
            recent.popleft()
        recent.append(arrived_at)
        self.peak = max(self.peak, len(recent))
        return len(recent)
