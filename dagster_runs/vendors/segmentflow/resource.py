"""The connection to Segmentflow, and its API calls."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.settings import Number
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import ConflictError, InvalidRequestError, VendorError
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.segmentflow.models import JourneyRun, TriggeredRun


class SegmentflowResource(RemoteRunResource):
    """Connection to Segmentflow.

    Args:
        api_key: An API key (``sk_live_…``) with the journeys scopes, from dashboard.segmentflow.ai → Settings →
            API Keys.
        base_url: The URL of the API.
        poll_interval: The longest pause between two polls of a run, in seconds. Journeys take days, so the default is
            five minutes.

    Source: https://segmentflow.ai/docs/authentication.
    """

    vendor: ClassVar[str] = "Segmentflow"
    secret_fields: ClassVar[tuple[str, ...]] = ("api_key",)

    api_key: str = Field(repr=False)
    base_url: str = "https://api.segmentflow.ai"
    poll_interval: Number = Field(default=300.0, ge=0.1)

    def api_url(self) -> str:
        """Returns the URL of the API."""
        return trimmed(self.base_url)

    def auth(self) -> Auth:
        """Returns the key in an ``x-api-key`` header."""
        key = self.secret("api_key") or ""
        return HeaderAuth({"x-api-key": key}, secrets=(key,))

    def error_reader(self) -> ErrorReader:
        """Reads errors of the shape ``{"error": "code", "message": "...", "details"?}``."""
        return _read_error

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str:
        """Asks for a run that does not exist, which also shows whether the key has the scope for reading runs."""
        self.check_with_unknown_run(lambda resource, run_id: resource.get_journey_run(run_id))
        return ""

    def trigger_journey(self, journey_id: str, body: Mapping[str, Any]) -> str:
        """POST ``/api/v1/public/journeys/{id}/trigger``; returns the run's id."""
        segments = ["api", "v1", "public", "journeys", journey_id, "trigger"]
        return self.http().post_once(segments, json=dict(body)).parse(TriggeredRun).run_id

    def trigger_journey_by_key(self, journey_key: str, body: Mapping[str, Any], *, idempotency_key: str) -> str:
        """POST ``/api/v1/journeys/{journeyKey}/trigger``; returns the run's id.

        The same idempotency key always returns the same id.

        Raises:
            ConflictError: Segmentflow is still processing an earlier request with this idempotency key. A retry may
                succeed.
            InvalidRequestError: The idempotency key was sent before with another body.
        """
        segments = ["api", "v1", "journeys", journey_key, "trigger"]
        try:
            response = self.http().post_once(segments, json=dict(body), headers={"idempotency-key": idempotency_key})
        except VendorError as error:
            if error.code == "idempotency_key_reuse":
                raise _idempotency_conflict(error) from None
            if isinstance(error, ConflictError):
                # An earlier request with this key holds the lock. It may start the run, so this is not a refusal.
                error.may_have_been_accepted = error.is_transient = True
            raise
        return response.parse(TriggeredRun).run_id

    def get_journey_run(self, run_id: str) -> JourneyRun:
        """GET ``/api/v1/public/journeys/runs/{runId}``."""
        return self.http().get(["api", "v1", "public", "journeys", "runs", run_id]).parse(JourneyRun)


def _idempotency_conflict(error: VendorError) -> InvalidRequestError:
    """Returns the error for an idempotency key that was reused with another body.

    Some documentation pages give it the status 422, others 409. The lock of an earlier request is a 409 too, but that
    one is transient and this one is permanent.
    """
    return InvalidRequestError(
        error.detail,
        vendor=error.vendor,
        method=error.method,
        path=error.path,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        hint="The run's fields were changed after a start whose outcome is unknown. Check whether the recipient is in "
        "the journey; if not, materialize the asset again (re-execute all steps, not from failure).",
    )


def _read_error(body: Any) -> tuple[str | None, str | None]:
    required, details = body.get("required"), body.get("details")
    parts = (body.get("message"), required and {"required": required}, details)
    return body.get("error"), " ".join(str(part) for part in parts if part) or None
