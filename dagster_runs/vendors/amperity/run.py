"""A run of an Amperity courier group, orchestration group or campaign."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import Field, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import CheckOutcome, FoundRun, RemoteRun, RunResult, StartAttempt
from dagster_runs.remote_run.gate import QualityGate
from dagster_runs.remote_run.partitions import iso
from dagster_runs.remote_run.state import RunState, RunStatus, UtcTime, state_of
from dagster_runs.remote_run.tables import table
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.vendors.amperity.models import Task, Workflow
from dagster_runs.vendors.amperity.resource import AmperityResource

# Three pages list states, and no two agree; on the wire they were seen in lower case.
_WORDS = {
    "scheduled": RunState.QUEUED,
    "started": RunState.RUNNING,
    "inprogress": RunState.RUNNING,
    "running": RunState.RUNNING,
    "runningwithfailures": RunState.RUNNING,
    "finalizing": RunState.RUNNING,
    "upforretry": RunState.RUNNING,
    "paused": RunState.RUNNING,
    "stopping": RunState.RUNNING,
    "canceling": RunState.RUNNING,
    "succeeded": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
    "canceled": RunState.CANCELED,
    "stopped": RunState.CANCELED,
}
_TYPES = {"cg": "courier.group/run", "og": "amperity.orchestration.orchestration/run", "cc": "campaign.send"}
_LISTED_STATES = (None, "scheduled", "started", "in progress", "running")
"""The specification gives the filter a default, `succeeded`. Whether servers apply it is not said: ask both ways."""
_CLOCKS_DIFFER = 5.0
_CLOCKS_OF_MACHINES_DIFFER = 600.0
_START_TAKES_AT_MOST = 360.0
_SKIPPED = "skipped"


class AmperityWorkflowRun(RemoteRun[AmperityResource]):
    """A run of what ``config_id`` names.

    Args:
        config_id: Id of a courier group (``cg-…``), an orchestration group (``og-…``) or a campaign (``cc-…``).
        range_from: Courier groups only: first moment of the data, inclusive. Without ``range_to`` it means one day.
            Required for file-based couriers. A time-window partition fills both.
        range_to: Courier groups only: end of the data, exclusive.
        run_mode: Courier groups only: ``"source"``, ``"refresh"`` or ``"full"``; by default the scheduled workflow's.

    Source: https://docs.amperity.com/api/, endpoint "Start workflow".
    """

    vendor: ClassVar[str] = "Amperity"
    label: ClassVar[str] = "workflow"
    resource_key: ClassVar[str] = "amperity"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"amperity"})
    data_checks: ClassVar[Mapping[str, str]] = {
        "tasks_succeeded": "Whether every task of the workflow succeeded; failed and skipped tasks are named."
    }
    can_cancel: ClassVar[bool] = True
    partition_window_fields: ClassVar[tuple[str, str] | None] = ("range_from", "range_to")

    config_id: str = Field(pattern=r"^(cg|og|cc)-[A-Za-z0-9_-]+$")
    range_from: UtcTime | None = None
    range_to: UtcTime | None = None
    run_mode: Literal["source", "refresh", "full"] | None = None

    @model_validator(mode="after")
    def _as_amperity_rules(self) -> Self:
        given = [name for name in ("range_from", "range_to", "run_mode") if getattr(self, name) is not None]
        if given and not self._is_courier_group:
            raise ValueError(
                f"{', '.join(given)}: only a courier group (cg-…) takes these, and this is {self.config_id}"
            )
        if self.range_to is not None and self.range_from is None:
            raise ValueError("range_to needs range_from")
        if self.range_from is not None and self.range_to is not None and self.range_from >= self.range_to:
            raise ValueError(f"range_from ({self.range_from}) must lie before range_to ({self.range_to})")
        return self

    @property
    def _is_courier_group(self) -> bool:
        return self.config_id.startswith("cg-")

    @property
    def target(self) -> str:
        """The configuration's id."""
        return self.config_id

    @property
    def cancel_caveat(self) -> str:
        """Amperity cannot stop an orchestration's task once that has started."""
        if not self.config_id.startswith("og-"):
            return ""
        return "Orchestration tasks that had started cannot be stopped, and may run to completion all the same."

    def in_window(self, start: datetime, end: datetime) -> Self:
        """Courier groups take the window; orchestrations and campaigns have none."""
        return super().in_window(start, end) if self._is_courier_group else self

    def start(self, resource: AmperityResource, attempt: StartAttempt) -> str:
        """POST the start. There is no field to mark the run as ours."""
        body: dict[str, Any] = {"config_id": self.config_id}
        if self.range_from is not None:
            body["range_from"] = iso(self.range_from)
        if self.range_to is not None:
            body["range_to"] = iso(self.range_to)
        if self.run_mode is not None:
            body["run_mode"] = self.run_mode
        return resource.start_workflow(body)

    def fetch_status(self, resource: AmperityResource, run_id: str) -> RunStatus:
        """GET the workflow; once it has ended, once more for its error and its tasks."""
        workflow = resource.get_workflow(run_id, verbose=False)
        state = state_of(workflow.state, _WORDS)
        if state.is_final:
            workflow = resource.get_workflow(run_id, verbose=True)
        return RunStatus(
            state=state,
            word=workflow.state,
            error=workflow.error,
            created_at=workflow.created_at,
            finished_at=workflow.ended_at,
            answer=workflow,
        )

    def fetch_result(
        self, resource: AmperityResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """The tasks, from the answer that told the end."""
        workflow: Workflow = status.answer
        metadata: dict[str, Any] = {"amperity/name": workflow.name, "amperity/type": workflow.type}
        if workflow.tasks:
            metadata["amperity/tasks"] = table([_task_row(task) for task in workflow.tasks])
        known = {name: value for name, value in metadata.items() if value is not None}
        return RunResult(known, (tasks_succeeded(workflow.tasks),))

    def cancel(self, resource: AmperityResource, run_id: str) -> None:
        """POST the stop."""
        resource.stop_workflow(run_id)

    def find_started(self, resource: AmperityResource, attempt: StartAttempt) -> Sequence[FoundRun] | None:
        """Workflows of this kind from the time of the start. Amperity does not tell which configuration they run."""
        # The list is filtered by the server's clock, so look a little wide.
        unsure = _CLOCKS_DIFFER if attempt.by_this_process else _CLOCKS_OF_MACHINES_DIFFER
        earliest, latest = attempt.starting_at - unsure, attempt.starting_at + _START_TAKES_AT_MOST + unsure
        filters = {
            "type": _TYPES[self.config_id[:2]],
            "created_from": iso(datetime.fromtimestamp(earliest, timezone.utc)),
            "created_to": iso(datetime.fromtimestamp(latest, timezone.utc)),
        }
        found: dict[str, FoundRun] = {}
        for state in _LISTED_STATES:
            try:
                for workflow in resource.list_workflows(**filters, **({"state": state} if state else {})):
                    found[workflow.id] = self._candidate(workflow, attempt)
            except InvalidRequestError:
                if state is None:
                    raise  # a state that this version does not know is no reason to give up
        return list(found.values())

    def _candidate(self, workflow: Workflow, attempt: StartAttempt) -> FoundRun:
        late = workflow.created_at.timestamp() - attempt.starting_at if workflow.created_at else 0.0
        fits = -_CLOCKS_DIFFER <= late <= _START_TAKES_AT_MOST + _CLOCKS_DIFFER
        return FoundRun(workflow.id, ours=False, undecided=not fits)


def tasks_succeeded(tasks: Sequence[Task] | None) -> CheckOutcome:
    """ERROR for tasks that failed or were cancelled, WARN for skipped ones and where Amperity told of no tasks."""
    name = "tasks_succeeded"
    warn = dg.AssetCheckSeverity.WARN
    if tasks is None:
        return CheckOutcome(name, passed=False, severity=warn, description="Amperity did not tell the workflow's tasks")
    states = {task.name: "".join(c for c in task.state.casefold() if c.isalnum()) for task in tasks}
    skipped = [label for label, state in states.items() if state == _SKIPPED]
    bad = [label for label, state in states.items() if state not in ("succeeded", _SKIPPED)]
    said = f"{len(tasks) - len(bad) - len(skipped)} of {len(tasks)} tasks succeeded"
    said += f"; not: {', '.join(bad)}" if bad else ""
    said += f"; skipped: {', '.join(skipped)}" if skipped else ""
    severity = dg.AssetCheckSeverity.ERROR if bad else warn
    return CheckOutcome(name, passed=not bad and not skipped, severity=severity, description=said)


def _task_row(task: Task) -> dict[str, str | float | None]:
    begun, ended = task.started_at, task.ended_at
    return {
        "task": task.name,
        "state": task.state,
        "started_at": begun.isoformat() if begun else None,
        "finished_at": ended.isoformat() if ended else None,
        "seconds": round((ended - begun).total_seconds(), 3) if begun and ended else None,
        "error": task.error,
    }
