"""Whether to send a call again, and after how long."""

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
"""Seconds. Longer requests are cut to this: a wrong clock or a typo must not stop us for days."""


def is_transient(error: VendorError) -> bool:
    """Whether the same call may succeed a little later."""
    if error.is_transient or isinstance(error, ConnectionFailedError):
        return True
    return error.status is not None and (error.status in TRANSIENT_STATUSES or 500 <= error.status < 600)


def may_send_again(error: VendorError, *, repeatable: bool) -> bool:
    """Whether the call may be sent again.

    Args:
        error: How the last try ended.
        repeatable: Whether sending it twice does no harm (reads, cancels, starts with an idempotency key). A start that
            is not repeatable goes out again only if the vendor cannot have accepted it.
    """
    return is_transient(error) and (repeatable or not error.may_have_been_accepted)


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, capped; ``None`` where it says nothing usable.

    Args:
        header: Seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: The time in epoch seconds, to which a date is relative.
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
    if math.isnan(seconds):  # which parses as a number
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def delay(state: "RetryCallState") -> float:
    """Seconds to wait before the next try: exponential with jitter, and never less than the server asked for."""
    # Vendors import this module with their runs, and every `dg` command imports those.
    from tenacity import wait_random_exponential

    backoff = wait_random_exponential(multiplier=2 * FIRST_DELAY, max=MAX_DELAY, min=FIRST_DELAY / 2)(state)
    error = state.outcome.exception() if state.outcome else None
    asked = retry_after_seconds(error.retry_after, current_clock().wall()) if isinstance(error, VendorError) else None
    return max(backoff, asked or 0.0)
