"""Answers of Prophecy's trigger API. Failures come with HTTP 200 and ``success: false``."""

from pydantic import Field

from dagster_runs.remote_run.lenient import ErrorText, OptionalTime, VendorModel


class TriggerAnswer(VendorModel):
    """The answer to a trigger."""

    success: bool
    run_id: str | None = Field(default=None, validation_alias="runId", min_length=1)
    msg: ErrorText = None


class PipelineRunAnswer(VendorModel):
    """How a run stands; ``success`` is about the question. Times have no zone and are UTC."""

    success: bool
    run_status: str | None = Field(default=None, validation_alias="runStatus", min_length=1)
    created_at: OptionalTime = Field(default=None, validation_alias="createdAt")
    updated_at: OptionalTime = Field(default=None, validation_alias="updatedAt")
    error_message: ErrorText = Field(default=None, validation_alias="errorMessage")
    msg: ErrorText = None
