"""A run of an Amperity courier group, orchestration group or campaign."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import field_validator, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.field_types import Time, id_in_address, is_address
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, seconds_between
from dagster_runs.remote_run.tables import Cell, table
from dagster_runs.remote_run.types import (
    MAX_HOST_CLOCK_SKEW,
    UNREADABLE_ID,
    CheckOutcome,
    ListedRun,
    RunResult,
    StartAttempt,
    StartCandidate,
)
from dagster_runs.transport.errors import VendorError
from dagster_runs.transport.retry import is_transient
from dagster_runs.vendors.amperity.models import PartOfWorkflow, Task, Workflow
from dagster_runs.vendors.amperity.resource import AmperityResource

_KINDS = {"cg": "a courier group (cg-)", "og": "an orchestration group (og-)", "cc": "a campaign (cc-)"}
_TYPES = {
    "cg": ("courier.group/run",),
    "og": ("amperity.orchestration.orchestration/run",),
    "cc": ("campaign.send", "campaign.fetch"),
}
_SKIPPED = "skipped"
_CONFIG_ID = re.compile(f"({'|'.join(_KINDS)})-[A-Za-z0-9_-]+")
_ID_IN_ADDRESS = f"(?<![A-Za-z0-9_-])(?:{'|'.join(_KINDS)})-[A-Za-z0-9_-]+"


class AmperityWorkflowRun(RemoteRun[AmperityResource]):
    """A run of what ``config_id`` names.

    Args:
        config_id: Id of a courier group (``cg-…``), an orchestration group (``og-…``) or a campaign (``cc-…``).
        range_from: Courier groups only: first moment of the data, inclusive. Without ``range_to`` it means one day.
            Required for file-based couriers. A time-window partition fills both.
        range_to: Courier groups only: end of the data, exclusive.
        run_mode: Courier groups only: ``"source"``, ``"refresh"`` or ``"full"``; by default the scheduled workflow's.
        workflow_name: The name that Amperity's list of workflows shows. Needed only by `build_observation_sensor`,
            which knows others' workflows by it; it is not sent.

    Source: https://docs.amperity.com/api/, endpoint "Start workflow".
    """

    vendor: ClassVar[str] = "Amperity"
    label: ClassVar[str] = "workflow"
    resource_key: ClassVar[str] = "amperity"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"amperity"})
    data_checks: ClassVar[Mapping[str, str]] = {
        "tasks_succeeded": "Whether every task of the workflow succeeded; failed and skipped tasks are named."
    }
    checks_on_failure: ClassVar[frozenset[str]] = frozenset({"tasks_succeeded"})
    can_cancel: ClassVar[bool] = True
    partition_window_fields: ClassVar[tuple[str, str] | None] = ("range_from", "range_to")
    local_fields: ClassVar[frozenset[str]] = frozenset({"workflow_name"})

    config_id: str
    range_from: Time | None = None
    range_to: Time | None = None
    run_mode: Literal["source", "refresh", "full"] | None = None
    workflow_name: str | None = None

    @field_validator("config_id")
    @classmethod
    def _of_a_known_kind(cls, config_id: str) -> str:
        if is_address(config_id):
            more = ": *Copy ID* in Amperity's menu of the object gives it"
            raise ValueError(id_in_address(config_id, _ID_IN_ADDRESS, "config_id", more=more))
        if not _CONFIG_ID.fullmatch(config_id):
            *others, last = _KINDS.values()
            raise ValueError(f"config_id must be the ID of {', '.join(others)} or {last}, got {config_id!r}")
        return config_id

    @model_validator(mode="after")
    def _as_amperity_rules(self) -> Self:
        given = [name for name in ("range_from", "range_to", "run_mode") if getattr(self, name) is not None]
        if given and not self._is_courier_group:
            raise ValueError(
                f"{', '.join(given)} can only be used with courier groups (cg-); {self.config_id} is "
                f"{_KINDS[self.config_id[:2]]}"
            )
        if self.range_to is not None and self.range_from is None:
            raise ValueError("range_from must be specified when range_to is")
        if self.range_from is not None and self.range_to is not None and self.range_from >= self.range_to:
            raise ValueError(f"range_to ({self.range_to}) must be after range_from ({self.range_from})")
        return self

    @property
    def _is_courier_group(self) -> bool:
        return self.config_id.startswith("cg-")

    @property
    def target(self) -> str:
        """The configuration's id."""
        return self.config_id

    @property
    def observation_unsupported_reason(self) -> str:
        """Amperity lists workflows, but does not tell which configuration they run."""
        if self.workflow_name is not None:
            return ""
        return f"Amperity does not tell which workflows run {self.config_id}; give the run its workflow_name"

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
            body["range_from"] = _moment(self.range_from)
        if self.range_to is not None:
            body["range_to"] = _moment(self.range_to)
        if self.run_mode is not None:
            body["run_mode"] = self.run_mode
        return resource.start_workflow(body)

    def fetch_status(self, resource: AmperityResource, run_id: str) -> RunStatus:
        """GET the workflow; once it has ended, once more for its error and its tasks."""
        return self._told_whole(resource, resource.get_workflow(run_id, verbose=False))

    def status_of_listed(self, resource: AmperityResource, listed: ListedRun) -> RunStatus:
        """The list's entry; once the workflow has ended, with its error and its tasks."""
        if listed.raw is None:
            return self.get_status(resource, listed.run_id)
        return self._told_whole(resource, listed.raw)

    @property
    def observed_target(self) -> str:
        """Kind and name: Amperity does not tell which configuration a workflow runs."""
        return f"{self.config_id[:2]} {self.workflow_name}"

    def target_of_listed(self, resource: AmperityResource, listed: ListedRun) -> str | None:
        """Kind and name of the workflow."""
        if listed.raw is None:
            return listed.target_if_unreadable
        workflow: Workflow = listed.raw
        return next((f"{kind} {workflow.name}" for kind, types in _TYPES.items() if workflow.type in types), "")

    def _told_whole(self, resource: AmperityResource, workflow: Workflow) -> RunStatus:
        if workflow.run_state.is_final:
            # Whether it has ended must not depend on whether all of it can be told: its tasks may be very many.
            try:
                workflow = resource.get_workflow(workflow.id, verbose=True)
            except VendorError as error:
                if is_transient(error):
                    raise  # the next look may be told all
        return RunStatus(
            # A person may have resolved a failure between the two answers, so that the workflow goes on.
            state=workflow.run_state,
            vendor_status=workflow.state,
            error=workflow.error,
            created_at=workflow.created_at,
            finished_at=workflow.ended_at,
            raw=workflow,
        )

    def fetch_result(
        self, resource: AmperityResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """The tasks, from the answer that told the end."""
        workflow: Workflow = status.raw
        metadata: dict[str, Any] = {"amperity/name": workflow.name, "amperity/type": workflow.type}
        if workflow.tasks:
            metadata["amperity/tasks"] = table([_task_row(task) for task in workflow.tasks])
        known = {name: value for name, value in metadata.items() if value is not None}
        return RunResult(known, (tasks_succeeded(workflow.tasks),))

    def cancel(self, resource: AmperityResource, run_id: str) -> None:
        """POST the stop."""
        resource.stop_workflow(run_id)

    def find_started(self, resource: AmperityResource, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Workflows of this kind from the time of the start. Amperity does not tell which configuration they run."""
        client = resource.http()
        assumed = client.clock_ahead or 0.0
        found = self._candidates(resource, attempt, assumed)
        if abs((client.clock_ahead or 0.0) - assumed) > MAX_HOST_CLOCK_SKEW / 2:
            found = self._candidates(resource, attempt, client.clock_ahead or 0.0)  # it was the wrong window
        return found

    def _candidates(self, resource: AmperityResource, attempt: StartAttempt, ahead: float) -> Sequence[StartCandidate]:
        # The list is filtered by the vendor's clock.
        window = {
            "created_from": iso(datetime.fromtimestamp(attempt.earliest + ahead, timezone.utc)),
            "created_to": iso(datetime.fromtimestamp(attempt.latest + ahead, timezone.utc)),
        }
        found: dict[str, StartCandidate] = {}
        named: set[str] = set()
        for workflow_type in _TYPES[self.config_id[:2]]:
            for workflow in resource.list_all_workflows(type=workflow_type, **window):
                fits = _fits(workflow, attempt, resource.http().clock_ahead)
                if fits is not False:
                    run_id, is_readable = workflow.id or UNREADABLE_ID, isinstance(workflow, Workflow)
                    is_named = self.workflow_name in (None, workflow.name) or not (is_readable or workflow.name)
                    named |= {run_id} if is_named else set()
                    # One of another name is not ours, unless the name was changed: so it is no reason to start again.
                    # An unreadable entry may be ours too, and is not safe to attach to.
                    undecided = fits is None or not is_named or not is_readable
                    # The same workflow may be listed twice, and be readable in one of the two answers only.
                    if run_id not in found or found[run_id].is_ambiguous:
                        found[run_id] = StartCandidate(run_id, is_ours=False, is_ambiguous=undecided)
        return [one for one in found.values() if one.run_id in named or not named]


def _fits(workflow: PartOfWorkflow, attempt: StartAttempt, ahead: float | None) -> bool | None:
    """Whether the workflow is of the start by its time; ``None`` where that cannot be told."""
    if workflow.created_at is None or ahead is None:
        return None
    return attempt.may_have_made(workflow.created_at.timestamp() - ahead)


def _moment(time: datetime) -> str:
    """As `iso`, but a range is not shifted by what its whole seconds would cut off."""
    return iso(time) if not time.microsecond else f"{iso(time)[:-1]}.{time.microsecond // 1000:03}Z"


def tasks_succeeded(tasks: Sequence[Task] | None) -> CheckOutcome:
    """ERROR for tasks that failed or were stopped; WARN for other tasks that did not succeed, and where none are told.

    The tasks' names are metadata, which is shown as text: Dagster renders descriptions as markdown.
    """
    name, warn = "tasks_succeeded", dg.AssetCheckSeverity.WARN
    if not tasks:
        return CheckOutcome(name, passed=False, severity=warn, description="Amperity told of no tasks")
    named: dict[str, list[str]] = {"succeeded": [], "failed": [], "skipped": [], "unclear": []}
    for task in tasks:
        named[_outcome(task)].append(task.name)
    good, bad = named.pop("succeeded"), named["failed"]
    counted = [f"{len(names)} {outcome}" for outcome, names in named.items() if names]
    return CheckOutcome(
        name,
        passed=len(good) == len(tasks),
        severity=dg.AssetCheckSeverity.ERROR if bad else warn,
        description=", ".join([f"{len(good)} of {len(tasks)} tasks succeeded", *counted]),
        metadata={outcome: dg.MetadataValue.text(", ".join(names)) for outcome, names in named.items() if names},
    )


def _outcome(task: Task) -> str:
    if task.run_state is RunState.SUCCEEDED:
        return "succeeded"
    if task.run_state in (RunState.FAILED, RunState.CANCELED):
        return "failed"
    return "skipped" if (task.state or "").strip().casefold() == _SKIPPED else "unclear"


def _task_row(task: Task) -> dict[str, Cell]:
    return {
        "task": task.name,
        "state": task.state,
        "started_at": task.started_at,
        "finished_at": task.ended_at,
        "seconds": seconds_between(task.started_at, task.ended_at),
        "error": task.error,
    }
