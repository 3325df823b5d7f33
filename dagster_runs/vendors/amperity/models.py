"""Responses of Amperity's workflow API, version 2024-04-01."""

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel
from dagster_runs.remote_run.state import RunState, parse_state

# Three pages of the documentation list the states, and no two agree. Real responses spell them in lower case.
_STATES = {
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


class Task(VendorModel):
    """One task of a workflow; returned only with ``view=verbose``.

    Two pages of the documentation use different names for its start time.
    """

    id: Lenient[str] = None
    state: Lenient[str] = None
    label: Lenient[str] = None
    task_definition_type: Lenient[str] = None
    execution_type: Lenient[str] = None
    started_at: OptionalTime = Field(default=None, validation_alias=AliasChoices("created_at", "started_at"))
    ended_at: OptionalTime = None
    error: ErrorText = None

    @property
    def name(self) -> str:
        """The task's display name."""
        return self.label or self.task_definition_type or self.id or "(unnamed)"

    @property
    def run_state(self) -> RunState:
        """The `RunState` that the task's state maps to."""
        return parse_state(self.state or "", _STATES)


def _each_a_task(value: Any) -> Any:
    # An entry that is not an object is shown as an unclear task, so that it does not hide the others.
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else value


class PartOfWorkflow(VendorModel):
    """The readable fields of a listed workflow whose entry does not have the documented shape."""

    id: Lenient[RunId] = None
    type: Lenient[str] = None
    name: Lenient[str] = None
    created_at: OptionalTime = None


class Workflow(PartOfWorkflow):
    """A run of a courier group, an orchestration group, or a campaign.

    The response does not say which group or campaign the run belongs to.
    """

    id: RunId
    state: str = Field(min_length=1)
    ended_at: OptionalTime = None
    error: ErrorText = None
    tasks: Annotated[Lenient[list[Task]], BeforeValidator(_each_a_task)] = Field(
        default=None, validation_alias="task_instances"
    )

    @property
    def run_state(self) -> RunState:
        """The `RunState` that the workflow's state maps to."""
        return parse_state(self.state, _STATES)


class StartedWorkflow(VendorModel):
    """The response to a start. Only the id is required: it is enough to poll the run."""

    id: RunId


class WorkflowPage(VendorModel):
    """A page of workflows. On the last page the token is absent or empty."""

    data: EachReadable[Workflow]
    next_token: str | None = None
