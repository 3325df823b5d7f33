"""The connection to Prophecy, and its two API calls."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.body import ApiResponse, excerpt
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, VendorError
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.prophecy.messages import is_permanent, readable, says_run_not_found
from dagster_runs.vendors.prophecy.models import PipelineRunResponse, TriggerResponse

_PERHAPS_NEVER_STARTED = "(with a wrong fabric_id, Prophecy returns ids of runs that never start)"


class ProphecyResource(RemoteRunResource):
    """Connection to Prophecy.

    Args:
        access_token: A personal access token from Settings → Access Tokens. It expires on the date chosen there.
        base_url: The URL of your environment: ``https://app.prophecy.io``, or a dedicated one.

    Source: https://docs.prophecy.ai/api-reference/.
    """

    vendor: ClassVar[str] = "Prophecy"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token",)

    access_token: str = Field(repr=False)
    base_url: str = "https://app.prophecy.io"

    def api_url(self) -> str:
        """Returns the URL of the environment."""
        return trimmed(self.base_url, "/api")

    def auth(self) -> Auth:
        """Returns the token in an ``X-AUTH-TOKEN`` header."""
        token = self.secret("access_token") or ""
        return HeaderAuth({"X-AUTH-TOKEN": token}, secrets=(token,))

    def error_reader(self) -> ErrorReader:
        """Reads ``msg``, ``message`` or ``error``, all of which occur in real responses."""
        return _read_error

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str:
        """Asks for a run that does not exist. Prophecy's API has no other call that starts nothing."""
        self.check_with_unknown_run(lambda resource, run_id: resource.get_pipeline_run(run_id))
        return ""

    def trigger_pipeline(self, body: Mapping[str, Any]) -> str:
        """POST ``/api/trigger/pipeline``; returns the run's id.

        Raises:
            InvalidRequestError: ``success: false`` with HTTP 200, for a permanent reason. Nothing was started.
            VendorError: ``success: false`` with HTTP 200, for a reason that may be transient. Nothing was started.
        """
        response = self.http().post_once(["api", "trigger", "pipeline"], json=dict(body))
        parsed = response.parse(TriggerResponse)
        if parsed.success and parsed.run_id:
            return parsed.run_id
        if parsed.success or parsed.run_id:
            problem = "is true, but runId is missing" if parsed.success else "is false, but runId is set"
            raise response.unexpected(f"success {problem}; the response was {response.quoted()}")
        raise _refusal(InvalidRequestError if is_permanent(parsed.msg or "") else VendorError, response, parsed.msg)

    def get_pipeline_run(self, run_id: str) -> PipelineRunResponse:
        """GET ``/api/trigger/pipeline/{runId}``.

        Raises:
            NotFoundError: ``success: false``, and the message says that the run does not exist.
            VendorError: ``success: false`` for another reason, which says nothing about the run.
        """
        response = self.http().get(["api", "trigger", "pipeline", run_id])
        parsed = response.parse(PipelineRunResponse)
        if not parsed.success:
            if says_run_not_found(readable(parsed.msg or ""), run_id):
                raise _refusal(NotFoundError, response, f"{parsed.msg} {_PERHAPS_NEVER_STARTED}")
            raise _refusal(VendorError, response, parsed.msg)
        if not parsed.run_status:
            raise response.unexpected(
                f"success is true, but runStatus is missing; the response was {response.quoted()}"
            )
        return parsed


def _refusal(kind: type[VendorError], response: ApiResponse, msg: str | None) -> VendorError:
    problem = f"success is false, without a message; the response was {response.quoted()}"
    return response.refused(excerpt(readable(msg)) if msg else problem, kind)


def _read_error(body: Any) -> tuple[str | None, str | None]:
    texts = (body.get(name) for name in ("msg", "message", "error"))
    return None, next((readable(text) for text in texts if text and isinstance(text, str)), None)
