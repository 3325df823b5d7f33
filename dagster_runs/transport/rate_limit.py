"""Client-side rate limits, shared by everything in this process that talks to one account."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrate_limiter import Limiter

_limiters: dict[tuple[str, float], "Limiter"] = {}
_lock = threading.Lock()


def wait_for_turn(account: str, requests_per_second: float | None) -> None:
    """Block until one more request to ``account`` keeps within the limit; ``None`` is no limit."""
    if requests_per_second is not None:
        _limiter(account, requests_per_second).try_acquire(account)


def _limiter(account: str, requests_per_second: float) -> "Limiter":
    from pyrate_limiter import Limiter, Rate  # 70 ms to import, and most vendors need no limit

    with _lock:
        limiter = _limiters.get((account, requests_per_second))
        if limiter is None:
            # Below one request a second a whole request is let through in a longer window.
            whole = max(1, int(requests_per_second))
            limiter = Limiter(Rate(whole, round(1000 * whole / requests_per_second)))
            _limiters[account, requests_per_second] = limiter
        return limiter
