"""Amperity's lists, with filters and cursor-based pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.amperity.problems import read_time, refuse
from dagster_runs.sandbox.amperity.workflow import word
from dagster_runs.sandbox.exchange import ApiResponse, Call
from dagster_runs.sandbox.runs import Run

PAGING = ("limit", "next_token", "with_total")
WINDOWS = ("created_from", "created_to", "ended_from", "ended_to")
FILTERS = (*WINDOWS, "state", "type")

# Neither value is documented, but it is documented that a page may have fewer items than requested.
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
# The specification gives these defaults. It is not known whether the server applies them.
_DEFAULTS = {"state": "succeeded", "type": "courier.group/run"}


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_HasId)


def filtered(runs: Sequence[Run], call: Call, now: float, settings: Mapping[str, Any]) -> list[Run]:
    """Returns the runs that match the query, in the given order."""
    query = {**(_DEFAULTS if settings["list_defaults"] else {}), **call.query}
    window = {name: read_time(name, query.get(name)) for name in WINDOWS}
    return [
        run
        for run in runs
        if _within(run.created_at, window["created_from"], window["created_to"])
        and _within(run.ended_at(now), window["ended_from"], window["ended_to"])
        and ("type" not in query or run.kind == query["type"])
        and ("state" not in query or _plain(word(run, now)) == _plain(query["state"]))
    ]


def page(items: Sequence[Item], call: Call, settings: Mapping[str, Any], show: Callable[[Item], Any]) -> ApiResponse:
    """Returns the page that the query requests.

    The cursor identifies the last item of the previous page, so items that are added in front do not shift the pages.
    """
    limit = min(_limit(call), _MAX_LIMIT)
    start = 0
    if "next_token" in call.query:
        last = _read_token(call.query["next_token"])
        start = next((index for index, item in enumerate(items, 1) if item.id == last), 0)
        if not start:
            raise refuse(400, f"next_token is not valid: '{call.query['next_token']}'")
    shown = items[start : start + limit]
    response: dict[str, Any] = {"data": [show(item) for item in shown]}
    if start + limit < len(items):
        response["next_token"] = _token(shown[-1].id)
    elif settings["last_token"] == "empty":
        response["next_token"] = ""
    if _flag(call, "with_total"):
        response["total"] = len(items)
    return ApiResponse(200, response)


def _within(at: float | None, begin: float | None, end: float | None) -> bool:
    if begin is None and end is None:
        return True
    if at is None:
        return False
    seen = times.shown(at)
    return (begin is None or seen >= begin) and (end is None or seen < end)


def _plain(state: str) -> str:
    return "".join(letter for letter in state.lower() if letter.isalnum())


def _limit(call: Call) -> int:
    text = call.query.get("limit", str(_DEFAULT_LIMIT))
    # Not isdigit(), which accepts superscripts.
    if not text.isdecimal() or not text.isascii() or int(text) < 1:
        raise refuse(400, f"limit must be a whole number of at least 1, got '{text}'")
    return int(text)


def _flag(call: Call, name: str) -> bool:
    text = call.query.get(name, "false")
    if text not in ("true", "false"):
        raise refuse(400, f"{name} must be true or false, got '{text}'")
    return text == "true"


def _token(item_id: str) -> str:
    return base64.urlsafe_b64encode(item_id.encode()).decode().rstrip("=")


def _read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
