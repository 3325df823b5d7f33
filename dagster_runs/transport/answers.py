"""From what came back over the wire, or did not, to an `Answer` or the right error."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dagster_runs.transport import errors
from dagster_runs.transport.body import LARGEST_BODY, Answer, BodyTooLarge, BodyTooSlow, excerpt, parse_json, read_body
from dagster_runs.transport.redaction import Redactor

if TYPE_CHECKING:
    from requests import RequestException, Response

    from dagster_runs.transport.client import ErrorReader, HttpSettings

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
_UNDECIDED_STATUSES = frozenset({408, 425})


@dataclass(frozen=True)
class Call:
    """Which call an answer belongs to."""

    vendor: str
    method: str
    path: str
    redactor: Redactor

    def error(self, kind: type[errors.VendorError], detail: str, **facts: Any) -> errors.VendorError:
        """An error of this call, with no secret in it."""
        clean = self.redactor.clean
        cleaned: dict[str, Any] = {name: clean(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        return kind(clean(detail), vendor=self.vendor, method=self.method, path=clean(self.path), **cleaned)


def read(
    response: "Response",
    call: Call,
    read_error: "ErrorReader",
    *,
    seconds: float,
    keep_secrets: bool = False,
    to_start: bool = False,
) -> Answer:
    """The answer's JSON, or the error that its status or its body says.

    Raises:
        VendorError: The status is not 2xx, or the body is no JSON.
    """
    from urllib3.exceptions import HTTPError

    status = response.status_code
    clean = _not_shown if keep_secrets else call.redactor.clean
    try:
        body = read_body(response, seconds=seconds)
    except BodyTooLarge:
        raise _unreadable(call, status, f"a body of more than {LARGEST_BODY >> 20} MiB") from None
    except BodyTooSlow:
        raise call.error(
            errors.ConnectionFailedError,
            f"the answer's body was not complete after {seconds:g} s",
            may_have_been_accepted=_leaves_open(status),
        ) from None
    except (HTTPError, OSError) as error:
        raise call.error(
            errors.ConnectionFailedError,
            f"the connection broke in the middle of the answer ({_cause(error)})",
            may_have_been_accepted=_leaves_open(status),
        ) from None
    if not 200 <= status < 300:
        raise _refused(response, body, call, read_error)
    try:
        value = parse_json(body, clean=clean)
        value = value if keep_secrets else call.redactor.clean_json(value)
    except ValueError as error:
        raise _unreadable(call, status, str(error)) from None
    except RecursionError:
        raise _unreadable(call, status, "JSON that is nested too deeply") from None
    return Answer(
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
    return "(not shown, as it may hold secrets)"


def _leaves_open(status: int) -> bool:
    """Whether a start may have been accepted though its answer has this status and an unusable body."""
    return status < 300 or status >= 500 or status in _UNDECIDED_STATUSES


def _unreadable(call: Call, status: int, what: str) -> errors.VendorError:
    return call.error(
        errors.UnexpectedResponseError, f"it sent {what}", status=status, may_have_been_accepted=_leaves_open(status)
    )


def _refused(response: "Response", body: bytes, call: Call, read_error: "ErrorReader") -> errors.VendorError:
    status = response.status_code
    kind = _BY_STATUS.get(status, errors.ServerError if status >= 500 else errors.VendorError)
    code: str | None = None
    message: str | None = None
    is_from_api = True
    try:
        code, message = (
            part if isinstance(part, str) else None for part in read_error(parse_json(body, clean=call.redactor.clean))
        )
    except ValueError:
        is_from_api = False  # text or HTML
    except (TypeError, AttributeError, KeyError, IndexError):
        pass  # an error body in a shape that nobody documented: quoted below
    return call.error(
        kind,
        excerpt(call.redactor.clean(message or body.decode("utf-8", "replace"))) or _reason(status),
        status=status,
        code=excerpt(code) if code else None,
        request_id=next(
            (excerpt(response.headers[name]) for name in _REQUEST_ID_HEADERS if name in response.headers), None
        ),
        retry_after=response.headers.get("retry-after"),
        is_from_api=is_from_api,
        may_have_been_accepted=_leaves_open(status),
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an error without a text"


def redirected(status: int, target: str, call: Call, *, too_often: bool = False) -> errors.VendorError:
    """The error for a redirect that is not followed. 303 may mean that a POST was carried out."""
    why = "redirects in a circle" if too_often else "redirects elsewhere, and credentials are not sent there"
    return call.error(
        errors.UnexpectedResponseError,
        f"it {why} (to {excerpt(call.redactor.clean(target))})",
        status=status,
        may_have_been_accepted=status == HTTPStatus.SEE_OTHER,
    )


def connection_failed(error: "RequestException", call: Call, settings: "HttpSettings") -> errors.VendorError:
    """The error for a call without an answer; knows whether the request can have reached the vendor."""
    import ssl

    import requests

    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        cannot = f"the address, or the proxy's, cannot be used ({_cause(error)})"
        return call.error(errors.InvalidRequestError, cannot, cure="Check the base URL, and the proxy's address.")
    if isinstance(error, requests.ConnectTimeout):
        what, sent = f"no connection after {settings.connect_timeout:g} s", False
    elif isinstance(error, requests.Timeout):
        what, sent = f"no answer after {settings.request_timeout:g} s", True
    elif isinstance(error, requests.exceptions.SSLError):
        # Without a trusted certificate nothing is sent; any other TLS error may come after the request.
        refused = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _chain(error))
        what, sent = f"TLS failed ({_cause(error)})", not refused
    elif isinstance(error, requests.exceptions.ProxyError):
        what, sent = f"the proxy refused ({_cause(error)})", False
    elif isinstance(error, requests.ConnectionError):
        sent = not _never_connected(error)
        what = (
            f"the connection broke before the answer ({_cause(error)})" if sent else f"no connection ({_cause(error)})"
        )
    else:
        what, sent = f"the request failed ({_cause(error)})", True
    return call.error(errors.ConnectionFailedError, what, may_have_been_accepted=sent)


def _never_connected(error: BaseException) -> bool:
    from urllib3.exceptions import NewConnectionError

    return any(isinstance(cause, NewConnectionError) for cause in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it wraps: requests and urllib3 keep the cause in ``args`` and ``reason``."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            todo += [*item.args, getattr(item, "reason", None), item.__cause__]
    return found


def _cause(error: BaseException) -> str:
    """The innermost error in a few words, without object addresses."""
    innermost = _chain(error)[-1]
    text = str(innermost).rpartition(">: ")[2] or str(innermost)
    return excerpt(f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__)
