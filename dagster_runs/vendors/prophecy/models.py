"""Responses of Prophecy's trigger API. Failures come with HTTP 200 and ``success: false``."""

from pydantic import Field

from dagster_runs.remote_run.response_models import ErrorText, Lenient, OptionalTime, RunId, VendorModel


class TriggerResponse(VendorModel):
    """The response to a trigger. The documentation does not say what a refusal contains in place of the run id."""

    success: bool
    run_id: Lenient[RunId] = Field(default=None, validation_alias="runId")
    msg: ErrorText = None


class PipelineRunResponse(VendorModel):
    """The status of a run. ``success`` refers to the status call, not to the run. Times have no zone and are UTC."""

    success: bool
    run_status: Lenient[str] = Field(default=None, validation_alias="runStatus")
    created_at: OptionalTime = Field(default=None, validation_alias="createdAt")
    updated_at: OptionalTime = Field(default=None, validation_alias="updatedAt")
    error_message: ErrorText = Field(default=None, validation_alias="errorMessage")
    msg: ErrorText = None
