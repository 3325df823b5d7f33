"""The HTTP client for one vendor's API: sends calls, retries safe ones, and raises every failure as a `VendorError`."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dagster_runs.transport import call_budget, failures, responses, start_scope
from dagster_runs.transport.auth import Auth
from dagster_runs.transport.backoff import Backoff, backoff_of
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidRequestError,
    RateLimitedError,
    VendorError,
)
from dagster_runs.transport.headers import check_headers, with_headers
from dagster_runs.transport.http_request import prepare, send_request
from dagster_runs.transport.http_settings import HttpSettings
from dagster_runs.transport.rate_limit import rate_limited
from dagster_runs.transport.url import PathPart, check_base_url, host_and_port, is_loopback, join_path
from dagster_runs.transport.vendor_clock import VendorClock

if TYPE_CHECKING:
    from requests import Session
    from tenacity import Retrying

# requests, urllib3 and tenacity are imported where they are used: every `dg` command imports this package.

ErrorReader = Callable[[Any], tuple[str | None, str | None]]
"""Maps a vendor's decoded error body to its (code, message)."""

Params = Mapping[str, str | int | Sequence[str]]
"""The parameters of a query."""

_MIN_TIMEOUT = 0.05
"""Seconds. The HTTP library does not accept 0."""


class HttpClient:
    """Calls one vendor's API.

    Args:
        vendor: The vendor's name, for errors.
        base_url: The URL of the API.
        account: The name of the account that the rate limit applies to, such as a tenant. Clients with the same account
            share one rate limit even if their URLs differ. Must not be a secret. Empty to share the limit by URL.
        auth: The credentials.
        settings: Timeouts, retries, and rate limit.
        read_error: Extracts the code and the message from the vendor's error bodies.
        user_agent: The ``User-Agent`` header.

    Raises:
        InvalidRequestError: The base URL is invalid.
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
        server = host_and_port(self.base_url)
        # A server on this machine is a simulated one, and each of these has accounts of its own.
        self._account_on_machine = (
            f"{self._account} {server if is_loopback(urlsplit(self.base_url).hostname or '') else ''}"
        )
        self._vendor_clock = VendorClock()
        self._auth = auth
        self._configured_settings = settings
        self._read_error = read_error
        self._user_agent = user_agent

    def get(
        self, path: Sequence[PathPart], *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> ApiResponse:
        """Sends a GET, and retries it after transient failures."""
        return self.send_repeatable("GET", path, params=params, headers=headers)

    def post_once(
        self, path: Sequence[PathPart], *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> ApiResponse:
        """Sends a POST that starts a run, without retries. The most common case of `send_once`."""
        return self.send_once("POST", path, json=json, headers=headers)

    def send_repeatable(
        self,
        method: str,
        path: Sequence[PathPart],
        *,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        may_be_empty: bool = False,
        keep_secrets: bool = False,
        starts_nothing: bool = False,
    ) -> ApiResponse:
        """Sends a call that is harmless when sent twice (a read, a cancellation), and retries transient failures.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: The parts of the path. Each is percent-encoded, so that it stays one segment.
            params: The parameters of the query. A list repeats its parameter.
            json: The JSON body; ``None`` for none.
            form: The form fields of the body, in place of ``json``.
            headers: Additional headers.
            may_be_empty: Accept a successful response without a body, as is common for 202 and 204. Its JSON is
                ``None``.
            keep_secrets: Do not redact the response, for a token endpoint.
            starts_nothing: The call starts no run. Inside `RemoteRun.start`, any call but a GET must say so.

        Raises:
            InvalidRequestError: Inside `RemoteRun.start`, the call may start a run. Nothing was sent.
            VendorError: The call failed.
        """
        start_scope.check_repeatable(method, vendor=self.vendor, starts_nothing=starts_nothing)
        checked = self._path(method, path)
        try:
            return self.retrying(repeatable=True)(
                self._send_authenticated,
                method,
                checked,
                fresh=False,
                params=params,
                json=json,
                form=form,
                headers=headers,
                may_be_empty=may_be_empty,
                keep_secrets=keep_secrets,
            )
        except VendorError as error:
            # The flag only applies to starts. This call starts nothing, but it may fetch a token during a start.
            error.may_have_been_accepted = False
            raise

    def send_once(
        self,
        method: str,
        path: Sequence[PathPart],
        *,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        may_be_empty: bool = False,
        starts_nothing: bool = False,
    ) -> ApiResponse:
        """Sends a call that starts a run, without retries. The arguments are those of `send_repeatable`.

        Uses a new connection, because the response is more likely to be lost on a stale one. The caller of
        `RemoteRun.start` decides whether to send the call again: see `retrying`. If `RemoteRun.start` fails after a
        call that was accepted, the start counts as lost, unless the call has ``starts_nothing``.
        """
        checked = self._path(method, path)
        request: dict[str, Any] = {
            "params": params,
            "json": json,
            "form": form,
            "headers": headers,
            "may_be_empty": may_be_empty,
        }
        if starts_nothing:
            try:
                return self._send_authenticated(method, checked, fresh=True, to_start=False, **request)
            except VendorError as error:
                error.may_have_been_accepted = False
                raise
        with start_scope.sending_once(vendor=self.vendor) as sending:
            response = self._send_authenticated(method, checked, fresh=True, to_start=True, **request)
            sending.succeeded(response)
            return response

    def _path(self, method: str, parts: Sequence[PathPart]) -> str:
        ends_in_slash = self._configured_settings.paths_end_in_slash
        return join_path(parts, vendor=self.vendor, method=method, ends_in_slash=ends_in_slash)

    def clean(self, text: str) -> str:
        """Returns a text without this client's credentials."""
        return self._auth.redactor().clean(text)

    def with_call_budget(self, until: float = math.inf) -> AbstractContextManager[None]:
        """Limits this thread's calls inside the block to one retry and to 10 s of waiting for a response.

        The limits apply to the whole thread, so they also cover calls that fetch a token with another client.

        Args:
            until: Monotonic seconds at which all calls end, including those in progress.
        """
        return call_budget.with_call_budget(until)

    def without_rate_limit_retries(self) -> AbstractContextManager[None]:
        """Does not retry calls that are refused with 429 inside the block. The caller waits for `backoff` instead.

        This applies to the whole thread, so it also covers calls that fetch a token with another client.
        """
        return call_budget.without_rate_limit_retries()

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which the vendor's clock is ahead of ours, by the ``Date`` of the last response that had one."""
        return self._vendor_clock.ahead

    def by_our_clock(self, time: datetime | None) -> float | None:
        """Converts a time from a response to epoch seconds by our clock. Call it after the response."""
        return None if time is None else self._vendor_clock.to_ours(time)

    def by_vendor_clock(self, at: float) -> datetime:
        """Converts epoch seconds by our clock to the vendor's time, in UTC, for a filter of the vendor."""
        return self._vendor_clock.from_ours(at)

    @property
    def backoff(self) -> Backoff:
        """How long callers that can wait should wait, because the account's rate limit is exhausted."""
        return backoff_of(self._account)

    @property
    def _settings(self) -> HttpSettings:
        configured = self._configured_settings
        if not call_budget.has_call_budget():
            return configured
        left = max(_MIN_TIMEOUT, call_budget.seconds_left())
        return replace(
            configured,
            connect_timeout=min(configured.connect_timeout, left),
            max_retries=min(configured.max_retries, call_budget.MAX_RETRIES),
            request_timeout=min(configured.request_timeout, call_budget.RESPONSE_WITHIN, left),
            overall_timeout=min(configured.overall_timeout, call_budget.ALL_WITHIN, left),
        )

    def retrying(self, *, repeatable: bool) -> "Retrying":
        """Returns a retry loop with this client's settings.

        Args:
            repeatable: Whether sending the call twice is harmless.
        """
        from tenacity import RetryCallState, Retrying, retry_if_exception

        from dagster_runs.transport import retry

        clock = current_clock()
        deadline = clock.monotonic() + self._settings.overall_timeout

        def should_stop(state: RetryCallState) -> bool:
            is_too_late = clock.monotonic() + state.upcoming_sleep > deadline
            return is_too_late or state.attempt_number > self._settings.max_retries

        def should_retry(error: BaseException) -> bool:
            if isinstance(error, RateLimitedError) and not call_budget.retries_rate_limited():
                return False
            return isinstance(error, VendorError) and retry.may_send_again(error, repeatable=repeatable)

        return Retrying(
            retry=retry_if_exception(should_retry),
            wait=retry.delay,
            stop=should_stop,
            sleep=clock.sleep,
            reraise=True,
        )

    def _send_authenticated(self, method: str, path: str, **request: Any) -> ApiResponse:
        """Sends the call once, and again after a 401 if the credentials can be renewed.

        This is safe for starts too: a 401 means that the vendor refused the call and did nothing.
        """
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
        to_start: bool = False,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        keep_secrets: bool = False,
        may_be_empty: bool = False,
    ) -> ApiResponse:
        import requests
        from urllib3.exceptions import LocationParseError

        call = responses.Call(self.vendor, method, path, self._auth.redactor(), server=host_and_port(self.base_url))
        check_headers(credentials, call)
        if call_budget.seconds_left() <= 0:
            raise call.error(ConnectionFailedError, "no time was left for this call; nothing was sent")
        session = self._new_session() if fresh else self._session
        request = requests.Request(
            method,
            self.base_url + path,
            params=params,
            json=json,
            data=form,
            headers=headers,
            # An auth callable also prevents requests from reading ~/.netrc, which would replace our header.
            auth=lambda ready: with_headers(ready, credentials),
        )
        try:
            prepared = prepare(session, request, call)
            self._wait_for_retry_after(call)
            begun = time.monotonic()
            limit = self._settings.requests_per_second
            with rate_limited(self._account, limit, on_machine=self._account_on_machine):
                delayed, sent_at = time.monotonic() - begun, current_clock().monotonic()
                response = send_request(session, prepared, call, self._settings, within=self.base_url)
            with response:
                retry_after = response.headers.get("retry-after")
                self.backoff.observe(response.status_code, retry_after, sent_at=sent_at, delayed=delayed)
                self._vendor_clock.update(response.headers)
                return responses.read(
                    response,
                    call,
                    self._read_error,
                    seconds=self._settings.request_timeout,
                    keep_secrets=keep_secrets,
                    may_be_empty=may_be_empty,
                    to_start=to_start,
                )
        except requests.RequestException as error:  # from preparing the request: the URL is invalid
            raise failures.connection_failed(error, call, self._settings) from None
        except (LocationParseError, OSError) as error:  # an invalid host name, or a CA bundle that was just deleted
            raise call.error(InvalidRequestError, str(error), hint="Check the base URL and the CA bundle.") from None
        finally:
            if fresh:
                session.close()

    def _wait_for_retry_after(self, call: responses.Call) -> None:
        """Waits until the vendor allows another request, according to the ``Retry-After`` of an earlier response.

        With a call budget there is no time to wait. A POST is sent then, because it cancels a run.

        Raises:
            RateLimitedError: With a call budget, a GET is not sent.
        """
        seconds = self.backoff.retry_after
        if seconds <= 0:
            return
        if not call_budget.has_call_budget():
            current_clock().sleep(seconds)
        elif call.method == "GET":
            error = call.error(
                RateLimitedError,
                f"not sent, because the vendor refused an earlier request and asked to wait {seconds:.0f} s longer",
                retry_after=f"{seconds:.3f}",
            )
            error.is_transient = True
            raise error

    @cached_property
    def _session(self) -> "Session":
        return self._new_session()

    def _new_session(self) -> "Session":
        from dagster_runs.transport.connection import new_session

        return new_session({"User-Agent": self._user_agent, "Accept": "application/json"})
