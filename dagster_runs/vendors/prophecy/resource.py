"""Connection to Prophecy, and its two calls."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.body import Answer
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, VendorError
from dagster_runs.vendors.prophecy.models import PipelineRunAnswer, TriggerAnswer

_WRAPPED = re.compile(r"^\s*(?:Left|Right|Some|Failure|[\w.$]*(?:Error|Exception))\((.*)\)\s*$", re.DOTALL)


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
        return self.base_url.strip().rstrip("/").removesuffix("/api")

    def auth(self) -> Auth:
        """The token in a header of its own."""
        token = self.secret("access_token") or ""
        return HeaderAuth({"X-AUTH-TOKEN": token}, secrets=(token,))

    def error_reader(self) -> ErrorReader:
        """``msg``, ``message`` or ``error``: all were met."""
        return lambda body: (None, next((body[name] for name in ("msg", "message", "error") if body.get(name)), None))

    def trigger_pipeline(self, body: Mapping[str, Any]) -> str:
        """POST ``/api/trigger/pipeline``; returns the run's id.

        Raises:
            InvalidRequestError: ``success: false``, with HTTP 200: nothing was started.
        """
        answer = self.http().post_once(["api", "trigger", "pipeline"], json=dict(body))
        parsed = answer.parse(TriggerAnswer)
        if not parsed.success:
            raise _refusal(InvalidRequestError, answer, parsed.msg)
        if parsed.run_id is None:
            raise answer.unexpected(f"success, but no runId; it was {answer.quoted()}")
        return parsed.run_id

    def get_pipeline_run(self, run_id: str) -> PipelineRunAnswer:
        """GET ``/api/trigger/pipeline/{runId}``.

        Raises:
            NotFoundError: ``success: false``, and the text says that there is no such run.
            VendorError: ``success: false`` for another reason, which says nothing about the run.
        """
        answer = self.http().get(["api", "trigger", "pipeline", run_id])
        parsed = answer.parse(PipelineRunAnswer)
        if not parsed.success:
            missing = "not found" in (parsed.msg or "").casefold()
            raise _refusal(NotFoundError if missing else VendorError, answer, parsed.msg)
        if parsed.run_status is None:
            raise answer.unexpected(f"success, but no runStatus; it was {answer.quoted()}")
        return parsed


def _refusal(kind: type[VendorError], answer: Answer, msg: str | None) -> VendorError:
    return kind(
        readable(msg) if msg else f"success is false, without a text; it was {answer.quoted()}",
        vendor=answer.vendor,
        method=answer.method,
        path=answer.path,
        status=answer.status,
    )


def readable(msg: str) -> str:
    """The part of a Scala-flavoured message that people read: ``Left(SomeError(text))`` → ``text``."""
    while match := _WRAPPED.match(msg):
        msg = match.group(1)
    return msg.strip().strip('"')
