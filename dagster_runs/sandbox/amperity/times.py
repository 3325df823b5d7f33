"""Amperity's times: ISO 8601 in UTC, written with milliseconds. Partial times are accepted as input."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from dagster_runs.sandbox.clock import utc

# A time of day needs a zone, since the documentation requires UTC. A day does not.
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:Z|\+00:00))?")


def show(at: float) -> str:
    """Formats a time like Amperity."""
    return f"{utc(at).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"


def read(text: str) -> float | None:
    """Parses a time or a day to epoch seconds; None for anything else."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    *whole, fraction = found.groups(default="0")
    try:
        moment = datetime(*(int(part) for part in whole), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return moment.timestamp() + float(f"0{fraction}")


def shown(at: float) -> float:
    """Truncates a time to the milliseconds that a response contains."""
    truncated = read(show(at))
    assert truncated is not None  # noqa: S101 - `read` is the inverse of `show`
    return truncated
