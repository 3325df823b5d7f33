"""Connection to Segmentflow, and its calls."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import ConflictError
from dagster_runs.vendors.segmentflow.models import JourneyRun, TriggeredRun


class SegmentflowResource(RemoteRunResource):
    """Connection to Segmentflow.

    Args:
        api_key: An API key (``sk_live_…``) with the scopes of journeys, from dashboard.segmentflow.ai → Settings →
        API Keys.
        base_url: The API's address.

    Source: https://segmentflow.ai/docs/authentication.
    """

    vendor: ClassVar[str] = "Segmentflow"
    secret_fields: ClassVar[tuple[str, ...]] = ("api_key",)

    api_key: str = Field(repr=False)
    base_url: str = "https://api.segmentflow.ai"

    def api_url(self) -> str:
        """The API's address."""
        return self.base_url.strip().rstrip("/")

    def auth(self) -> Auth:
        """The key in a header of its own."""
        key = self.secret("api_key") or ""
        return HeaderAuth({"x-api-key": key}, secrets=(key,))

    def error_reader(self) -> ErrorReader:
        """``{"error": "code", "message": "...", "details"?}``."""
        return _read_error

    def trigger_journey(self, journey_id: str, body: Mapping[str, Any]) -> str:
        """POST ``/api/v1/public/journeys/{id}/trigger``; returns the run's id."""
        segments = ["api", "v1", "public", "journeys", journey_id, "trigger"]
        return self.http().post_once(segments, json=dict(body)).parse(TriggeredRun).run_id

    def trigger_journey_by_key(self, journey_key: str, body: Mapping[str, Any], *, idempotency_key: str) -> str:
        """POST ``/api/v1/journeys/{journeyKey}/trigger``; returns the run's id, for the same key always the same."""
        segments = ["api", "v1", "journeys", journey_key, "trigger"]
        try:
            answer = self.http().post_once(segments, json=dict(body), headers={"idempotency-key": idempotency_key})
        except ConflictError as error:
            # The lock of an earlier try with this key: that one may start the run, so this is no refusal.
            error.may_have_been_accepted = True
            raise
        return answer.parse(TriggeredRun).run_id

    def get_journey_run(self, run_id: str) -> JourneyRun:
        """GET ``/api/v1/public/journeys/runs/{runId}``."""
        return self.http().get(["api", "v1", "public", "journeys", "runs", run_id]).parse(JourneyRun)


def _read_error(body: Any) -> tuple[str | None, str | None]:
    message, details = body.get("message"), body.get("details") or body.get("required")
    return body.get("error"), f"{message} {details}" if message and details else message
