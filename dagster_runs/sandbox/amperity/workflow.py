"""The JSON of workflows and their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.runs import Phase, Run

COURIER_GROUP_RUN = "courier.group/run"
ORCHESTRATION_GROUP_RUN = "amperity.orchestration.orchestration/run"
CAMPAIGN_SEND, CAMPAIGN_FETCH = "campaign.send", "campaign.fetch"

STATE_CASES = ("lower", "title", "kebab", "snake")

_DEFAULT_ERROR = (
    "Found table in an invalid state: loyalty_members. This error can be resolved by removing this table or by "
    "loading data to the table."
)
_STOPPED_MESSAGE = "Workflow manually stopped"
# The documentation's pages on fetching a run and on stopping a run use different states.
_STATE_NAMES = {
    "fetch": {"start": "started", "run": "in progress", "stop": "stopping"},
    "stop": {"start": "running", "run": "running", "stop": "canceling"},
}
# Labels from the documentation, with plausible task types.
_TASKS = {
    COURIER_GROUP_RUN: (
        ("Updating domain tables", "domain-table.update", "spark-sql"),
        ("Generating database", "database.generate", "databricks"),
        ("Validating database Customer 360", "database.validate", "prodigal"),
    ),
    ORCHESTRATION_GROUP_RUN: (
        ("Running segment", "segment.run", "prodigal-aurora"),
        ("Getting query results", "query.results", "prodigal"),
        ("Syncing tables", "bridge.sync", "legacy"),
    ),
    CAMPAIGN_SEND: (
        ("Getting segment results", "segment.results", "prodigal"),
        (
            "Appending outputs of treatment Loyal into campaign recipients table",
            "campaign.append-results",
            "spark-sql",
        ),
        ("Recording segment tracking history", "segment.track", "legacy"),
    ),
}


def workflow_state(run: Run, now: float) -> str:
    """Returns the workflow's state. The state of a held run is exactly as in the test."""
    phase = run.phase(now)
    if phase is Phase.HELD:
        return str(run.plan.hold)
    names = _STATE_NAMES[run.plan.options.get("state_names", "fetch")]
    if phase is Phase.QUEUED:
        return _format_state("scheduled", run)
    if phase is Phase.CANCELING:
        return _format_state(names["stop"], run)
    if phase is Phase.ENDED:
        final = {"succeed": "succeeded", "fail": "failed", "cancel": run.plan.options.get("stopped_state", "canceled")}
        return _format_state(final[run.outcome], run)
    if any(task.outcome == "failed" and task.ends_at <= now for task in _tasks(run)):
        return _format_state("running with failures", run)
    return _format_state(names["start" if run.progress(now) < 0.1 else "run"], run)


