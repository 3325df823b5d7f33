"""Limits on retries and waiting, for all calls of a thread, including those that fetch a token."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dagster_runs.transport.clock import current_clock

RESPONSE_WITHIN = 10.0
"""Seconds to wait for a response, or for another thread that is fetching the token."""
MAX_RETRIES = 1
ALL_WITHIN = 20.0
"""Seconds after which a call is not retried again."""

_is_limited: ContextVar[bool] = ContextVar("dagster_runs_call_budget", default=False)
_ends_at: ContextVar[float] = ContextVar("dagster_runs_calls_end_at", default=math.inf)

_leaves_rate_limit: ContextVar[bool] = ContextVar("dagster_runs_leaves_rate_limit", default=False)


@contextmanager
def with_call_budget(until: float = math.inf) -> Iterator[None]:
    """Applies the tighter limits to this thread's calls inside the block.

    Args:
        until: Monotonic seconds at which all calls end, including those in progress.
    """
    token, end_token = _is_limited.set(True), _ends_at.set(min(until, _ends_at.get()))
    try:
        yield
    finally:
        _is_limited.reset(token)
        _ends_at.reset(end_token)


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


def seconds_left() -> float:
    """Returns the seconds until this thread's calls must end; infinite if they have no such limit."""
    return _ends_at.get() - current_clock().monotonic()
