"""A run of a RudderStack Profiles project."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.field_types import Time
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, parse_state, seconds_between
from dagster_runs.remote_run.tables import Cell, table_entries
from dagster_runs.remote_run.types import RunResult, StartAttempt
from dagster_runs.transport.errors import ConflictError
from dagster_runs.vendors.rudderstack.ids import ProjectId
from dagster_runs.vendors.rudderstack.models import ProfilesRunStatus, Task
from dagster_runs.vendors.rudderstack.resource import RudderStackResource

# The documentation gives the state the type "string" and lists no values. RudderStack's own clients know these.
_STATES = {
    "running": RunState.RUNNING,
    "processing": RunState.RUNNING,
    "finished": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}

ModelRef = Annotated[str, StringConstraints(pattern=r"^[^\s-]\S*$")]
RawParameter = Annotated[str, StringConstraints(pattern=r"^--\w")]


class RudderStackProfilesRun(RemoteRun[RudderStackResource]):
    """A run of a Profiles project, using the newest commit of its code.

    Args:
        profiles_id: The id of the project, from its URL in the RudderStack dashboard.
        model_refs: Run only these models (``models/id_graph_users``).
        begin_time: Process data loaded from this time on. Set by a time-window partition. UTC if it has no zone.
        end_time: Process data loaded up to this time. Set by a time-window partition. RudderStack's default is now.
        rebase_incremental: Recompute incremental models from their base.
        parameters: Further parameters in RudderStack's format, with flag and value in one string. Appended unchanged.

    RudderStack's API cannot cancel or list runs, and a project has at most one active run at a time. Set the project's
    own schedule to *Manual*. Source: https://www.rudderstack.com/docs/api/profiles-api/.
    """

    vendor: ClassVar[str] = "RudderStack"
    label: ClassVar[str] = "Profiles run"
    resource_key: ClassVar[str] = "rudderstack"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"rudderstack"})
    manual_stop_hint: ClassVar[str] = (
        "To stop it, open the project at https://app.rudderstack.com and stop the run there."
    )
    partition_window_fields: ClassVar[tuple[str, str] | None] = ("begin_time", "end_time")

    profiles_id: ProjectId
    model_refs: tuple[ModelRef, ...] = ()
    begin_time: Time | None = None
    end_time: Time | None = None
    rebase_incremental: bool = False
    parameters: tuple[RawParameter, ...] = Field(default=())

    @model_validator(mode="after")
    def _window_has_length(self) -> Self:
        if self.begin_time is not None and self.end_time is not None and self.begin_time >= self.end_time:
            raise ValueError(f"begin_time ({self.begin_time}) must be before end_time ({self.end_time})")
        return self

    @property
    def target(self) -> str:
        """The project's id."""
        return self.profiles_id

    def api_parameters(self) -> list[str]:
        """Returns the request's ``parameters``: each flag and its value in one string."""
        listed = [f"--model_refs {ref}" for ref in self.model_refs]
        if self.begin_time is not None:
            listed.append(f"--begin_time {iso(self.begin_time)}")
        if self.end_time is not None:
            listed.append(f"--end_time {iso(self.end_time)}")
        if self.rebase_incremental:
            listed.append("--rebase_incremental")
        return [*listed, *self.parameters]

    def start(self, resource: RudderStackResource, attempt: StartAttempt) -> str:
        """Sends the POST. The request has no field for a correlation id."""
        return resource.start_profiles_run(self.profiles_id, self.api_parameters())

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        """Whether the error is a 409, which means that the project has an active run."""
        return isinstance(error, ConflictError)

    def fetch_status(self, resource: RudderStackResource, run_id: str) -> RunStatus:
        """Fetches the status of the run."""
        response = resource.get_profiles_run(self.profiles_id, run_id)
        state = parse_state(response.status, _STATES)
        if state is RunState.SUCCEEDED and response.error:
            state = RunState.FAILED  # RudderStack's newest client recognizes failures by this field alone
        return RunStatus(
            state=state,
            vendor_status=response.status,
            error=response.error,
            started_at=response.started_at,
            finished_at=response.finished_at,
            raw=response,
        )

    def fetch_progress(self, resource: RudderStackResource, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Returns the tasks so far."""
        return _metadata(status.raw)

    def fetch_result(
        self, resource: RudderStackResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the tasks from the response that reported the final state."""
        tasks = len(status.raw.tasks or ())
        return RunResult(_metadata(status.raw), summary=f"{tasks} task{'s' if tasks > 1 else ''}" if tasks else "")


def _metadata(response: ProfilesRunStatus) -> dict[str, Any]:
    if not response.tasks:
        return {}
    unfinished_first = sorted(response.tasks, key=lambda task: task.finished_at is not None)
    return table_entries("rudderstack/tasks", [_task_row(task) for task in unfinished_first])


def _task_row(task: Task) -> dict[str, Cell]:
    return {
        "task": task.task_id,
        "started_at": task.started_at,
        "seconds": seconds_between(task.started_at, task.finished_at),
    }
