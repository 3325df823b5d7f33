"""One vendor's API over HTTP: sends a call, retries what may be retried, turns every failure into a `VendorError`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from dagster_runs.transport import call_budget, failures, responses
from dagster_runs.transport.auth import Auth
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import AuthenticationError, InvalidRequestError, VendorError
from dagster_runs.transport.rate_limit import turn
from dagster_runs.transport.url import authority, check_base_url, is_loopback, join_path, origin

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session
    from tenacity import Retrying

# requests, urllib3 and tenacity are imported where they are used: every `dg` command imports this package.

ErrorReader = Callable[[Any], tuple[str | None, str | None]]
"""From a vendor's decoded error body to its (code, message)."""

MAX_REDIRECTS = 3
_LAST_TIME = 32_503_680_000.0
"""Epoch seconds of the year 3000: a clock beyond it, or before 1970, is not one to reckon with."""


@dataclass(frozen=True)
class HttpSettings:
    """How patient the client is.

    Attributes:
        request_timeout: Seconds to wait for an answer.
        connect_timeout: Seconds to wait for a connection.
        max_retries: Further tries of a call that may be repeated.
        overall_timeout: Seconds after which no further try of one call begins.
        requests_per_second: Client-side limit for the account; ``None`` for no limit.
        allow_plain_http: Whether credentials may travel over plain http to another machine.
        ca_bundle: Path of a PEM file with the certificates of the authorities to trust; ``None`` for the usual ones, or
            those that ``REQUESTS_CA_BUNDLE`` names.
    """

    request_timeout: float = 30.0
    connect_timeout: float = 5.0
    max_retries: int = 5
    overall_timeout: float = 300.0
    requests_per_second: float | None = None
    allow_plain_http: bool = False
    ca_bundle: str | None = None


