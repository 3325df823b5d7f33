"""The HTTP server in front of the simulated vendors: reads requests, and sends responses and faults."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.utils import format_datetime

from aiohttp import web

from dagster_runs.sandbox import control, fault_injection
from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, split_path
from dagster_runs.sandbox.page import render_page
from dagster_runs.sandbox.processing import Arrival, NoResponseError, handle_other_request
from dagster_runs.sandbox.state import SandboxState

# Larger than any vendor accepts, so that the simulated vendor refuses the request, not the framework.
_MAX_BODY_BYTES = 32 * 1024 * 1024


class RequestHandler:
    """Handles all requests to the server.

    It routes by the raw path. The framework would decode the path first, so that an id with an encoded slash would
    reach another endpoint.
    """

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self.stopping = asyncio.Event()

    def make_application(self) -> web.Application:
        """Returns the framework's application, with one handler for all requests."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{anything:.*}", self.handle)
        app.on_response_prepare.append(self._set_date)
        return app

    async def _set_date(self, _request: web.Request, response: web.StreamResponse) -> None:
        # Clients use the Date header, which follows the server's clock, to determine the clock difference.
        response.headers["Date"] = format_datetime(to_utc(self._state.clock.now()), usegmt=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handles a request."""
        path, _, query_string = request.raw_path.partition("?")
        segments = split_path(path)
        api_request = ApiRequest(
            method=request.method,
            path=path,
            query_string=query_string,
            headers=request.headers,
            body=b"",
            origin=f"{request.scheme}://{request.host}",
            segments=segments[1:],
        )
        vendor = self._state.find_vendor(segments[0])
        # Counts the request before the first await.
        arrival = Arrival(self._state, vendor, api_request) if vendor is not None else None
        body = await request.read()
        if arrival is not None:
            return await self._handle_vendor_request(request, arrival, body)
        response = self._handle_other_request(replace(api_request, body=body), segments)
        return await fault_injection.send_response(request, response, None, self.stopping)

    async def _handle_vendor_request(self, request: web.Request, arrival: Arrival, body: bytes) -> web.StreamResponse:
        try:
            exchange = arrival.process(body)
            stream = await fault_injection.send_response(request, exchange.response, exchange.fault, self.stopping)
        except NoResponseError as error:
            fault_injection.drop_connection(request, reset=error.is_reset)
            # The connection is closed, so this is not sent, but the framework requires a response.
            return web.Response(status=500)
        exchange.record.status = stream.status
        return stream

    def _handle_other_request(self, api_request: ApiRequest, segments: tuple[str, ...]) -> ApiResponse:
        if segments[0] == "_sandbox":
            return control.handle_request(self._state, api_request)
        if api_request.path == "/":
            return ApiResponse(200, render_page(self._state, api_request.origin), content_type="text/html")
        return handle_other_request(self._state, api_request, segments[0])
