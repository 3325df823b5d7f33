"""What a request takes from the environment of the process: proxies, and the CA bundle."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dagster_runs.transport import failures
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.url import is_loopback

if TYPE_CHECKING:
    from requests import Session

    from dagster_runs.transport.responses import Call


def environment_settings(session: "Session", url: str, call: "Call", *, ca_bundle: str | None) -> dict[str, Any]:
    """Returns the proxies and the CA bundle for a request, by default those of the environment.

    Args:
        session: The session that sends the request.
        url: The URL of the request.
        call: The call, for the error.
        ca_bundle: The resource's own CA bundle, which takes precedence.

    Raises:
        InvalidRequestError: The CA bundle cannot be used.
    """
    # `True` is for streaming. The resource's own CA bundle takes precedence over the environment's.
    found: dict[str, Any] = dict(session.merge_environment_settings(url, {}, True, ca_bundle, None))
    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        found["proxies"] = {}  # a proxy, which is another machine or at least another program, would see the token
    bundle = found["verify"]
    if isinstance(bundle, str) and url.startswith("https:"):
        setting = "ca_bundle" if ca_bundle is not None else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        problem = failures.problem_of_ca_bundle(bundle)
        if problem:
            raise call.error(
                InvalidRequestError,
                f"the CA bundle {bundle} ({setting}) {problem}; nothing was sent",
                hint=f"Set {setting} to the path of a PEM file with the certificates of the authorities to trust.",
            )
    return found
