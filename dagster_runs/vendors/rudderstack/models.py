"""Responses of both APIs, in the documented camelCase and in the snake_case that RudderStack's clients read."""

from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel
from dagster_runs.remote_run.state import RunState, parse_state

# The values of the list's filter by status. RudderStack's own clients know the same three.
_STATES = {
    "running": RunState.RUNNING,
    "succeeded": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}


def _either(camel: str, snake: str) -> AliasChoices:
    return AliasChoices(camel, snake)


class StartedRun(VendorModel):
    """The response to a start."""

    run_id: RunId = Field(validation_alias=_either("runId", "run_id"))


class Task(VendorModel):
    """One task of a run. Tasks have no state of their own."""

    task_id: Lenient[str] = Field(default=None, validation_alias=_either("taskId", "task_id"))
    task_run_id: Lenient[str] = Field(default=None, validation_alias=_either("taskRunId", "task_run_id"))
    started_at: OptionalTime = Field(default=None, validation_alias=_either("startedAt", "started_at"))
    finished_at: OptionalTime = Field(default=None, validation_alias=_either("finishedAt", "finished_at"))


class ProfilesRunStatus(VendorModel):
    """The status of a run. No documented body contains ``error``, but all of RudderStack's own clients read it."""

    status: str = Field(min_length=1)
    error: ErrorText = None
    started_at: OptionalTime = Field(default=None, validation_alias=_either("startedAt", "started_at"))
    finished_at: OptionalTime = Field(default=None, validation_alias=_either("finishedAt", "finished_at"))
    tasks: Lenient[EachReadable[Task]] = None


class StartedSync(VendorModel):
    """The response to a start of a Reverse ETL sync."""

    sync_id: RunId = Field(validation_alias=_either("syncId", "sync_id"))


def _count(name: str) -> AliasChoices:
    # Documented is `{"succeeded": {"total": 0}, "total": 0}`. A plain number is accepted too.
    return AliasChoices(AliasPath(name, "total"), name)


Count = Annotated[int, Field(ge=0)]


class SyncMetrics(VendorModel):
    """The numbers of rows of a sync. While the sync is active, they are those so far."""

    succeeded: Lenient[Count] = Field(default=None, validation_alias=_count("succeeded"))
    failed: Lenient[Count] = Field(default=None, validation_alias=_count("failed"))
    changed: Lenient[Count] = Field(default=None, validation_alias=_count("changed"))
    total: Lenient[Count] = None


class PartOfSync(VendorModel):
    """The readable fields of a listed sync whose entry does not have the documented shape."""

    id: Lenient[RunId] = None
    started_at: OptionalTime = Field(default=None, validation_alias=_either("startedAt", "started_at"))


class Sync(PartOfSync):
    """A Reverse ETL sync, without the connection that it belongs to, and without its type (incremental or full)."""

    status: str = Field(min_length=1)
    error: ErrorText = None
    finished_at: OptionalTime = Field(default=None, validation_alias=_either("finishedAt", "finished_at"))
    metrics: Lenient[SyncMetrics] = None

    @property
    def state(self) -> RunState:
        """The `RunState` that the status maps to. A sync with an error has not succeeded."""
        state = parse_state(self.status, _STATES)
        return RunState.FAILED if state is RunState.SUCCEEDED and self.error else state


class SyncEntry(Sync):
    """A sync in a list, which has an id."""

    id: RunId


class Paging(VendorModel):
    """The position in a list: the path of the next page. Any non-empty value means that there is one."""

    next: Any = None


class SyncPage(VendorModel):
    """A page of a connection's syncs. Their order is not documented."""

    syncs: EachReadable[SyncEntry]
    paging: Lenient[Paging] = None
