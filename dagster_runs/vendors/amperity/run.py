"""A run of an Amperity courier group, orchestration group, or campaign."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import field_validator, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.field_types import Time, id_in_address, is_address
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, seconds_between
from dagster_runs.remote_run.tables import Cell, table_entries
from dagster_runs.remote_run.types import (
    MAX_HOST_CLOCK_SKEW,
    UNREADABLE_ID,
    CheckOutcome,
    DataCheck,
    ListedRun,
    RunResult,
    StartAttempt,
    StartCandidate,
    each_once,
)
from dagster_runs.transport.errors import VendorError
from dagster_runs.transport.retry import is_transient
from dagster_runs.vendors.amperity.models import Task, Workflow
from dagster_runs.vendors.amperity.resource import AmperityResource

_KINDS = {"cg": "a courier group (cg-)", "og": "an orchestration group (og-)", "cc": "a campaign (cc-)"}
_TYPES = {
    "cg": ("courier.group/run",),
    "og": ("amperity.orchestration.orchestration/run",),
    "cc": ("campaign.send", "campaign.fetch"),
}
_SKIPPED = "skipped"
_WORST_FIRST = ("failed", "unclear", "skipped", "succeeded")
_CONFIG_ID = re.compile(f"({'|'.join(_KINDS)})-[A-Za-z0-9_-]+")
_ID_IN_ADDRESS = f"(?<![A-Za-z0-9_-])(?:{'|'.join(_KINDS)})-[A-Za-z0-9_-]+"


class AmperityWorkflowRun(RemoteRun[AmperityResource]):
    """A run of the courier group, orchestration group, or campaign that ``config_id`` names.

    Args:
        config_id: The id of a courier group (``cg-…``), an orchestration group (``og-…``) or a campaign (``cc-…``).
        range_from: Courier groups only: the start of the data range, inclusive. Without ``range_to`` the range is one
            day. Required for file-based couriers. A time-window partition sets both ends of the range.
        range_to: Courier groups only: the end of the data range, exclusive.
        run_mode: Courier groups only: ``"source"``, ``"refresh"`` or ``"full"``. Defaults to the run mode of the
            scheduled workflow.
        workflow_name: The name that Amperity's list of workflows shows. Only `build_observation_sensor` needs it, to
            recognize workflows that were not started by Dagster. It is not sent to Amperity.

    Source: https://docs.amperity.com/api/, endpoint "Start workflow".
    """

    vendor: ClassVar[str] = "Amperity"
    label: ClassVar[str] = "workflow"
    resource_key: ClassVar[str] = "amperity"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"amperity"})
    data_checks: ClassVar[Mapping[str, str | DataCheck]] = {
        "tasks_succeeded": DataCheck(
            "Whether every task of the workflow succeeded; names the failed and skipped tasks.", on_failure=True
        )
    }
    partition_window_fields: ClassVar[tuple[str, str] | None] = ("range_from", "range_to")
    local_fields: ClassVar[frozenset[str]] = frozenset({"workflow_name"})

    config_id: str
    range_from: Time | None = None
    range_to: Time | None = None
    run_mode: Literal["source", "refresh", "full"] | None = None
    workflow_name: str | None = None

    @field_validator("config_id")
    @classmethod
    def _has_known_kind(cls, config_id: str) -> str:
        if is_address(config_id):
            more = ": use *Copy ID* in the object's menu in Amperity"
            raise ValueError(id_in_address(config_id, _ID_IN_ADDRESS, "config_id", more=more))
        if not _CONFIG_ID.fullmatch(config_id):
            *others, last = _KINDS.values()
            raise ValueError(f"config_id must be the ID of {', '.join(others)} or {last}, got {config_id!r}")
        return config_id

    @model_validator(mode="after")
    def _obeys_amperity_rules(self) -> Self:
        given = [name for name in ("range_from", "range_to", "run_mode") if getattr(self, name) is not None]
        if given and not self._is_courier_group:
            raise ValueError(
                f"{', '.join(given)} can only be used with courier groups (cg-); {self.config_id} is "
                f"{_KINDS[self.config_id[:2]]}"
            )
        if self.range_to is not None and self.range_from is None:
            raise ValueError("range_from is required when range_to is set")
        if self.range_from is not None and self.range_to is not None and self.range_from >= self.range_to:
            raise ValueError(f"range_to ({self.range_to}) must be after range_from ({self.range_from})")
        return self

    @property
    def _is_courier_group(self) -> bool:
        return self.config_id.startswith("cg-")

    @property
    def target(self) -> str:
        """The ``config_id``."""
        return self.config_id

    def observation_problem(self) -> str | None:
        """Returns a problem without ``workflow_name``: Amperity's list does not contain a workflow's ``config_id``."""
        if self.workflow_name is not None:
            return None
        return f"Amperity does not report which workflows run {self.config_id}; set workflow_name on the run"

    @property
    def cancel_caveat(self) -> str:
        """A warning for orchestration groups: Amperity cannot stop an orchestration task that has started."""
        if not self.config_id.startswith("og-"):
            return ""
        return "Orchestration tasks that have already started cannot be stopped and may still run to completion."

    def in_window(self, start: datetime, end: datetime) -> Self:
        """Sets the data range of a courier group; orchestration groups and campaigns have no data range."""
        return super().in_window(start, end) if self._is_courier_group else self

    def start(self, resource: AmperityResource, attempt: StartAttempt) -> str:
        """Sends the POST. The request has no field for a correlation id."""
        body: dict[str, Any] = {"config_id": self.config_id}
        if self.range_from is not None:
            body["range_from"] = _moment(self.range_from)
        if self.range_to is not None:
            body["range_to"] = _moment(self.range_to)
        if self.run_mode is not None:
            body["run_mode"] = self.run_mode
        return resource.start_workflow(body)

    def fetch_status(self, resource: AmperityResource, run_id: str) -> RunStatus:
        """Fetches the workflow. Once it has finished, a second GET fetches its error and its tasks.

        While the tenant's rate limit is exhausted, a single GET fetches everything.
        """
        if resource.http().backoff.is_slowed_down:
            try:
                return _status_of(resource.get_workflow(run_id, verbose=True))
            except VendorError as error:
                if is_transient(error):
                    raise
        return self._status_with_details(resource, resource.get_workflow(run_id, verbose=False))

    def status_of_listed(self, resource: AmperityResource, listed: ListedRun) -> RunStatus:
        """Returns the status in the list's entry. For a finished workflow, a GET fetches its error and its tasks."""
        if listed.raw is None:
            return self.get_status(resource, listed.run_id)
        return self._status_with_details(resource, listed.raw)

    @property
    def observed_target(self) -> str:
        """The kind and the name, because Amperity does not report which ``config_id`` a workflow runs."""
        return f"{self.config_id[:2]} {self.workflow_name}"

    def target_of_listed(self, resource: AmperityResource, listed: ListedRun) -> str | None:
        """Returns the kind and the name of the workflow."""
        if listed.raw is None:
            return listed.target_if_unreadable
        workflow: Workflow = listed.raw
        return next((f"{kind} {workflow.name}" for kind, types in _TYPES.items() if workflow.type in types), "")

    def _status_with_details(self, resource: AmperityResource, workflow: Workflow) -> RunStatus:
        if workflow.run_state.is_final:
            # The details can be unavailable, e.g. when there are very many tasks. The run has finished either way.
            try:
                workflow = resource.get_workflow(workflow.id, verbose=True)
            except VendorError as error:
                if is_transient(error):
                    raise  # the next poll may get the details
        # From the second response: a user may have resolved a failure in between, so that the workflow continues.
        return _status_of(workflow)

    def fetch_result(
        self, resource: AmperityResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the tasks from the response that reported the final state."""
        workflow: Workflow = status.raw
        metadata: dict[str, Any] = {"amperity/name": workflow.name, "amperity/type": workflow.type}
        if workflow.tasks:
            worst_first = sorted(workflow.tasks, key=lambda task: _WORST_FIRST.index(_outcome(task)))
            metadata |= table_entries("amperity/tasks", [_task_row(task) for task in worst_first])
        known = {name: value for name, value in metadata.items() if value is not None}
        return RunResult(known, (tasks_succeeded(workflow.tasks),), target_name=workflow.name)

    def cancel(self, resource: AmperityResource, run_id: str) -> None:
        """Requests that the workflow stop."""
        resource.stop_workflow(run_id)

    def find_started(self, resource: AmperityResource, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Returns workflows of this kind from around the start. Amperity does not report their ``config_id``."""
        client = resource.http()
        assumed = client.clock_ahead or 0.0
        found = self._candidates(resource, attempt)
        if abs((client.clock_ahead or 0.0) - assumed) > MAX_HOST_CLOCK_SKEW / 2:
            # The responses show that the assumed clock difference, and so the time window, was wrong.
            found = self._candidates(resource, attempt)
        return found

    def _candidates(self, resource: AmperityResource, attempt: StartAttempt) -> Sequence[StartCandidate]:
        client = resource.http()
        # Amperity applies the time filters by its own clock.
        window = {
            "created_from": iso(client.by_vendor_clock(attempt.earliest)),
            "created_to": iso(client.by_vendor_clock(attempt.latest)),
        }
        found: list[StartCandidate] = []
        name_matches: set[str] = set()
        for workflow_type in _TYPES[self.config_id[:2]]:
            for workflow in resource.list_all_workflows(type=workflow_type, **window):
                is_timed = client.clock_ahead is not None
                fits = attempt.may_have_created(client.by_our_clock(workflow.created_at) if is_timed else None)
                if fits is not False:
                    run_id, is_readable = workflow.id or UNREADABLE_ID, isinstance(workflow, Workflow)
                    has_name = self.workflow_name in (None, workflow.name) or not (is_readable or workflow.name)
                    name_matches |= {run_id} if has_name else set()
                    # A workflow with another name is ours only if it was renamed, so we cannot rule it out and start
                    # again. An unreadable entry may be ours too, but is not safe to attach to.
                    is_ambiguous = fits is None or not has_name or not is_readable
                    found.append(StartCandidate(run_id, is_ours=False, is_ambiguous=is_ambiguous))
        return [one for one in each_once(found) if one.run_id in name_matches or not name_matches]


def _status_of(workflow: Workflow) -> RunStatus:
    return RunStatus(
        state=workflow.run_state,
        vendor_status=workflow.state,
        error=workflow.error,
        created_at=workflow.created_at,
        finished_at=workflow.ended_at,
        raw=workflow,
    )


def _moment(time: datetime) -> str:
    """Formats like `iso`, but keeps milliseconds, so that a range is not shifted by rounding to whole seconds."""
    return iso(time) if not time.microsecond else f"{iso(time)[:-1]}.{time.microsecond // 1000:03}Z"


def tasks_succeeded(tasks: Sequence[Task] | None) -> CheckOutcome:
    """Fails with ERROR if a task failed or was stopped; with WARN if a task did not succeed or no tasks were returned.

    The names of the tasks go into metadata, which Dagster shows as text; it renders descriptions as markdown.
    """
    name, warn = "tasks_succeeded", dg.AssetCheckSeverity.WARN
    if not tasks:
        return CheckOutcome(name, passed=False, severity=warn, description="Amperity returned no tasks")
    by_outcome: dict[str, list[str]] = {"succeeded": [], "failed": [], "skipped": [], "unclear": []}
    for task in tasks:
        by_outcome[_outcome(task)].append(task.name)
    succeeded, failed = by_outcome.pop("succeeded"), by_outcome["failed"]
    counts = [f"{len(names)} {outcome}" for outcome, names in by_outcome.items() if names]
    return CheckOutcome(
        name,
        passed=len(succeeded) == len(tasks),
        severity=dg.AssetCheckSeverity.ERROR if failed else warn,
        description=", ".join([f"{len(succeeded)} of {len(tasks)} tasks succeeded", *counts]),
        metadata={outcome: dg.MetadataValue.text(cut_names(names)) for outcome, names in by_outcome.items() if names},
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
