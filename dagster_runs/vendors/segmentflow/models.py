"""Responses of Segmentflow's journeys API. Its documentation pages disagree on which fields may be null or absent."""

from pydantic import Field

from dagster_runs.remote_run.response_models import ErrorText, Lenient, OptionalTime, RunId, VendorModel


class TriggeredRun(VendorModel):
    """The response to either trigger."""

    run_id: RunId = Field(validation_alias="runId")


class JourneyRun(VendorModel):
    """One recipient's run through a journey."""

    status: str = Field(min_length=1)
    journey_id: Lenient[str] = Field(default=None, validation_alias="journeyId")
    profile_id: Lenient[str] = Field(default=None, validation_alias="profileId")
    workflow_id: Lenient[str] = Field(default=None, validation_alias="workflowId")
    triggered_at: OptionalTime = Field(default=None, validation_alias="triggeredAt")
    completed_at: OptionalTime = Field(default=None, validation_alias="completedAt")
    error: ErrorText = None
