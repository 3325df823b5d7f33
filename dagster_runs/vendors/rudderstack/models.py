"""Responses of the Profiles API, in the documented camelCase and in the snake_case that RudderStack's clients read."""

from pydantic import AliasChoices, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel


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
