"""Amperity's times: ISO 8601 in UTC, written with milliseconds, read also when they are partial."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from dagster_runs.sandbox.clock import utc

# A time of day needs its zone, since "in UTC" is what the documentation asks for; a day does not.
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:Z|\+00:00))?")


def show(at: float) -> str:
    """A time as Amperity writes it."""
    return f"{utc(at).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"


def read(text: str) -> float | None:
    """A time or a day in epoch seconds; None for anything else."""
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
    """The time that a reader of the answer sees, without what the milliseconds cut off."""
    seen = read(show(at))
    assert seen is not None  # noqa: S101 - one's inverse is the other
    return seen
