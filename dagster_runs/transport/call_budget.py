"""Tighter limits on retries and waiting, for all calls of a thread, including those that fetch a token."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_WITHIN = 10.0
"""Seconds to wait for a response, or for another thread that is fetching the token."""
MAX_RETRIES = 1
ALL_WITHIN = 20.0
"""Seconds after which a call is not retried again."""

_depths = threading.local()


@contextmanager
def with_call_budget() -> Iterator[None]:
    """Applies the tighter limits to this thread's calls inside the block."""
    _depths.depth = getattr(_depths, "depth", 0) + 1
    try:
        yield
    finally:
        _depths.depth -= 1


def has_call_budget() -> bool:
    """Whether the tighter limits apply to this thread."""
    return getattr(_depths, "depth", 0) > 0
