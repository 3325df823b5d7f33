"""Field types that the runs of several vendors share."""

import re
from datetime import date
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator

from dagster_runs.remote_run.state import UtcTime

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


def is_address(text: str, *, of_a_name: bool = False) -> bool:
    """Whether ``text`` is the URL of a page rather than an id.

    Args:
        text: The user's value.
        of_a_name: Whether the field takes a name. A name may look like ``v1.2/orders``, so only a text that starts with
            ``https://`` or ``http://`` counts as a URL.
    """
    without_scheme = "" if of_a_name else r"|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/"
    return bool(re.match(rf"\s*(https?://{without_scheme})", text))


def id_in_address(text: str, pattern: str, what: str, *, more: str = "") -> str:
    """Returns the error message for a pasted URL. It names the id if the URL contains exactly one.

    Args:
        text: The URL.
        pattern: A regular expression for the id. Its first group, if it has one, is the id.
        what: The name of the id, for the message.
        more: What to add to the message if the id cannot be determined.
    """
    found = list(dict.fromkeys(re.findall(pattern, unquote(text))))
    if len(found) == 1:
        return f"this is the URL of a page; {what} is the part {found[0]!r}, so enter only that part"
    return f"this is the URL of a page; enter only {what}{more}"


def _canonical_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    if is_address(text):
        # The URL of a results page contains the id of a run, which is not the id of the object that was run.
        without_runs = re.sub(rf"\brun_?id={_UUID}", "", unquote(text), flags=re.IGNORECASE)
        raise ValueError(id_in_address(without_runs, _UUID, "the id", more=", a UUID as in the URL of its page"))
    raise ValueError(f"{text!r} is not a UUID; copy the id from the URL of its page")


Uuid = Annotated[str, AfterValidator(_canonical_uuid)]
"""A UUID in any spelling, converted to the canonical one."""


def _written_as_time(value: Any) -> Any:
    if isinstance(value, date):  # includes datetime
        return value
    if not isinstance(value, str) or _is_number(value):
        # pydantic would interpret a number as seconds since 1970.
        raise ValueError(f"{value!r} is not a time; write it as 2026-11-01 or 2026-11-01T06:00:00Z")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Time = Annotated[UtcTime, BeforeValidator(_written_as_time)]
"""A time in ISO 8601 that a user enters. A time without a zone is UTC."""
