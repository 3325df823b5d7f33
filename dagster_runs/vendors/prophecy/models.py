"""Answers of Prophecy's trigger API. Failures come with HTTP 200 and ``success: false``."""

from pydantic import Field

from dagster_runs.remote_run.response_models import ErrorText, Lenient, OptionalTime, RunId, VendorModel


class TriggerAnswer(VendorModel):
    """The answer to a trigger. What a refusal holds in place of an id is not documented."""

    success: bool
    run_id: Lenient[RunId] = Field(default=None, validation_alias="runId")
    msg: ErrorText = None


class PipelineRunAnswer(VendorModel):
    """How a run stands; ``success`` is about the question. Times have no zone and are UTC."""

    success: bool
    run_status: Lenient[str] = Field(default=None, validation_alias="runStatus")
    created_at: OptionalTime = Field(default=None, validation_alias="createdAt")
    updated_at: OptionalTime = Field(default=None, validation_alias="updatedAt")
    error_message: ErrorText = Field(default=None, validation_alias="errorMessage")
    msg: ErrorText = None
