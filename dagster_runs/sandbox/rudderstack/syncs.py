"""Reverse ETL syncs as the API shows them, and the list of a connection's syncs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.rudderstack.bodies import rejection
from dagster_runs.sandbox.rudderstack.shape import error_message, format_time
from dagster_runs.sandbox.runs import Phase, Run

_STOPPED = "The sync was stopped"
_DEFAULT_ERROR = "the warehouse refused the connection"
_STATUSES = ("running", "succeeded", "failed")
_MAX_PER_PAGE = 100
_ROWS = {"changed": 1200, "succeeded": 1200, "failed": 0, "total": 48_000}


def render_sync(run: Run, status: str, now: float) -> dict[str, Any]:
    """Returns a sync, in the spelling that its behavior asks for. It names neither its connection nor its type."""
    snake = run.plan.options.get("field_case") == "snake"
    was_stopped = run.outcome == "cancel" and run.phase(now) is Phase.ENDED
    sync = {
        "id": run.id,
        "status": status,
        "started_at" if snake else "startedAt": format_time(run.started_at(now), snake=snake),
        "finished_at" if snake else "finishedAt": format_time(run.ended_at(now), snake=snake),
        "error": _STOPPED if was_stopped else error_message(run, now, _DEFAULT_ERROR),
        "metrics": _metrics(run, now),
    }
    return {name: value for name, value in sync.items() if value is not None}


def _metrics(run: Run, now: float) -> dict[str, Any] | None:
    rows = run.plan.options.get("rows", _ROWS)
    if rows is None:
        return None
    share = run.progress(now)
    so_far = {name: int(rows.get(name, 0) * (share if name in ("succeeded", "failed") else 1)) for name in _ROWS}
    total = so_far.pop("total")
    if run.plan.options.get("metrics_shape") == "flat":
        return {**so_far, "total": total}
    return {**{name: {"total": count} for name, count in so_far.items()}, "total": total}


def list_syncs(request: ApiRequest, runs: list[Run], status_of: Callable[[Run], str], now: float) -> ApiResponse:
    """Returns a page of a connection's syncs, newest first."""
    status = request.query.get("status")
    if status is not None and status not in _STATUSES:
        raise rejection(f"status must be one of {', '.join(_STATUSES)}", status="is not allowed")
    after, before = _time(request, "started_after"), _time(request, "started_before")
    per_page, number = _integer(request, "per_page", 20, _MAX_PER_PAGE), _integer(request, "page", 1, None)
    found = [
        run
        for run in reversed(runs)
        if (status is None or status_of(run) == status)
        and (after is None or run.starts_at > after)
        and (before is None or run.starts_at < before)
    ]
    page = found[(number - 1) * per_page : number * per_page]
    paging: dict[str, Any] = {"total": len(found)}
    if number * per_page < len(found):
        paging["next"] = f"{request.path.removeprefix('/rudderstack/v2')}?page={number + 1}"
    return ApiResponse(200, {"syncs": [render_sync(run, status_of(run), now) for run in page], "paging": paging})


def _time(request: ApiRequest, name: str) -> float | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise rejection(f"{name} must be a time in UTC", **{name: "is not a time"}) from None
    if time.tzinfo is None:
        raise rejection(f"{name} must be a time in UTC", **{name: "has no zone"})
    return time.timestamp()


def _integer(request: ApiRequest, name: str, default: int, maximum: int | None) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise rejection(f"{name} must be a positive integer", **{name: "is not a positive integer"})
    return int(text) if maximum is None else min(int(text), maximum)
