"""Decides whether to send a call again, and how long to wait before it."""

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import ConnectionFailedError, VendorError

if TYPE_CHECKING:
    from tenacity import RetryCallState

TRANSIENT_STATUSES = frozenset({408, 425, 429})
FIRST_DELAY = 0.5
MAX_DELAY = 30.0
MAX_RETRY_AFTER = 120.0
"""Seconds. A longer ``Retry-After`` is capped, so that a wrong clock or a typo does not stop us for days."""


def is_transient(error: VendorError) -> bool:
    """Whether the same call may succeed a little later."""
    if error.is_transient or isinstance(error, ConnectionFailedError):
        return True
    return error.status is not None and (error.status in TRANSIENT_STATUSES or 500 <= error.status < 600)


def may_send_again(error: VendorError, *, repeatable: bool) -> bool:
    """Whether the call may be sent again.

    Args:
        error: The error of the last attempt.
        repeatable: Whether sending the call twice is harmless (reads, cancels, starts with an idempotency key). A start
            that is not repeatable is sent again only if the vendor cannot have accepted it.
    """
    return is_transient(error) and (repeatable or not error.may_have_been_accepted)


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Returns the seconds that a ``Retry-After`` header asks for, capped; ``None`` if the header is unusable.

    Args:
        header: Seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: The current time in epoch seconds, for a date.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    if math.isnan(seconds):  # float() accepts "nan"
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def delay(state: "RetryCallState") -> float:
    """Returns the seconds to wait before the next attempt: exponential with jitter, but at least ``Retry-After``."""
    # Imported here because every `dg` command imports this module, through the vendors' runs.
    from tenacity import wait_random_exponential

    backoff = wait_random_exponential(multiplier=2 * FIRST_DELAY, max=MAX_DELAY, min=FIRST_DELAY / 2)(state)
    error = state.outcome.exception() if state.outcome else None
    requested = (
        retry_after_seconds(error.retry_after, current_clock().wall()) if isinstance(error, VendorError) else None
    )
    return max(backoff, requested or 0.0)
