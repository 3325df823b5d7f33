"""Kinds of values that the fields of several vendors' runs have."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator

from dagster_runs.remote_run.state import UtcTime


def _canonical_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID; copy the id from the address of its page") from None


Uuid = Annotated[str, AfterValidator(_canonical_uuid)]
"""A UUID in any of its spellings."""


def _written_as_time(value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one as well
        return value
    if not isinstance(value, str) or _is_number(value):
        # pydantic would take a number for seconds since 1970.
        raise ValueError(f"{value!r} is no time; write it as 2026-11-01 or 2026-11-01T06:00:00Z")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Time = Annotated[UtcTime, BeforeValidator(_written_as_time)]
"""A time that a user writes, ISO 8601; one without a zone is UTC."""
