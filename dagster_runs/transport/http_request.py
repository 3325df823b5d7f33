"""Prepares and sends a request, and follows redirects only where our credentials may be sent."""

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from dagster_runs.transport import failures, responses
from dagster_runs.transport.environment import environment_settings
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.http_settings import HttpSettings
from dagster_runs.transport.url import origin

if TYPE_CHECKING:
    from requests import PreparedRequest, Request, Response, Session

MAX_REDIRECTS = 3


def prepare(session: "Session", request: "Request", call: responses.Call) -> "PreparedRequest":
    """Returns the request with its body.

    Raises:
        InvalidRequestError: The body cannot be sent.
    """
    from requests import RequestException
    from requests.exceptions import InvalidJSONError
    from urllib3.exceptions import LocationParseError

    try:
        return session.prepare_request(request)
    except InvalidJSONError as error:
        problem = str(error)
    except (RequestException, LocationParseError):
        raise  # the URL or a header is invalid
    except (TypeError, ValueError) as error:
        problem = str(error)
    raise call.error(InvalidRequestError, f"the body cannot be sent: {problem}. Nothing was sent")


def send_request(
    session: "Session", prepared: "PreparedRequest", call: responses.Call, settings: HttpSettings, *, within: str
) -> "Response":
    """Sends the request. Follows redirects only within the origin, because our credentials are sent along.

    Args:
        session: The session.
        prepared: The request.
        call: The call that the request belongs to, for errors.
        settings: The timeouts and the CA bundle.
        within: A URL of the origin.

    Raises:
        VendorError: There was no response, or a redirect that is not followed.
    """
    import requests

    from dagster_runs.transport import connection

    for _ in range(MAX_REDIRECTS + 1):
        url = str(prepared.url)
        environment = environment_settings(session, url, call, ca_bundle=settings.ca_bundle)
        with connection.track_exchange() as exchange:
            try:
                # Not `session.send`, which reads the whole body of a redirect and resolves its target even with
                # `allow_redirects=False`.
                response = connection.adapter_for(session, url).send(
                    prepared,
                    timeout=(settings.connect_timeout, settings.request_timeout),
                    **environment,
                )
            except requests.RequestException as error:
                proxy = requests.utils.select_proxy(url, environment["proxies"])
                raise failures.connection_failed(
                    error, call, settings, was_sent=exchange.was_sent, proxy=proxy
                ) from None
        if not response.is_redirect:
            return response
        response.close()
        target = response.headers["location"]
        try:
            target = urljoin(url, target)
            same_origin = origin(target) == origin(within)
        except ValueError:  # the target is not a URL
            same_origin = False
        # 307 and 308 preserve the method; the other statuses would turn a POST into a GET.
        keeps_method = response.status_code in (307, 308) or call.method == "GET"
        if not same_origin or not keeps_method:
            raise responses.redirected(response.status_code, target, call, same_origin=same_origin)
        prepared.url = target
    raise responses.redirected(response.status_code, target, call, same_origin=True, too_often=True)
