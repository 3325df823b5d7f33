"""The sandbox without a server: an adapter for `requests` that calls the simulated vendors in this process."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from dagster_runs.sandbox import control
from dagster_runs.sandbox.client import SandboxClient
from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, split_path
from dagster_runs.sandbox.processing import Arrival, Exchange, NoResponseError, handle_other_request
from dagster_runs.sandbox.state import VENDORS, SandboxState, VendorMaker

URL = "http://sandbox.localhost"
"""Names a loopback host that no resolver looks up, because nothing is sent."""
_DEFAULT_SECONDS = {"hang": 3600.0, "slow_body": 5.0}


class OtherHostError(Exception):
    """A request to another host than the sandbox, which was not sent."""


class InProcessSandbox(SandboxClient):
    """Simulated vendors in this process, with all the controls of `SandboxClient`, and without a server or a socket.

    Mount `adapter` where a client sends its requests to `url`. Responses, rate limits and faults are those of
    `Sandbox`, except that nothing takes time: a fault that delays a response beyond the client's timeout is a timeout
    at once, and one that delays it less has no effect.

    Args:
        speed: Simulated seconds per real second; 0 stops the time, so that only `advance` moves it.
        vendors: The simulated vendors: subclasses of `Vendor`. Defaults to the built-in ones.
    """

    def __init__(self, speed: float = 1.0, *, vendors: Sequence[VendorMaker] = VENDORS) -> None:
        super().__init__(URL)
        self._state = SandboxState(speed, vendors)
        # Steps and sensors call vendors from several threads.
        self._lock = threading.RLock()
        self.adapter: BaseAdapter = _InProcessAdapter(self)

    def respond(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Exchange | ApiResponse:
        """Processes a request to one of the simulated vendors.

        Args:
            method: The method.
            url: The URL, whose host does not matter.
            headers: The headers, by names in any case.
            body: The body.

        Returns:
            The vendor's response with the fault to apply; without one if the path belongs to no vendor.

        Raises:
            NoResponseError: A fault closes the connection.
        """
        parts = urlsplit(url)
        segments = split_path(parts.path or "/")
        request = ApiRequest(method, parts.path, parts.query, headers, body, URL, segments[1:])
        with self._lock:
            vendor = self._state.find_vendor(segments[0])
            if vendor is None:
                return handle_other_request(self._state, request, segments[0])
            return Arrival(self._state, vendor, request).process(body)

    def other_host_error(self, host: str) -> Exception:
        """Returns the error that a request to another host raises. A subclass may say more."""
        return OtherHostError(f"nothing was sent to {host}: only the sandbox can be reached")

    def date(self) -> str:
        """Returns the simulated time in the format of the `Date` header."""
        return format_datetime(to_utc(self._state.clock.now()), usegmt=True)

    def _send(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        request = ApiRequest(method, f"/_sandbox/{path}", urlencode(query), {}, body, URL, tuple(path.split("/")))
        with self._lock:
            response = control.handle_request(self._state, request)
        return response.status, json.loads(response.payload())


class _InProcessAdapter(BaseAdapter):
    """Sends requests to an `InProcessSandbox`, and refuses those to other hosts."""

    def __init__(self, sandbox: InProcessSandbox) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._builder = HTTPAdapter()

    def send(  # type: ignore[override]  # the base class has the defaults of each argument
        self, request: requests.PreparedRequest, *, timeout: Any = None, **_options: Any
    ) -> requests.Response:
        """Returns the vendor's response, as the adapter for HTTP does.

        Raises:
            OtherHostError: The request is to another host.
            requests.RequestException: A fault closes the connection, or delays the response for too long.
        """
        url = str(request.url)
        if not f"{url}/".startswith(f"{URL}/"):
            raise self._sandbox.other_host_error(urlsplit(url).netloc)
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        seconds = timeout[1] if isinstance(timeout, tuple) else timeout
        try:
            exchange = self._sandbox.respond(str(request.method), url, request.headers, body)
        except NoResponseError as error:
            raise requests.ConnectionError(_broken_connection(is_reset=error.is_reset), request=request) from None
        if isinstance(exchange, ApiResponse):
            return self._response(request, exchange, exchange.payload())
        fault, response = exchange.fault, exchange.response
        if fault is not None and fault.kind == "hang" and _is_too_slow(fault, seconds):
            raise requests.ReadTimeout("Read timed out", request=request)
        exchange.record.status = response.status
        return self._response(request, response, *_transferred(response, fault, seconds))

    def close(self) -> None:
        """Does nothing, because there is no connection."""

    def _response(
        self,
        request: requests.PreparedRequest,
        response: ApiResponse,
        payload: bytes,
        breaks_with: Exception | None = None,
    ) -> requests.Response:
        is_text = not response.is_json
        content_type = f"{response.content_type}; charset=utf-8" if is_text else response.content_type
        headers = {"Content-Type": content_type, "Date": self._sandbox.date(), **response.headers}
        raw = urllib3.HTTPResponse(
            _Body(payload, breaks_with), headers=headers, status=response.status, preload_content=False
        )
        return self._builder.build_response(request, raw)


class _Body(io.BytesIO):
    """A body, after which the transfer may break."""

    def __init__(self, payload: bytes, breaks_with: Exception | None) -> None:
        super().__init__(payload)
        self._breaks_with = breaks_with

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size) or self._end()

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(size) or self._end()

    def _end(self) -> bytes:
        if self._breaks_with is not None:
            raise self._breaks_with
        return b""


def _broken_connection(*, is_reset: bool) -> urllib3.exceptions.ProtocolError:
    """Returns the error of urllib3 for a connection that the server closes before it responds."""
    cause: Exception = ConnectionResetError(104, "Connection reset by peer")
    if not is_reset:
        cause = http.client.RemoteDisconnected("Remote end closed connection without response")
    return urllib3.exceptions.ProtocolError("Connection aborted.", cause)


def _is_too_slow(fault: Fault, seconds: float | None) -> bool:
    delay = _DEFAULT_SECONDS[fault.kind] if fault.seconds is None else fault.seconds
    return seconds is not None and delay > seconds


def _transferred(response: ApiResponse, fault: Fault | None, seconds: float | None) -> tuple[bytes, Exception | None]:
    """Returns the part of the body that arrives, and the error after it, if any."""
    payload = response.payload()
    kind = fault.kind if fault is not None else None
    if fault is None or kind not in ("truncated", "slow_body", "huge_body"):
        return payload, None
    half = payload[: len(payload) // 2]
    if kind == "truncated":
        incomplete = http.client.IncompleteRead(half, len(payload) - len(half))
        return half, incomplete if fault.variant == "early_close" else None
    if kind == "slow_body":
        return (half, TimeoutError("timed out")) if _is_too_slow(fault, seconds) else (payload, None)
    padding = max(fault.size - len('{"padding":""}'), 0)
    return b'{"padding":"' + b"x" * padding + b'"}', None
