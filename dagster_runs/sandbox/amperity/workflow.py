"""A workflow and its tasks, in Amperity's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.behaviour import Behaviour
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
# The page about fetching a run and the page about stopping one do not agree on the states.
_WORDS = {
    "fetch": {"begin": "started", "run": "in progress", "stop": "stopping"},
    "stop": {"begin": "running", "run": "running", "stop": "canceling"},
}
# Labels as documented, with the kinds of task that they could be.
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
    """The workflow's state; what a run is held in stays as the test wrote it."""
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
    """The seven fields, of which the end comes with the end."""
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
    """Who started it; a machine has no address."""
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
    """The answer to a start: everything but the tasks, of which there are none yet."""
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
    """All there is to say."""
    answer = {**started(run, name, tenant, now), "task_instances": _task_instances(run, tenant, now)}
    error = workflow_error(run, now)
    return answer if error is None else {**answer, "error": error}


def workflow_error(run: Run, now: float) -> dict[str, Any] | None:
    """What went wrong, once it ended so."""
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


def check_tasks(behaviour: Behaviour) -> None:
    """Refuse with `ValueError` tasks that are not to be understood."""
    tasks = behaviour.options.get("tasks")
    if not isinstance(tasks, (list, tuple, type(None))):
        raise ValueError(f"tasks must be a list, got {tasks!r}")  # noqa: TRY004 - as all that a test gets wrong
    for task in tasks or ():
        if not isinstance(task, (str, Mapping)) or (not isinstance(task, str) and set(task) - _TASK_FIELDS):
            known = ", ".join(sorted(_TASK_FIELDS))
            raise ValueError(f"a task is an outcome such as 'failed', or has some of {known}; got {task!r}")


_TASK_FIELDS = {"label", "outcome", "error"}


@dataclass(frozen=True)
class _Task:
    """What the plan has for a task: when it begins and ends, and how."""

    number: int
    label: str
    type: str
    execution: str
    outcome: str
    error: Any
    begins: float
    ends: float


def _tasks(run: Run) -> list[_Task]:
    """One task after the other, in equal shares of the time; what is skipped takes none."""
    usual = ("succeeded", "failed", "skipped") if run.plan.outcome == "fail" else ("succeeded",) * 3
    asked = run.plan.options.get("tasks")
    given = [{"outcome": task} if isinstance(task, str) else task for task in (usual if asked is None else asked)]
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
    # A run that never ends begins all the same, with its first task.
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
    answer: dict[str, Any] = {"id": f"wft-{key}", "state": _spell(state, run), "tenant": tenant}
    if began is not None:
        answer[run.plan.options.get("task_start", "created_at")] = times.show(began)
    if ended is not None:
        answer["ended_at"] = times.show(ended)
    changed = ended if ended is not None else began
    answer.update(
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
        answer["error"] = {
            "attribution": "customer",
            "type": "amperity.workflow.task-instance/table",
            "message": _message(run),
            "data": {"error": {"message": "Job stopped.", "data": None}},
            **(task.error if isinstance(task.error, Mapping) else {}),
            **({"message": task.error} if isinstance(task.error, str) else {}),
        }
    return answer


def _progress(task: _Task, run: Run, now: float) -> tuple[str, float | None, float | None]:
    """The task's state, and when it began and ended."""
    stop, workflow_end = _stops_at(run), run.ended_at(now)
    if task.begins > now or task.begins >= stop:
        # It never got its turn, or has not yet.
        return ("scheduled", None, None) if workflow_end is None else (_stopped(run), None, workflow_end)
    if task.outcome == "skipped":
        return "skipped", None, task.ends
    # What an orchestration has sent out cannot be called back.
    goes_on = run.kind == ORCHESTRATION_RUN
    if task.ends <= now and (goes_on or task.ends <= stop):
        return task.outcome, task.begins, task.ends
    if goes_on or now < stop:
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
