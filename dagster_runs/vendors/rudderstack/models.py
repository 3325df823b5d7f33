"""The Profiles API's answers, in the documented camelCase and in the snake_case that the vendor's clients show."""

from pydantic import AliasChoices, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel


def _either(camel: str, snake: str) -> AliasChoices:
    return AliasChoices(camel, snake)


class StartedRun(VendorModel):
    """The answer to a start."""

    run_id: RunId = Field(validation_alias=_either("runId", "run_id"))


class Task(VendorModel):
    """One task of a run. Tasks have no state of their own."""

    task_id: Lenient[str] = Field(default=None, validation_alias=_either("taskId", "task_id"))
    task_run_id: Lenient[str] = Field(default=None, validation_alias=_either("taskRunId", "task_run_id"))
    started_at: OptionalTime = Field(default=None, validation_alias=_either("startedAt", "started_at"))
    finished_at: OptionalTime = Field(default=None, validation_alias=_either("finishedAt", "finished_at"))


class ProfilesRunStatus(VendorModel):
    """How a run stands. ``error`` is in no documented body, but every client of the vendor's reads it."""

    status: str = Field(min_length=1)
    error: ErrorText = None
    started_at: OptionalTime = Field(default=None, validation_alias=_either("startedAt", "started_at"))
    finished_at: OptionalTime = Field(default=None, validation_alias=_either("finishedAt", "finished_at"))
    tasks: Lenient[EachReadable[Task]] = None
