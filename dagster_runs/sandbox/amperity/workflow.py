"""The JSON of workflows and their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.runs import Phase, Run

COURIERS_RUN = "courier.group/run"
ORCHESTRATION_RUN = "amperity.orchestration.orchestration/run"
CAMPAIGN_SEND, CAMPAIGN_FETCH = "campaign.send", "campaign.fetch"

SPELLINGS = ("lower", "title", "kebab", "snake")

_ERROR = (
    "Found table in an invalid state: loyalty_members. This error can be resolved by removing this table or by "
    "loading data to the table."
)
_STOPPED = "Workflow manually stopped"
# The documentation's pages on fetching a run and on stopping a run use different states.
_WORDS = {
    "fetch": {"begin": "started", "run": "in progress", "stop": "stopping"},
    "stop": {"begin": "running", "run": "running", "stop": "canceling"},
}
# Labels from the documentation, with plausible task types.
_TASKS = {
    COURIERS_RUN: (
        ("Updating domain tables", "domain-table.update", "spark-sql"),
        ("Generating database", "database.generate", "databricks"),
        ("Validating database Customer 360", "database.validate", "prodigal"),
    ),
    ORCHESTRATION_RUN: (
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


def word(run: Run, now: float) -> str:
    """Returns the workflow's state. The state of a held run is exactly as in the test."""
    phase = run.phase(now)
    if phase is Phase.HELD:
        return str(run.plan.hold)
    words = _WORDS[run.plan.options.get("words", "fetch")]
    if phase is Phase.QUEUED:
        return _spell("scheduled", run)
    if phase is Phase.CANCELING:
        return _spell(words["stop"], run)
    if phase is Phase.ENDED:
        ended = {"succeed": "succeeded", "fail": "failed", "cancel": run.plan.options.get("stopped_as", "canceled")}
        return _spell(ended[run.outcome], run)
    if any(task.outcome == "failed" and task.ends <= now for task in _tasks(run)):
        return _spell("running with failures", run)
    return _spell(words["begin" if run.progress(now) < 0.1 else "run"], run)


