"""A run of a RudderStack Profiles project."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import dagster as dg
from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.field_types import Time, id_in_address, is_address
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, parse_state, seconds_between
from dagster_runs.remote_run.tables import Cell, table
from dagster_runs.remote_run.types import RunResult, StartAttempt
from dagster_runs.transport.errors import ConflictError
from dagster_runs.vendors.rudderstack.models import ProfilesRunStatus, Task
from dagster_runs.vendors.rudderstack.resource import RudderStackResource

# The documentation types the state as "string" and lists none; these are the words that the vendor's clients know.
_WORDS = {
    "running": RunState.RUNNING,
    "processing": RunState.RUNNING,
    "finished": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}

_KSUID = r"(?<![A-Za-z0-9_-])[A-Za-z0-9]{27}(?![A-Za-z0-9_-])"


def _no_address(text: Any) -> Any:
    if isinstance(text, str) and is_address(text):
        raise ValueError(id_in_address(text, _KSUID, "the project's id"))
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=200), BeforeValidator(_no_address)]
ModelRef = Annotated[str, StringConstraints(pattern=r"^[^\s-]\S*$")]
RawParameter = Annotated[str, StringConstraints(pattern=r"^--\w")]


class RudderStackProfilesRun(RemoteRun[RudderStackResource]):
    """A run of a Profiles project, over the newest commit of its code.

    Args:
        profiles_id: Id of the project, from its address in the RudderStack dashboard.
        model_refs: Only these models (``models/id_graph_users``).
        begin_time: Data loaded from here on; filled by a time-window partition. Without a zone it is UTC.
        end_time: Data loaded up to here; filled by a time-window partition. RudderStack's default is now.
        rebase_incremental: Compute incremental models anew from their base.
        parameters: Further parameters as RudderStack takes them, flag and value in one string; appended as they are.

    RudderStack offers no way to cancel or list runs, and runs one run of a project at a time. Set the project's own
    schedule to *Manual*. Source: https://www.rudderstack.com/docs/api/profiles-api/.
    """

    vendor: ClassVar[str] = "RudderStack"
    label: ClassVar[str] = "Profiles run"
    resource_key: ClassVar[str] = "rudderstack"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"rudderstack"})
    manual_stop_hint: ClassVar[str] = (
        "If it must not go on, open the project at https://app.rudderstack.com and stop the run there."
    )
    partition_window_fields: ClassVar[tuple[str, str] | None] = ("begin_time", "end_time")

    profiles_id: Id
    model_refs: tuple[ModelRef, ...] = ()
    begin_time: Time | None = None
    end_time: Time | None = None
    rebase_incremental: bool = False
    parameters: tuple[RawParameter, ...] = Field(default=())

    @model_validator(mode="after")
    def _window_has_length(self) -> Self:
        if self.begin_time is not None and self.end_time is not None and self.begin_time >= self.end_time:
            raise ValueError(f"begin_time ({self.begin_time}) must lie before end_time ({self.end_time})")
        return self

    @property
    def target(self) -> str:
        """The project's id."""
        return self.profiles_id

    def api_parameters(self) -> list[str]:
        """The request's ``parameters``: each flag and its value in one string."""
        listed = [f"--model_refs {ref}" for ref in self.model_refs]
        if self.begin_time is not None:
            listed.append(f"--begin_time {iso(self.begin_time)}")
        if self.end_time is not None:
            listed.append(f"--end_time {iso(self.end_time)}")
        if self.rebase_incremental:
            listed.append("--rebase_incremental")
        return [*listed, *self.parameters]

    def start(self, resource: RudderStackResource, attempt: StartAttempt) -> str:
        """POST the start. There is no field to mark the run as ours."""
        return resource.start_profiles_run(self.profiles_id, self.api_parameters())

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        """409: the project has a run going."""
        return isinstance(error, ConflictError)

    def fetch_status(self, resource: RudderStackResource, run_id: str) -> RunStatus:
        """GET the run's status."""
        answer = resource.get_profiles_run(self.profiles_id, run_id)
        state = parse_state(answer.status, _WORDS)
        if state is RunState.SUCCEEDED and answer.error:
            state = RunState.FAILED  # the vendor's newest client tells failures by this field alone
        return RunStatus(
            state=state,
            vendor_status=answer.status,
            error=answer.error,
            started_at=answer.started_at,
            finished_at=answer.finished_at,
            raw=answer,
        )

    def fetch_progress(self, resource: RudderStackResource, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """The tasks so far."""
        return _metadata(status.raw)

    def fetch_result(
        self, resource: RudderStackResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """The tasks, from the answer that told the end."""
        return RunResult(metadata=_metadata(status.raw))


def _metadata(answer: ProfilesRunStatus) -> dict[str, dg.MetadataValue[Any]]:
    if not answer.tasks:
        return {}
    return {"rudderstack/tasks": table([_task_row(task) for task in answer.tasks])}


def _task_row(task: Task) -> dict[str, Cell]:
    return {
        "task": task.task_id,
        "started_at": task.started_at,
        "seconds": seconds_between(task.started_at, task.finished_at),
    }
