"""What can go wrong in a call to a vendor: one flat tree, one class for each thing a caller does differently."""

from typing import ClassVar


class VendorError(Exception):
    """A call to a vendor's API went wrong.

    The message names the vendor, the call, the cause and the cure; it holds no secret.

    Attributes:
        vendor: The vendor's name, for people.
        method: HTTP method of the call, or ``None`` where no call was made.
        path: Path of the call, as sent.
        status: HTTP status of the answer; ``None`` where none came.
        code: The vendor's own error code, where its answer had one.
        detail: The cause, in the vendor's words where there are any.
        request_id: The vendor's id of the call, for its support.
        retry_after: The answer's ``Retry-After`` header.
        hint: What the user can do.
        is_from_api: Whether the API itself said so, in JSON; a proxy's page says nothing about the vendor's objects.
        may_have_been_accepted: Whether the vendor may have carried out the request all the same. A call that starts
            something is never sent again while this is true.
        is_transient: Whether the vendor says that the same call may succeed a little later, where its status does not
            say so.
    """

    default_hint: ClassVar[str] = ""
    is_permanent: ClassVar[bool] = False
    """Whether sending the same call again can only fail again."""

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
    ) -> None:
        self.vendor = vendor
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        self.hint = hint or self.default_hint
        self.is_from_api = is_from_api
        self.may_have_been_accepted = may_have_been_accepted
        self.is_transient = False
        super().__init__(self._message())

    def _message(self) -> str:
        call = f" {self.method} {self.path}" if self.method else ""
        answered = f" answered {self.status}" if self.status is not None else ""
        code = f" [{self.code}]" if self.code else ""
        request = f" (request id {self.request_id})" if self.request_id else ""
        hint = f" {self.hint}" if self.hint else ""
        detail = self.detail.rstrip(". ")
        end = "" if not request and detail.endswith(("?", "!", "…")) else "."
        return f"{self.vendor}{call}{answered}{code}: {detail}{request}{end}{hint}"


class AuthenticationError(VendorError):
    """401: the vendor does not know these credentials."""

    default_hint = "Check the resource's credentials: they may be wrong, expired or revoked, or of another environment."
    is_permanent = True


class PermissionDeniedError(VendorError):
    """403: the credentials are known, but not allowed to do this."""

    default_hint = "Give the token's owner the permission, or ask the vendor whether your plan includes this API."
    is_permanent = True


class NotFoundError(VendorError):
    """404: there is no such thing, or these credentials may not see it."""

    default_hint = "Check the id and the base URL; vendors also answer this where the token may not see the object."
    is_permanent = True


class ConflictError(VendorError):
    """409: the vendor's present state forbids the call."""


class InvalidRequestError(VendorError):
    """400 or 422, or refused before it was sent: the request itself is wrong."""

    default_hint = "Correct the run's fields."
    is_permanent = True


class RateLimitedError(VendorError):
    """429: too many calls."""

    default_hint = "Lower `requests_per_second` of the resource, or run less at once."


class ServerError(VendorError):
    """5xx: the vendor is in trouble."""

    default_hint = "This is usually the vendor's trouble and passes; try again later."


class ConnectionFailedError(VendorError):
    """No answer came: the address cannot be reached, the connection broke, or the answer took too long."""

    default_hint = "Check the base URL, the network and any proxy."


class UnexpectedResponseError(VendorError):
    """An answer came that the vendor's documentation does not allow: HTML, text, missing fields, a foreign redirect."""

    default_hint = "Check that the base URL is the vendor's API, and that no proxy or login page stands in between."


def as_outage(error: VendorError) -> UnexpectedResponseError:
    """``error`` as one that says nothing about the object asked for, so that this is not taken for gone."""
    return UnexpectedResponseError(
        error.detail, vendor=error.vendor, method=error.method, path=error.path, status=error.status
    )
