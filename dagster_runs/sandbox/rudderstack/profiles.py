"""Profiles runs as the API shows them."""

from __future__ import annotations

from typing import Any

from dagster_runs.sandbox.rudderstack.shape import error_message, format_time
from dagster_runs.sandbox.runs import Run

_DEFAULT_ERROR = "model models/user_features failed: column ORDERS.AMOUNT does not exist"


def render_run(run: Run, status: str, now: float) -> dict[str, Any]:
    """Returns the status of a run, in the spelling that its behavior asks for."""
    render = _render_snake_case if run.plan.options.get("field_case") == "snake" else _render_camel_case
    return render(run, status, now)


def _render_camel_case(run: Run, status: str, now: float) -> dict[str, Any]:
    response: dict[str, Any] = {
        "jobId": run.target_id,
        "jobRunId": run.id,
        "status": status,
        "startedAt": format_time(run.started_at(now)),
        "finishedAt": format_time(run.ended_at(now)),
        "tasks": [
            {
                "taskId": name,
                "taskRunId": f"{run.id}-{name}",
                "startedAt": format_time(start),
                "finishedAt": format_time(end),
            }
            for name, start, end in _started_tasks(run, now)
        ],
        "error": error_message(run, now, _DEFAULT_ERROR) or None,
    }
    return {name: value for name, value in response.items() if value is not None}


def _render_snake_case(run: Run, status: str, now: float) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_id": run.target_id,
        "status": status,
        "error": error_message(run, now, _DEFAULT_ERROR) or "",
        "started_at": format_time(run.started_at(now), snake=True),
        "finished_at": format_time(run.ended_at(now), snake=True),
        "tasks": [
            {
                "task_id": name,
                "task_run_id": f"{run.id}-{name}",
                "job_id": run.target_id,
                "started_at": format_time(start, snake=True),
                "finished_at": format_time(end, snake=True),
            }
            for name, start, end in _started_tasks(run, now)
        ],
    }


def _started_tasks(run: Run, now: float) -> list[tuple[str, float, float | None]]:
    """Returns the tasks that have started, in order: name, start, end."""
    tasks: list[tuple[str, float, float | None]] = []
    names = run.plan.options.get("tasks") or ("wht",)
    share = run.plan.running_seconds / len(names)
    for number, name in enumerate(names):
        start, end = run.starts_at + number * share, run.starts_at + (number + 1) * share
        if start <= now:
            tasks.append((name, start, end if end <= now else None))
    return tasks
