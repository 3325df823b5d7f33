"""The errors of calls to a vendor. There is one class for each case that callers handle differently."""

from collections.abc import Callable
from typing import ClassVar


class VendorError(Exception):
    """A call to a vendor's API failed.

    The message names the vendor, the call, the cause and a hint. It never contains a secret.

    Attributes:
        vendor: The vendor's display name.
        method: The HTTP method of the call, or ``None`` if no call was made.
        path: The path of the call, as sent.
        status: The HTTP status of the response; ``None`` if there was no response.
        code: The vendor's own error code, if the response had one.
        detail: The cause, in the vendor's words if it gave any.
        request_id: The vendor's id of the call, for its support.
        retry_after: The ``Retry-After`` header of the response.
        hint: What the user can do.
        is_from_api: Whether the error came from the API itself, as JSON. An error page of a proxy says nothing about
            the vendor's objects.
        may_have_been_accepted: Whether the vendor may have executed the request despite the error. If so, a call that
            starts a run is not sent again, unless the vendor accepts an idempotency key.
        is_from_client: Whether the package's own client made this error, not a vendor's code.
        refused_response: The response that says that nothing was started, although its status is a success. See
            `ApiResponse.refused`.
        is_transient: Whether the vendor reports that the same call may succeed a little later, even if the status does
            not imply it.
    """

    default_hint: ClassVar[str] = ""
    is_permanent: ClassVar[bool] = False
    """Whether sending the same call again would fail again."""
    is_bug: ClassVar[bool] = False
    """Whether the cause is a bug in Python code, so that a log line needs the traceback."""

    def __init__(
        self,
        detail: str,
        *,
        vendor: str,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: str | None = None,
        hint: str = "",
        is_from_api: bool = True,
        may_have_been_accepted: bool = False,
        is_from_client: bool = False,
    ) -> None:
        self.vendor = vendor
        self.method = method
        self.path = _text(path)
        self.status = status
        self.code = _text(code)
        self.detail = _text(detail) or ""
        self.request_id = _text(request_id)
        self.retry_after = _text(retry_after)
        self.hint = _text(hint) or self.default_hint
        self.is_from_api = is_from_api
        self.may_have_been_accepted = may_have_been_accepted
        self.is_from_client = is_from_client
        self.refused_response: object = None
        self.is_transient = False
        super().__init__(self._message())

    def redact(self, clean: Callable[[str], str]) -> None:
        """Removes secrets from the texts of this error.

        Args:
            clean: Returns a text without secrets.
        """
        for name in ("vendor", "method", "path", "code", "detail", "request_id", "retry_after", "hint"):
            value = getattr(self, name)
            setattr(self, name, value and clean(str(value)))
        self.args = (self._message(),)

    def _message(self) -> str:
        call = f" {self.method} {self.path}" if self.method else ""
        returned = f" returned {self.status}" if self.status is not None else ""
        code = f" [{self.code}]" if self.code else ""
        request = f" (request id {self.request_id})" if self.request_id else ""
        hint = f" {self.hint}" if self.hint else ""
        detail = self.detail.rstrip(". ")
        end = "" if not request and detail.endswith(("?", "!", "…")) else "."
        return f"{self.vendor}{call}{returned}{code}: {detail}{request}{end}{hint}"


def _text(value: object) -> str | None:
    """Returns a value as text, since a vendor's code may pass what it finds in a response, such as a number."""
    return None if value is None else str(value)


class AuthenticationError(VendorError):
    """401: the vendor does not accept these credentials."""

    default_hint = (
        "Check the resource's credentials. They may be wrong, expired, revoked, or valid only for another environment."
    )
    is_permanent = True


class PermissionDeniedError(VendorError):
    """403: the credentials are valid, but lack the permission for this call."""

    default_hint = "Give the token's owner the permission, or ask the vendor whether your plan includes this API."
    is_permanent = True


class NotFoundError(VendorError):
    """404: the object does not exist, or these credentials have no access to it."""

    default_hint = "Check the id and the base URL. Vendors also return this when the token has no access to the object."
    is_permanent = True


class ConflictError(VendorError):
    """409: the current state of the object does not allow the call."""


class InvalidRequestError(VendorError):
    """400 or 422, or an error found before sending: the request itself is wrong."""

    default_hint = "Correct the run's fields."
    is_permanent = True


class RateLimitedError(VendorError):
    """429: the rate limit was exceeded."""

    default_hint = "Lower the resource's `requests_per_second`, or run fewer runs at the same time."


class ServerError(VendorError):
    """5xx: the vendor has a problem."""

    default_hint = "This is usually a temporary problem at the vendor. Try again later."


class ConnectionFailedError(VendorError):
    """There was no response: the server is unreachable, the connection broke, or the response took too long."""

    default_hint = "Check the base URL, the network and any proxy."


class UnexpectedResponseError(VendorError):
    """The response does not match the vendor's documentation: HTML, text, missing fields, or an unsafe redirect."""

    default_hint = "Check that the base URL is the vendor's API, and that no proxy or login page intercepts the calls."


def as_outage(error: VendorError) -> UnexpectedResponseError:
    """Converts ``error`` to one that says nothing about the requested object, which must not be treated as deleted."""
    return UnexpectedResponseError(
        error.detail, vendor=error.vendor, method=error.method, path=error.path, status=error.status
    )
