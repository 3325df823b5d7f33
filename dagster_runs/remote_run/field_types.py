"""Kinds of values that the fields of several vendors' runs have."""

import re
from datetime import date
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator

from dagster_runs.remote_run.state import UtcTime

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


def is_address(text: str, *, of_a_name: bool = False) -> bool:
    """Whether ``text`` is the address of a page rather than an id.

    Args:
        text: What the user gave.
        of_a_name: Whether a name is wanted, which may itself look like ``v1.2/orders``: then only with ``https://``.
    """
    without_scheme = "" if of_a_name else r"|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/"
    return bool(re.match(rf"\s*(https?://{without_scheme})", text))


def id_in_address(text: str, pattern: str, what: str, *, more: str = "") -> str:
    """What to copy from a pasted address: an id that it holds, where there is just one.

    Args:
        text: The address.
        pattern: What such an id looks like, as a regular expression; its first group, if it has one, is the id.
        what: The id in words.
        more: What to do where the id cannot be told.
    """
    found = list(dict.fromkeys(re.findall(pattern, unquote(text))))
    if len(found) == 1:
        return f"this is the address of a page; {what} is the part {found[0]!r} of it, so write that alone"
    return f"this is the address of a page; write {what} alone{more}"


def _canonical_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    if is_address(text):
        # The id of a run in a results page's address is not that of what was run.
        without_runs = re.sub(rf"\brun_?id={_UUID}", "", unquote(text), flags=re.IGNORECASE)
        raise ValueError(id_in_address(without_runs, _UUID, "the id", more=", a UUID as in the address of its page"))
    raise ValueError(f"{text!r} is not a UUID; copy the id from the address of its page")


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
