"""Amperity's times: ISO 8601 in UTC, written with milliseconds. Partial times are accepted as input."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from dagster_runs.sandbox.clock import to_utc

# A time of day needs a zone, since the documentation requires UTC. A day does not.
_TIME_PATTERN = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:Z|\+00:00))?")


def format_time(timestamp: float) -> str:
    """Formats a time like Amperity."""
    return f"{to_utc(timestamp).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"


def parse_time(text: str) -> float | None:
    """Parses a time or a day to epoch seconds; None for anything else."""
    match = _TIME_PATTERN.fullmatch(text)
    if match is None:
        return None
    *parts, fraction = match.groups(default="0")
    try:
        moment = datetime(*(int(part) for part in parts), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return moment.timestamp() + float(f"0{fraction}")


def truncate_to_milliseconds(timestamp: float) -> float:
    """Truncates a time to the milliseconds that a response contains."""
    truncated = parse_time(format_time(timestamp))
    assert truncated is not None  # noqa: S101 - `parse_time` is the inverse of `format_time`
    return truncated
