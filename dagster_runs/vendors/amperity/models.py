"""Answers of Amperity's workflow API, version 2024-04-01."""

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel
from dagster_runs.remote_run.state import RunState, parse_state

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


class Task(VendorModel):
    """One task of a workflow; told with ``view=verbose`` only. Two pages name its start differently."""

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
        """What people call it."""
        return self.label or self.task_definition_type or self.id or "(unnamed)"

    @property
    def run_state(self) -> RunState:
        """What its state means."""
        return parse_state(self.state or "", _WORDS)


def _each_a_task(value: Any) -> Any:
    # What is no task at all is shown as an unclear one, and must not hide the others.
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else value


class PartOfWorkflow(VendorModel):
    """What can be read of a listed workflow whose entry is not as documented."""

    id: Lenient[RunId] = None
    type: Lenient[str] = None
    name: Lenient[str] = None
    created_at: OptionalTime = None


class Workflow(PartOfWorkflow):
    """A run of a courier group, an orchestration group or a campaign. It never says of which."""

    id: RunId
    state: str = Field(min_length=1)
    ended_at: OptionalTime = None
    error: ErrorText = None
    tasks: Annotated[Lenient[list[Task]], BeforeValidator(_each_a_task)] = Field(
        default=None, validation_alias="task_instances"
    )

    @property
    def run_state(self) -> RunState:
        """What the state means."""
        return parse_state(self.state, _WORDS)


class StartedWorkflow(VendorModel):
    """The answer to a start. Whatever else it may lack, with an id the run can be followed."""

    id: RunId


class WorkflowPage(VendorModel):
    """A page of workflows. On the last one the token is absent, or empty."""

    data: EachReadable[Workflow]
    next_token: str | None = None
