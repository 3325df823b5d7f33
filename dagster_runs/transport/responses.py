"""Converts an HTTP response to an `ApiResponse`, or raises the error that its status or its body implies."""

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dagster_runs.transport import errors
from dagster_runs.transport.body import MAX_BODY, ApiResponse, BodyTooLarge, BodyTooSlow, excerpt, parse_json, read_body
from dagster_runs.transport.failures import cause
from dagster_runs.transport.redaction import Redactor

if TYPE_CHECKING:
    from requests import Response

    from dagster_runs.transport.client import ErrorReader

_BY_STATUS: dict[int, type[errors.VendorError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.InvalidRequestError,
    429: errors.RateLimitedError,
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid")
_AMBIGUOUS_STATUSES = frozenset({408, 425})


@dataclass(frozen=True)
class Call:
    """The call that a response belongs to."""

    vendor: str
    method: str
    path: str
    redactor: Redactor
    server: str = "the server"
    """The host and the port of the server."""

    def error(self, kind: type[errors.VendorError], detail: str, **facts: Any) -> errors.VendorError:
        """Returns an error for this call, without secrets."""
        clean = self.redactor.clean
        cleaned: dict[str, Any] = {name: clean(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        return kind(
            clean(detail),
            vendor=self.vendor,
            method=self.method,
            path=clean(self.path),
            is_from_client=True,
            **cleaned,
        )


def read(
    response: "Response",
    call: Call,
    read_error: "ErrorReader",
    *,
    seconds: float,
    keep_secrets: bool = False,
    may_be_empty: bool = False,
    to_start: bool = False,
) -> ApiResponse:
    """Reads the response's JSON.

    Raises:
        VendorError: The status is not 2xx, or the body is not JSON.
    """
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    status = response.status_code
    clean = _not_shown if keep_secrets else call.redactor.clean
    try:
        body = read_body(response, seconds=seconds)
    except BodyTooLarge:
        raise _unreadable(call, status, f"a body of more than {MAX_BODY >> 20} MiB") from None
    except (BodyTooSlow, ReadTimeoutError):
        raise call.error(
            errors.ConnectionFailedError,
            f"the response body from {call.server} was not complete after {seconds:g} s",
            may_have_been_accepted=_may_have_been_accepted(status),
        ) from None
    except (HTTPError, OSError) as error:
        raise call.error(
            errors.ConnectionFailedError,
            f"the connection to {call.server} broke in the middle of the response ({cause(error)})",
            may_have_been_accepted=_may_have_been_accepted(status),
        ) from None
    if not 200 <= status < 300:
        raise _refused(response, body, call, read_error, keep_secrets=keep_secrets)
    try:
        value = None if may_be_empty and not body.strip() else parse_json(body, clean=clean)
        value = value if keep_secrets else call.redactor.clean_json(value)
    except ValueError as error:
        raise _unreadable(call, status, str(error)) from None
    except RecursionError:
        raise _unreadable(call, status, "JSON that is nested too deeply") from None
    return ApiResponse(
        value,
        vendor=call.vendor,
        method=call.method,
        path=call.redactor.clean(call.path),
        status=status,
        headers=response.headers,
        clean=clean,
        to_start=to_start,
    )


def _not_shown(text: str) -> str:
    return "(not shown because it may contain secrets)"


def _may_have_been_accepted(status: int) -> bool:
    """Whether a start may have been accepted even though its response has this status or an unusable body."""
    return status < 300 or status >= 500 or status in _AMBIGUOUS_STATUSES


def _unreadable(call: Call, status: int, problem: str) -> errors.VendorError:
    return call.error(
        errors.UnexpectedResponseError,
        f"the server sent {problem}",
        status=status,
        may_have_been_accepted=_may_have_been_accepted(status),
    )


def _refused(
    response: "Response", body: bytes, call: Call, read_error: "ErrorReader", *, keep_secrets: bool
) -> errors.VendorError:
    status = response.status_code
    kind = _BY_STATUS.get(status, errors.ServerError if status >= 500 else errors.VendorError)
    code: str | None = None
    message: str | None = None
    is_from_api = True
    try:
        parsed = parse_json(body, clean=call.redactor.clean)
    except ValueError:
        is_from_api = False  # text or HTML
    else:
        # A body with an undocumented shape, for which the vendor's code may raise anything, is quoted below.
        with suppress(Exception):
            code, message = (part if isinstance(part, str) else None for part in read_error(parsed))
    quoted = "" if keep_secrets else body.decode("utf-8", "replace")
    return call.error(
        kind,
        excerpt(call.redactor.clean(message or quoted)) or _reason(status),
        status=status,
        code=excerpt(code) if code else None,
        request_id=next(
            (excerpt(response.headers[name]) for name in _REQUEST_ID_HEADERS if name in response.headers), None
        ),
        retry_after=response.headers.get("retry-after"),
        is_from_api=is_from_api,
        may_have_been_accepted=_may_have_been_accepted(status),
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an error without a message"


def redirected(
    status: int, target: str, call: Call, *, same_origin: bool, too_often: bool = False
) -> errors.VendorError:
    """Returns the error for a redirect that is not followed.

    303 means that the server has executed the POST. Many servers send 301 or 302 in its place, to a page of their own.
    """
    path = target.partition("?")[0].partition("#")[0]
    is_page = status in (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND) and not path.rstrip("/").endswith(
        call.path.rstrip("/")
    )  # the same path, with or without a slash, only says where to send the request
    problem = (
        "redirects too many times"
        if too_often
        else "sent a redirect that is not followed, because it leads to another origin or would change the method"
    )
    return call.error(
        errors.UnexpectedResponseError,
        f"the server {problem}: {excerpt(call.redactor.clean(path))}",
        status=status,
        may_have_been_accepted=status == HTTPStatus.SEE_OTHER or (is_page and same_origin),
    )
