"""The request headers with our credentials."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dagster_runs.transport import responses
from dagster_runs.transport.errors import InvalidRequestError

if TYPE_CHECKING:
    from requests import PreparedRequest


def check_headers(headers: Mapping[str, str], call: responses.Call) -> None:
    """Refuses header values with invalid characters, because the HTTP library's error would show the whole value."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise call.error(
                InvalidRequestError,
                f"the {name} header would contain an invalid character, such as a line break; nothing was sent",
                hint="Check the resource's credentials.",
            )


def with_headers(request: "PreparedRequest", headers: Mapping[str, str]) -> "PreparedRequest":
    """Sets the headers of a request that is about to be sent. Returns the same request."""
    request.headers.update(headers)
    return request
