"""Limits on retries and waiting, for all calls of a thread, including those that fetch a token."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

RESPONSE_WITHIN = 10.0
"""Seconds to wait for a response, or for another thread that is fetching the token."""
MAX_RETRIES = 1
ALL_WITHIN = 20.0
"""Seconds after which a call is not retried again."""

_is_limited: ContextVar[bool] = ContextVar("dagster_runs_call_budget", default=False)

_leaves_rate_limit: ContextVar[bool] = ContextVar("dagster_runs_leaves_rate_limit", default=False)


@contextmanager
def with_call_budget() -> Iterator[None]:
    """Applies the tighter limits to this thread's calls inside the block."""
    token = _is_limited.set(True)
    try:
        yield
    finally:
        _is_limited.reset(token)


def has_call_budget() -> bool:
    """Whether the tighter limits apply to this thread."""
    return _is_limited.get()


@contextmanager
def without_rate_limit_retries() -> Iterator[None]:
    """Inside the block, a call of this thread that is refused with 429 is not retried, because the caller waits."""
    token = _leaves_rate_limit.set(True)
    try:
        yield
    finally:
        _leaves_rate_limit.reset(token)


def retries_rate_limited() -> bool:
    """Whether calls of this thread that are refused with 429 are retried."""
    return not _leaves_rate_limit.get()
