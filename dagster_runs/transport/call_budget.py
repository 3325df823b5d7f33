"""Whether this thread is in a hurry: then neither its calls nor those for a token are waited for long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_WITHIN = 10.0
"""Seconds that an answer is waited for, or another thread that is fetching the token."""
MAX_RETRIES = 1
ALL_WITHIN = 20.0
"""Seconds after which no further try of one call begins."""

_depths = threading.local()


@contextmanager
def with_call_budget() -> Iterator[None]:
    """Inside the block this thread is in a hurry."""
    _depths.depth = getattr(_depths, "depth", 0) + 1
    try:
        yield
    finally:
        _depths.depth -= 1


def has_call_budget() -> bool:
    """Whether this thread is."""
    return getattr(_depths, "depth", 0) > 0