class HttpClient:
    """Calls one vendor's API.

    Args:
        vendor: The vendor's name, for errors.
        base_url: Address of the API, without a trailing slash.
        account: Names what shares one rate limit (a tenant), whatever the address; no secret. Empty: all at this
            address.
        auth: The credentials.
        settings: Timeouts, retries, rate limit.
        read_error: Finds code and message in the vendor's error bodies.
        user_agent: The ``User-Agent`` header.

    Raises:
        InvalidRequestError: The base URL is unusable.
    """

    def __init__(
        self,
        *,
        vendor: str,
        base_url: str,
        account: str,
        auth: Auth,
        settings: HttpSettings,
        read_error: ErrorReader,
        user_agent: str,
    ) -> None:
        self.vendor = vendor
        self.base_url = check_base_url(base_url, vendor=vendor, allow_plain_http=settings.allow_plain_http)
        self._account = f"{vendor} {account or self.base_url}"
        self.clock_ahead: float | None = None
        """Seconds by which the vendor's clock was last seen ahead of ours, by an answer's ``Date``."""
        self._auth = auth
        self._patient = settings
        self._read_error = read_error
        self._user_agent = user_agent

    def get(self, segments: Sequence[str], *, params: Mapping[str, str | int] | None = None) -> ApiResponse:
        """GET, retried while the failure may pass."""
        return self._call("GET", segments, params=params)

    def post(
        self,
        segments: Sequence[str],
        *,
        form: Mapping[str, str] | None = None,
        keep_secrets: bool = False,
        may_be_empty: bool = False,
    ) -> ApiResponse:
        """POST that does no harm when sent twice (a cancel, a token), retried while the failure may pass.

        Args:
            segments: The path, one id or word each.
            form: The body, as a form; no body for ``None``.
            keep_secrets: Leave the answer as it is, for a token endpoint.
            may_be_empty: Accept a success without a body, as 202 and 204 often are; its JSON is ``None``.
        """
        return self._call("POST", segments, form=form, keep_secrets=keep_secrets, may_be_empty=may_be_empty)

    def post_once(
        self, segments: Sequence[str], *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> ApiResponse:
        """POST that starts something: one try, on a fresh connection, since a stale one makes a lost answer likely.

        Whether it may be tried again is for the caller to say: see `retrying`.

        Args:
            segments: The path, one id or word each.
            json: The body; none at all for ``None``.
            headers: Further headers.
        """
        path = join_path(segments, vendor=self.vendor, method="POST")
        return self._send_authenticated("POST", path, fresh=True, json=json, headers=headers)

    def with_call_budget(self) -> AbstractContextManager[None]:
        """Inside the block this thread's calls are retried once at most, and answers waited for 10 s at most.

        So are calls for a token, which are another client's: it is the thread that is in a hurry.
        """
        return call_budget.with_call_budget()

    @property
    def _settings(self) -> HttpSettings:
        patient = self._patient
        if not call_budget.has_call_budget():
            return patient
        return replace(
            patient,
            max_retries=min(patient.max_retries, call_budget.MAX_RETRIES),
            request_timeout=min(patient.request_timeout, call_budget.ANSWER_WITHIN),
            overall_timeout=min(patient.overall_timeout, call_budget.ALL_WITHIN),
        )

    def retrying(self, *, repeatable: bool) -> "Retrying":
        """A retry loop with this client's patience, for a call that does or does not bear being sent twice."""
        from tenacity import RetryCallState, Retrying, retry_if_exception

        from dagster_runs.transport import retry

        clock = current_clock()
        deadline = clock.monotonic() + self._settings.overall_timeout

        def enough(state: RetryCallState) -> bool:
            overdue = clock.monotonic() + state.upcoming_sleep > deadline
            return overdue or state.attempt_number > self._settings.max_retries

        def worth_retrying(error: BaseException) -> bool:
            return isinstance(error, VendorError) and retry.may_send_again(error, repeatable=repeatable)

        return Retrying(
            retry=retry_if_exception(worth_retrying),
            wait=retry.delay,
            stop=enough,
            sleep=clock.sleep,
            reraise=True,
        )

    def _call(self, method: str, segments: Sequence[str], **request: Any) -> ApiResponse:
        path = join_path(segments, vendor=self.vendor, method=method)
        try:
            return self.retrying(repeatable=True)(self._send_authenticated, method, path, fresh=False, **request)
        except VendorError as error:
            # Only a start may be accepted unheard. This may be a call before one: for a token, say.
            error.may_have_been_accepted = False
            raise

    def _send_authenticated(self, method: str, path: str, **request: Any) -> ApiResponse:
        """One try. A 401 is no failure yet while the credentials can be renewed: the vendor did nothing but refuse."""
        for renewal in range(self._auth.max_renewals + 1):
            credentials = self._auth.headers()
            try:
                return self._send(method, path, credentials=credentials, **request)
            except AuthenticationError:
                if renewal == self._auth.max_renewals or not self._auth.renew(credentials):
                    raise
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        path: str,
        *,
        credentials: Mapping[str, str],
        fresh: bool,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        keep_secrets: bool = False,
        may_be_empty: bool = False,
    ) -> ApiResponse:
        import requests
        from urllib3.exceptions import LocationParseError

        call = responses.Call(self.vendor, method, path, self._auth.redactor(), server=authority(self.base_url))
        _check_headers(credentials, call)
        session = self._new_session() if fresh else self._session
        request = requests.Request(
            method,
            self.base_url + path,
            params=params,
            json=json,
            data=form,
            headers=headers,
            # An auth callable also keeps requests from reading ~/.netrc, which would replace our header.
            auth=lambda ready: _with_headers(ready, credentials),
        )
        try:
            prepared = session.prepare_request(request)
            with turn(self._account, self._settings.requests_per_second):
                response = self._follow(session, prepared, call)
            with response:
                self._look_at_clock(response.headers)
                return responses.read(
                    response,
                    call,
                    self._read_error,
                    seconds=self._settings.request_timeout,
                    keep_secrets=keep_secrets,
                    may_be_empty=may_be_empty,
                    to_start=fresh,
                )
        except requests.RequestException as error:  # before the request was prepared: the address is unusable
            raise failures.connection_failed(error, call, self._settings) from None
        except (LocationParseError, OSError) as error:  # a host that cannot be; a CA bundle that has gone since
            raise call.error(InvalidRequestError, str(error), hint="Check the base URL, and the CA bundle.") from None
        finally:
            if fresh:
                session.close()

    def _follow(self, session: "Session", prepared: "PreparedRequest", call: responses.Call) -> "Response":
        """Send, and follow redirects within the origin only: custom credential headers would travel along."""
        import requests

        from dagster_runs.transport import connection

        for _ in range(MAX_REDIRECTS + 1):
            url = str(prepared.url)
            surroundings = self._surroundings(session, url, call)
            with connection.resolve_assets() as exchange:
                try:
                    # Not `session.send`: even told not to follow, it reads a redirect's whole body and resolves its
                    # target.
                    response = session.get_adapter(url).send(
                        prepared,
                        timeout=(self._settings.connect_timeout, self._settings.request_timeout),
                        **surroundings,
                    )
                except requests.RequestException as error:
                    proxy = requests.utils.select_proxy(url, surroundings["proxies"])
                    raise failures.connection_failed(
                        error, call, self._settings, was_sent=exchange.was_sent, proxy=proxy
                    ) from None
            if not response.is_redirect:
                return response
            response.close()
            target = response.headers["location"]
            try:
                target = urljoin(url, target)
                same_origin = origin(target) == origin(self.base_url)
            except ValueError:  # no URL at all
                same_origin = False
            # 307 and 308 keep the method; the others would turn a POST into a GET.
            keeps_method = response.status_code in (307, 308) or call.method == "GET"
            if not same_origin or not keeps_method:
                raise responses.redirected(response.status_code, target, call)
            prepared.url = target
        raise responses.redirected(response.status_code, target, call, too_often=True)

    def _surroundings(self, session: "Session", url: str, call: responses.Call) -> dict[str, Any]:
        """The proxies and the CA bundle for a request: those of the environment, as far as nothing else is known."""
        # `True` is for streaming. The resource's own CA bundle goes before the environment's.
        found: dict[str, Any] = dict(session.merge_environment_settings(url, {}, True, self._settings.ca_bundle, None))
        host = urlsplit(url).hostname or ""
        if is_loopback(host):
            found["proxies"] = {}  # a proxy is another machine, or at least another program: it would see the token
        bundle = found["verify"]
        if isinstance(bundle, str) and url.startswith("https:"):
            named = "ca_bundle" if self._settings.ca_bundle is not None else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            problem = failures.problem_of_ca_bundle(bundle)
            if problem:
                raise call.error(
                    InvalidRequestError,
                    f"the CA bundle {bundle} ({named}) {problem}; nothing was sent",
                    hint=f"Set {named} to the path of a PEM file with the certificates of the authorities to trust.",
                )
        return found

    def _look_at_clock(self, headers: Mapping[str, str]) -> None:
        try:
            told = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if 0 <= told < _LAST_TIME:
            self.clock_ahead = told - current_clock().wall()

    @cached_property
    def _session(self) -> "Session":
        return self._new_session()

    def _new_session(self) -> "Session":
        from dagster_runs.transport.connection import new_session

        return new_session({"User-Agent": self._user_agent, "Accept": "application/json"})


def _check_headers(headers: Mapping[str, str], call: responses.Call) -> None:
    """Refuse what no header can hold; the HTTP library's own error would show the whole value."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise call.error(
                InvalidRequestError,
                f"the {name} header would hold a character that cannot be sent, such as a line's end; nothing was sent",
                hint="Check the resource's credentials.",
            )


def _with_headers(request: "PreparedRequest", headers: Mapping[str, str]) -> "PreparedRequest":
    request.headers.update(headers)
    return request
