"""Checks the URL and the credentials of a resource with a call that starts nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from dagster_runs.transport.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
    VendorError,
    as_outage,
)

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource

UNKNOWN_RUN_ID = "00000000-0000-4000-8000-000000000000"
"""The id of a run that does not exist. It has the form of a UUID, because some vendors refuse other ids."""

ResourceT = TypeVar("ResourceT", bound="RemoteRunResource")


def check_with_unknown_run(resource: ResourceT, fetch: Callable[[ResourceT], object]) -> None:
    """Checks that the vendor accepts the credentials, by asking for a run that does not exist.

    A vendor checks the credentials before it reports that a run is unknown. But a server that is not the vendor's may
    return 404 for each path too. So the same call is made without credentials, which the vendor must treat differently.

    Args:
        resource: The resource.
        fetch: Asks for the run `UNKNOWN_RUN_ID`.

    Raises:
        VendorError: The vendor cannot be reached, does not accept the credentials, or is another server.
    """
    known = _response_about_run(resource, fetch)
    if not resource.secret_fields:
        return  # without credentials, there is nothing to compare
    anonymous = resource.without_credentials()
    try:
        unknown = _response_about_run(anonymous, fetch)
    except (AuthenticationError, PermissionDeniedError):
        return
    if unknown == known:
        raise UnexpectedResponseError(
            f"the server at {resource.http().base_url} responds the same with and without credentials: {known[-1]}",
            vendor=resource.vendor,
            hint="Check that the base URL is the vendor's API.",
        )


def _response_about_run(resource: ResourceT, fetch: Callable[[ResourceT], object]) -> tuple[str, str | None, str]:
    """Returns what the vendor says about the run that does not exist: the class of the error, its code, its message.

    Raises:
        VendorError: The response is not about the run.
    """
    try:
        fetch(resource)
    except NotFoundError as error:
        if not error.is_from_api:
            raise as_outage(error) from None
        return type(error).__name__, error.code, error.detail
    except VendorError as error:
        # Some vendors refuse an id of a different form, or report an unknown run with a successful status.
        is_refusal = error.refused_response is not None or (isinstance(error, InvalidRequestError) and error.status)
        if not is_refusal:
            raise
        return type(error).__name__, error.code, error.detail
    return "", None, "a run"