def overview(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the seven fields of the overview. `ended_at` is included only after the end."""
    ended_at = run.ended_at(now)
    ended = {} if ended_at is None else {"ended_at": times.show(ended_at)}
    return {
        "type": run.kind,
        **ended,
        "id": run.id,
        "tenant": tenant,
        "created_at": times.show(run.created_at),
        "name": name,
        "state": word(run, now),
    }


def principal(run: Run) -> dict[str, str]:
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


def started(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the response to a start: everything except the tasks, which do not exist yet."""
    version = f"etv-{run.id.removeprefix('wf-')}"
    warning = run.plan.options.get("warn_after_ms")
    return {
        "task_instances": [],
        **overview(run, name, tenant, now),
        **principal(run),
        "launched_version": version,
        "current_version": version,
        **({} if warning is None else {"warn_after_ms": warning}),
    }


def verbose(run: Run, name: str, tenant: str, now: float) -> dict[str, Any]:
    """Returns the verbose view."""
    response = {**started(run, name, tenant, now), "task_instances": _task_instances(run, tenant, now)}
    error = workflow_error(run, now)
    return response if error is None else {**response, "error": error}


def workflow_error(run: Run, now: float) -> dict[str, Any] | None:
    """Returns the error of a workflow that failed or was canceled; None for other workflows."""
    if run.phase(now) is not Phase.ENDED or run.outcome == "succeed":
        return None
    if run.outcome == "cancel":
        kind = "amperity.workflow.workflow.repository.core/cancel"
        return {"attribution": "customer", "type": kind, "message": _STOPPED}
    options = run.plan.options
    data = {"data": options["error_data"]} if "error_data" in options else {}
    attribution = options.get("attribution", "customer")
    return {
        **({} if attribution is None else {"attribution": attribution}),
        "type": options.get("error_type", "amperity.workflow.task.stitch/table"),
        "message": _message(run),
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
    begins: float
    ends: float


def _tasks(run: Run) -> list[_Task]:
    """Returns the tasks, which run one after the other in equal shares of the time. Skipped tasks take no time."""
    usual = ("succeeded", "failed", "skipped") if run.plan.outcome == "fail" else ("succeeded",) * 3
    option = run.plan.options.get("tasks")
    given = [{"outcome": task} if isinstance(task, str) else task for task in (usual if option is None else option)]
    names = _TASKS.get(run.kind, _TASKS[CAMPAIGN_SEND])
    working = sum(task.get("outcome") != "skipped" for task in given)
    tasks, done = [], 0
    for number, task in enumerate(given):
        label, kind, execution = names[number % len(names)]
        begins = _at(run, done, working)
        outcome = task.get("outcome", "succeeded")
        done += outcome != "skipped"
        tasks.append(
            _Task(
                number=number + 1,
                label=task.get("label", label),
                type=kind,
                execution=execution,
                outcome=outcome,
                error=task.get("error"),
                begins=begins,
                ends=_at(run, done, working),
            )
        )
    return tasks


def _at(run: Run, done: int, working: int) -> float:
    # The first task starts immediately, even if the running time is infinite (0 * inf would be NaN).
    at = run.starts_at + (run.plan.running_seconds * done / working if done else 0.0)
    held = run.plan.hold and run.plan.hold_when == "running" and at > run.hold_from
    return at + run.plan.hold_seconds if held else at


def _task_instances(run: Run, tenant: str, now: float) -> list[dict[str, Any]]:
    if run.started_at(now) is None:
        return []
    return [_task_instance(task, run, tenant, now) for task in _tasks(run)]


def _task_instance(task: _Task, run: Run, tenant: str, now: float) -> dict[str, Any]:
    state, began, ended = _progress(task, run, now)
    key = f"{run.id.removeprefix('wf-')}{task.number}"
    response: dict[str, Any] = {"id": f"wft-{key}", "state": _spell(state, run), "tenant": tenant}
    if began is not None:
        response[run.plan.options.get("task_start", "created_at")] = times.show(began)
    if ended is not None:
        response["ended_at"] = times.show(ended)
    changed = ended if ended is not None else began
    response.update(
        {
            "state_changed_at": times.show(run.starts_at if changed is None else changed),
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
            "message": _message(run),
            "data": {"error": {"message": "Job stopped.", "data": None}},
            **(task.error if isinstance(task.error, Mapping) else {}),
            **({"message": task.error} if isinstance(task.error, str) else {}),
        }
    return response


def _progress(task: _Task, run: Run, now: float) -> tuple[str, float | None, float | None]:
    """Returns the task's state, start and end."""
    stop, workflow_end = _stops_at(run), run.ended_at(now)
    if task.begins > now or task.begins >= stop:
        # The task has not started, or never will.
        return ("scheduled", None, None) if workflow_end is None else (_stopped(run), None, workflow_end)
    if task.outcome == "skipped":
        return "skipped", None, task.ends
    # An orchestration's task that has started cannot be stopped.
    cannot_stop = run.kind == ORCHESTRATION_RUN
    if task.ends <= now and (cannot_stop or task.ends <= stop):
        return task.outcome, task.begins, task.ends
    if cannot_stop or now < stop:
        return "running", task.begins, None
    return ("stopping", task.begins, None) if workflow_end is None else (_stopped(run), task.begins, workflow_end)


def _stops_at(run: Run) -> float:
    if run.cancel_requested_at is not None:
        return run.cancel_requested_at
    return run.gives_up_at if run.outcome == "cancel" else math.inf


def _stopped(run: Run) -> str:
    return str(run.plan.options.get("stopped_as", "canceled"))


def _message(run: Run) -> str:
    return _ERROR if run.plan.error is None else run.plan.error


def _spell(words: str, run: Run) -> str:
    spelling = run.plan.options.get("spelling", "lower")
    if spelling == "title":
        return words.capitalize()
    return words.replace(" ", {"lower": " ", "kebab": "-", "snake": "_"}[spelling])