def render_overview(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the seven fields of the overview. `ended_at` is included only after the end."""
    ended_at = run.ended_at(now)
    end = {} if ended_at is None else {"ended_at": times.format_time(ended_at)}
    return {
        "type": run.kind,
        **end,
        "id": run.id,
        "tenant": tenant,
        "created_at": times.format_time(run.created_at),
        "name": name,
        "state": workflow_state(run, now),
    }


def render_principal(run: Run) -> dict[str, str]:
    """Returns the user or system that started the workflow. Only a user has an email address."""
    if run.source == "api":
        return {"principal_id": "api-key|amp-sandbox", "principal_name": "Sandbox API key"}
    if run.source == "scheduler":
        return {"principal_id": "system|scheduler", "principal_name": "Automated workflow"}
    address = f"{run.source}@example.com"
    return {
        "principal_id": f"google-apps|{address}",
        "principal_name": run.source.capitalize(),
        "principal_email": address,
    }


def render_started(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the response to a start: everything except the tasks, which do not exist yet."""
    version = f"etv-{run.id.removeprefix('wf-')}"
    warning = run.plan.options.get("warn_after_ms")
    return {
        "task_instances": [],
        **render_overview(run, name, tenant, now),
        **render_principal(run),
        "launched_version": version,
        "current_version": version,
        **({} if warning is None else {"warn_after_ms": warning}),
    }


def render_verbose(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the verbose view."""
    response = {**render_started(run, name, tenant, now), "task_instances": _render_task_instances(run, tenant, now)}
    error = render_error(run, now)
    return response if error is None else {**response, "error": error}


def render_error(run: Run, now: float) -> dict[str, Any] | None:
    """Returns the error of a workflow that failed or was canceled; None for other workflows."""
    if run.phase(now) is not Phase.ENDED or run.outcome == "succeed":
        return None
    if run.outcome == "cancel":
        kind = "amperity.workflow.workflow.repository.core/cancel"
        return {"attribution": "customer", "type": kind, "message": _STOPPED_MESSAGE}
    options = run.plan.options
    data = {"data": options["error_data"]} if "error_data" in options else {}
    attribution = options.get("attribution", "customer")
    return {
        **({} if attribution is None else {"attribution": attribution}),
        "type": options.get("error_type", "amperity.workflow.task.stitch/table"),
        "message": _error_message(run),
        **data,
    }


def check_tasks(behavior: Behavior) -> None:
    """Checks the option `tasks`.

    Raises:
        ValueError: The tasks are invalid.
    """
    tasks = behavior.options.get("tasks")
    if not isinstance(tasks, (list, tuple, type(None))):
        raise ValueError(f"tasks must be a list, got {tasks!r}")  # noqa: TRY004 - like all invalid options
    for task in tasks or ():
        if not isinstance(task, (str, Mapping)) or (not isinstance(task, str) and set(task) - _TASK_FIELDS):
            known = ", ".join(sorted(_TASK_FIELDS))
            raise ValueError(f"a task must be an outcome like 'failed' or a dict with some of {known}; got {task!r}")


_TASK_FIELDS = {"label", "outcome", "error"}


@dataclass(frozen=True)
class _Task:
    """The plan of one task: its start, its end and its outcome."""

    number: int
    label: str
    type: str
    execution: str
    outcome: str
    error: Any
    starts_at: float
    ends_at: float


def _tasks(run: Run) -> list[_Task]:
    """Returns the tasks, which run one after the other in equal shares of the time. Skipped tasks take no time."""
    default_outcomes = ("succeeded", "failed", "skipped") if run.plan.outcome == "fail" else ("succeeded",) * 3
    option = run.plan.options.get("tasks")
    outcomes = default_outcomes if option is None else option
    specified = [{"outcome": task} if isinstance(task, str) else task for task in outcomes]
    templates = _TASKS.get(run.kind, _TASKS[CAMPAIGN_SEND])
    running_tasks = sum(task.get("outcome") != "skipped" for task in specified)
    tasks, finished_tasks = [], 0
    for number, task in enumerate(specified):
        label, kind, execution = templates[number % len(templates)]
        starts_at = _time_after(run, finished_tasks, running_tasks)
        outcome = task.get("outcome", "succeeded")
        finished_tasks += outcome != "skipped"
        tasks.append(
            _Task(
                number=number + 1,
                label=task.get("label", label),
                type=kind,
                execution=execution,
                outcome=outcome,
                error=task.get("error"),
                starts_at=starts_at,
                ends_at=_time_after(run, finished_tasks, running_tasks),
            )
        )
    return tasks


def _time_after(run: Run, finished_tasks: int, running_tasks: int) -> float:
    # The first task starts immediately, even if the running time is infinite (0 * inf would be NaN).
    time = run.starts_at + (run.plan.running_seconds * finished_tasks / running_tasks if finished_tasks else 0.0)
    is_after_hold = run.plan.hold and run.plan.hold_when == "running" and time > run.hold_starts_at
    return time + run.plan.hold_seconds if is_after_hold else time


def _render_task_instances(run: Run, tenant: str, now: float) -> list[dict[str, Any]]:
    if run.started_at(now) is None:
        return []
    return [_render_task_instance(task, run, tenant, now) for task in _tasks(run)]


def _render_task_instance(task: _Task, run: Run, tenant: str, now: float) -> dict[str, Any]:
    state, started_at, ended_at = _task_progress(task, run, now)
    key = f"{run.id.removeprefix('wf-')}{task.number}"
    response: dict[str, Any] = {"id": f"wft-{key}", "state": _format_state(state, run), "tenant": tenant}
    if started_at is not None:
        response[run.plan.options.get("task_start", "created_at")] = times.format_time(started_at)
    if ended_at is not None:
        response["ended_at"] = times.format_time(ended_at)
    changed_at = ended_at if ended_at is not None else started_at
    response.update(
        {
            "state_changed_at": times.format_time(run.starts_at if changed_at is None else changed_at),
            "execution_type": task.execution,
            "label": task.label,
            "run_id": f"run-{key}",
            "task_definition_id": f"{task.type.replace('.', '-')}-{run.target_id}",
            "task_definition_type": task.type,
            "task_instance_id": f"wft-{key}",
            "timeout_ms": 86_400_000,
            "workflow_id": run.id,
        }
    )
    if state == "failed":
        response["error"] = {
            "attribution": "customer",
            "type": "amperity.workflow.task-instance/table",
            "message": _error_message(run),
            "data": {"error": {"message": "Job stopped.", "data": None}},
            **(task.error if isinstance(task.error, Mapping) else {}),
            **({"message": task.error} if isinstance(task.error, str) else {}),
        }
    return response


def _task_progress(task: _Task, run: Run, now: float) -> tuple[str, float | None, float | None]:
    """Returns the task's state, start and end."""
    stop, workflow_ended_at = _stops_at(run), run.ended_at(now)
    if task.starts_at > now or task.starts_at >= stop:
        # The task has not started, or never will.
        return (
            ("scheduled", None, None) if workflow_ended_at is None else (_stopped_state(run), None, workflow_ended_at)
        )
    if task.outcome == "skipped":
        return "skipped", None, task.ends_at
    # An orchestration's task that has started cannot be stopped.
    cannot_stop = run.kind == ORCHESTRATION_GROUP_RUN
    if task.ends_at <= now and (cannot_stop or task.ends_at <= stop):
        return task.outcome, task.starts_at, task.ends_at
    if cannot_stop or now < stop:
        return "running", task.starts_at, None
    return (
        ("stopping", task.starts_at, None)
        if workflow_ended_at is None
        else (_stopped_state(run), task.starts_at, workflow_ended_at)
    )


def _stops_at(run: Run) -> float:
    if run.cancel_requested_at is not None:
        return run.cancel_requested_at
    return run.cancels_itself_at if run.outcome == "cancel" else math.inf


def _stopped_state(run: Run) -> str:
    return str(run.plan.options.get("stopped_state", "canceled"))


def _error_message(run: Run) -> str:
    return _DEFAULT_ERROR if run.plan.error is None else run.plan.error


def _format_state(state: str, run: Run) -> str:
    case = run.plan.options.get("state_case", "lower")
    if case == "title":
        return state.capitalize()
    return state.replace(" ", {"lower": " ", "kebab": "-", "snake": "_"}[case])
