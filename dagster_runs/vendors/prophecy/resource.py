"""Connection to Prophecy, and its two calls."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.body import ApiResponse, excerpt
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, VendorError
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.prophecy.messages import is_permanent, readable, says_run_not_found
from dagster_runs.vendors.prophecy.models import PipelineRunAnswer, TriggerAnswer

_PERHAPS_NEVER_BEGAN = "(with a fabric_id that is wrong, Prophecy gives out the ids of runs that never begin)"


class ProphecyResource(RemoteRunResource):
    """Connection to Prophecy.

    Args:
        access_token: A personal access token, from Settings → Access Tokens; it expires, as chosen there.
        base_url: Your environment's address: ``https://app.prophecy.io``, or a dedicated one.

    Source: https://docs.prophecy.ai/api-reference/.
    """

    vendor: ClassVar[str] = "Prophecy"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token",)

    access_token: str = Field(repr=False)
    base_url: str = "https://app.prophecy.io"

    def api_url(self) -> str:
        """The environment's address."""
        return trimmed(self.base_url, "/api")

    def auth(self) -> Auth:
        """The token in a header of its own."""
        token = self.secret("access_token") or ""
        return HeaderAuth({"X-AUTH-TOKEN": token}, secrets=(token,))

    def error_reader(self) -> ErrorReader:
        """``msg``, ``message`` or ``error``: all were met."""
        return _read_error

    def trigger_pipeline(self, body: Mapping[str, Any]) -> str:
        """POST ``/api/trigger/pipeline``; returns the run's id.

        Raises:
            InvalidRequestError: ``success: false``, with HTTP 200, for a reason that stays: nothing was started.
            VendorError: The same, for a reason that may pass.
        """
        answer = self.http().post_once(["api", "trigger", "pipeline"], json=dict(body))
        parsed = answer.parse(TriggerAnswer)
        if parsed.success and parsed.run_id:
            return parsed.run_id
        if parsed.success or parsed.run_id:
            said = "success, but no runId" if parsed.success else "success is false, but there is a runId"
            raise answer.unexpected(f"{said}; it was {answer.quoted()}")
        raise _refusal(InvalidRequestError if is_permanent(parsed.msg or "") else VendorError, answer, parsed.msg)

    def get_pipeline_run(self, run_id: str) -> PipelineRunAnswer:
        """GET ``/api/trigger/pipeline/{runId}``.

        Raises:
            NotFoundError: ``success: false``, and the text says that there is no such run.
            VendorError: ``success: false`` for another reason, which says nothing about the run.
        """
        answer = self.http().get(["api", "trigger", "pipeline", run_id])
        parsed = answer.parse(PipelineRunAnswer)
        if not parsed.success:
            if says_run_not_found(readable(parsed.msg or ""), run_id):
                raise _refusal(NotFoundError, answer, f"{parsed.msg} {_PERHAPS_NEVER_BEGAN}")
            raise _refusal(VendorError, answer, parsed.msg)
        if not parsed.run_status:
            raise answer.unexpected(f"success, but no runStatus; it was {answer.quoted()}")
        return parsed


def _refusal(kind: type[VendorError], answer: ApiResponse, msg: str | None) -> VendorError:
    return kind(
        excerpt(readable(msg)) if msg else f"success is false, without a text; it was {answer.quoted()}",
        vendor=answer.vendor,
        method=answer.method,
        path=answer.path,
        status=answer.status,
    )


def _read_error(body: Any) -> tuple[str | None, str | None]:
    texts = (body.get(name) for name in ("msg", "message", "error"))
    return None, next((readable(text) for text in texts if text and isinstance(text, str)), None)
