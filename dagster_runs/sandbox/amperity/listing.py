"""Amperity's lists, with filters and cursor-based pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.amperity.errors import parse_time_parameter, rejection
from dagster_runs.sandbox.amperity.workflow import workflow_state
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.runs import Run

PAGING_PARAMETERS = ("limit", "next_token", "with_total")
TIME_FILTERS = ("created_from", "created_to", "ended_from", "ended_to")
FILTERS = (*TIME_FILTERS, "state", "type")

# Neither value is documented, but it is documented that a page may have fewer items than requested.
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
# The specification gives these defaults. It is not known whether the server applies them.
_DEFAULT_FILTERS = {"state": "succeeded", "type": "courier.group/run"}


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_HasId)


def filter_runs(runs: Sequence[Run], request: ApiRequest, now: float, settings: Mapping[str, Any]) -> list[Run]:
    """Returns the runs that match the query, in the given order."""
    query = {**(_DEFAULT_FILTERS if settings["list_defaults"] else {}), **request.query}
    window = {name: parse_time_parameter(name, query.get(name)) for name in TIME_FILTERS}
    return [
        run
        for run in runs
        if _is_within(run.created_at, window["created_from"], window["created_to"])
        and _is_within(run.ended_at(now), window["ended_from"], window["ended_to"])
        and ("type" not in query or run.kind == query["type"])
        and ("state" not in query or _normalize_state(workflow_state(run, now)) == _normalize_state(query["state"]))
    ]


def make_page(
    items: Sequence[Item], request: ApiRequest, settings: Mapping[str, Any], render: Callable[[Item], Any]
) -> ApiResponse:
    """Returns the page that the query requests.

    The cursor identifies the last item of the previous page, so items that are added in front do not shift the pages.
    """
    limit = min(_parse_limit(request), _MAX_LIMIT)
    start = 0
    if "next_token" in request.query:
        last_id = _decode_cursor(request.query["next_token"])
        start = next((index for index, item in enumerate(items, 1) if item.id == last_id), 0)
        if not start:
            raise rejection(400, f"next_token is not valid: '{request.query['next_token']}'")
    page = items[start : start + limit]
    response: dict[str, Any] = {"data": [render(item) for item in page]}
    if start + limit < len(items):
        response["next_token"] = _encode_cursor(page[-1].id)
    elif settings["last_token"] == "empty":
        response["next_token"] = ""
    if _parse_flag(request, "with_total"):
        response["total"] = len(items)
    return ApiResponse(200, response)


def _is_within(timestamp: float | None, begin: float | None, end: float | None) -> bool:
    if begin is None and end is None:
        return True
    if timestamp is None:
        return False
    listed = times.truncate_to_milliseconds(timestamp)
    return (begin is None or listed >= begin) and (end is None or listed < end)


def _normalize_state(state: str) -> str:
    return "".join(char for char in state.lower() if char.isalnum())


def _parse_limit(request: ApiRequest) -> int:
    text = request.query.get("limit", str(_DEFAULT_LIMIT))
    # Not isdigit(), which accepts superscripts.
    if not text.isdecimal() or not text.isascii() or int(text) < 1:
        raise rejection(400, f"limit must be a whole number of at least 1, got '{text}'")
    return int(text)


def _parse_flag(request: ApiRequest, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise rejection(400, f"{name} must be true or false, got '{text}'")
    return text == "true"


def _encode_cursor(item_id: str) -> str:
    return base64.urlsafe_b64encode(item_id.encode()).decode().rstrip("=")


def _decode_cursor(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
