"""Reads the body of a response with limits on size and time, and parses it as JSON or raises a clear error."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import UnexpectedResponseError, VendorError

if TYPE_CHECKING:
    from requests import Response

MAX_BODY = 16 * 1024 * 1024
_QUOTED = 300
ModelT = TypeVar("ModelT", bound=BaseModel)


class BodyTooLarge(Exception):
    """The body exceeds `MAX_BODY`, which is far larger than any real response of these APIs."""


class BodyTooSlow(Exception):
    """The body was not complete in time. Each byte resets the socket's own timeout, so the body needs its own limit."""


def read_body(response: "Response", *, seconds: float) -> bytes:
    """Reads the whole body of a streamed response.

    Raises:
        BodyTooLarge: The body has more than `MAX_BODY` bytes after decompression.
        BodyTooSlow: The body is not complete after ``seconds``.
    """
    clock = current_clock()
    deadline = clock.monotonic() + seconds
    chunks: list[bytes] = []
    size = 0
    # read1 returns the bytes that have arrived; read(n) would wait for n bytes.
    while chunk := response.raw.read1(65536, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise BodyTooLarge
        if clock.monotonic() > deadline:
            raise BodyTooSlow
    return b"".join(chunks)


def excerpt(text: str) -> str:
    """Returns the beginning of a text on one line, for quoting in an error."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _QUOTED else flat[:_QUOTED] + "…"


def parse_json(body: bytes, *, clean: Callable[[str], str]) -> Any:
    """Parses ``body`` as JSON.

    Raises:
        ValueError: The body is not JSON. The message quotes its beginning. Secrets are redacted before the text is
            truncated, because the redactor would not recognize part of a secret.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        is_html = text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))
        kind = "HTML instead of JSON" if is_html else "text that is not JSON"
        raise ValueError(f"{kind}: {excerpt(clean(text))!r}" if text.strip() else "an empty body") from None


class ApiResponse:
    """A successful response: its JSON, and the call that it belongs to."""

    def __init__(
        self,
        json_value: Any,
        *,
        vendor: str,
        method: str,
        path: str,
        status: int,
        headers: Mapping[str, str],
        clean: Callable[[str], str],
        to_start: bool,
    ) -> None:
        self.json = json_value
        self.vendor = vendor
        self.method = method
        self.path = path
        self.status = status
        self.headers = headers
        self._clean = clean
        self._to_start = to_start

    def parse(self, model: type[ModelT]) -> ModelT:
        """Validates the JSON as ``model``.

        Raises:
            UnexpectedResponseError: The JSON does not match ``model``. The error names the fields and quotes the JSON.
        """
        try:
            return model.model_validate(self.json)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'the response'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
            )
            raise self.unexpected(f"{problems}; the response was {self.quoted()}") from None

    def quoted(self) -> str:
        """Returns the beginning of the JSON, for quoting in an error."""
        return excerpt(self._clean(json.dumps(self.json, ensure_ascii=False)))

    def unexpected(self, detail: str) -> UnexpectedResponseError:
        """Returns an error that says what is wrong with this response."""
        return UnexpectedResponseError(
            self._clean(detail),
            vendor=self.vendor,
            method=self.method,
            path=self.path,
            status=self.status,
            # The status was a success, so the vendor has started the run.
            may_have_been_accepted=self._to_start,
            is_from_client=True,
        )

    def refused(self, detail: str, kind: type[VendorError] = VendorError) -> VendorError:
        """Returns an error that says that the vendor did nothing, although the status of this response is a success.

        Args:
            detail: The reason, in the vendor's words.
            kind: The class of the error. `InvalidRequestError` if sending the same call again would fail again.
        """
        error = kind(self._clean(detail), vendor=self.vendor, method=self.method, path=self.path, status=self.status)
        error.is_from_client, error.refused_response = True, self
        return error
