"""Reading an answer's body: bounded in size and time, and JSON or a clear error."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import UnexpectedResponseError

if TYPE_CHECKING:
    from requests import Response

MAX_BODY = 16 * 1024 * 1024
_QUOTED = 300
ModelT = TypeVar("ModelT", bound=BaseModel)


class BodyTooLarge(Exception):
    """The answer is larger than any answer of these APIs has a reason to be."""


class BodyTooSlow(Exception):
    """The answer dribbles in: each byte resets the socket's own timeout, so the whole needs one too."""


def read_body(response: "Response", *, seconds: float) -> bytes:
    """The whole body of a streamed response.

    Raises:
        BodyTooLarge: More than ``LARGEST_BODY`` bytes after decompression.
        BodyTooSlow: Not complete after ``seconds``.
    """
    clock = current_clock()
    deadline = clock.monotonic() + seconds
    chunks: list[bytes] = []
    size = 0
    # read1 returns what has arrived; read(n) would wait until n bytes have.
    while chunk := response.raw.read1(65536, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise BodyTooLarge
        if clock.monotonic() > deadline:
            raise BodyTooSlow
    return b"".join(chunks)


def excerpt(text: str) -> str:
    """The beginning of a text, on one line, for quoting in an error."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _QUOTED else flat[:_QUOTED] + "…"


def parse_json(body: bytes, *, clean: Callable[[str], str]) -> Any:
    """The JSON value of ``body``.

    Raises:
        ValueError: It is not JSON; the message quotes its beginning, cleaned first: a secret that is cut is not found.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        kind = "HTML" if text.lstrip()[:15].lower().startswith(("<!doctype", "<html")) else "text that is not JSON"
        raise ValueError(
            f"{kind} where JSON was due: {excerpt(clean(text))!r}" if text.strip() else "an empty body"
        ) from None


class ApiResponse:
    """A successful answer: its JSON, and the call that it belongs to."""

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
        """The JSON as ``model``.

        Raises:
            UnexpectedResponseError: It has another shape; names the fields and quotes the answer.
        """
        try:
            return model.model_validate(self.json)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'the answer'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
            )
            raise self.unexpected(f"{problems}; it was {self.quoted()}") from None

    def quoted(self) -> str:
        """The beginning of the JSON, for an error."""
        return excerpt(self._clean(json.dumps(self.json, ensure_ascii=False)))

    def unexpected(self, detail: str) -> UnexpectedResponseError:
        """An error that says what is wrong with this answer."""
        return UnexpectedResponseError(
            detail,
            vendor=self.vendor,
            method=self.method,
            path=self.path,
            status=self.status,
            # The vendor said "success": what it was asked to start, it has started.
            may_have_been_accepted=self._to_start,
        )
