"""How many requests came within one second of real time."""

from __future__ import annotations

from collections import deque

_WINDOW = 1.0


class RequestRate:
    """Counts the requests of each account in a sliding second.

    It is exact: the fullest of all possible seconds ends with an arrival, so looking at each arrival misses none.
    Two requests that are a whole second apart are not in the same one.

    Attributes:
        busiest: The most requests of one account that came within one second.
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        self.busiest = 0

    def count(self, account: str, at: float) -> int:
        """Note a request; tells how many came in the second that ends with it.

        Args:
            account: Whose request it is.
            at: When it came, by a clock that never goes back.
        """
        recent = self._recent.setdefault(account, deque())
        while recent and at - recent[0] >= _WINDOW:
            recent.popleft()
        recent.append(at)
        self.busiest = max(self.busiest, len(recent))
        return len(recent)
