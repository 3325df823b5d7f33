"""The HTTP server in front of the simulated vendors: reads requests, applies faults, logs, and responds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from email.utils import format_datetime
from functools import cache
from typing import Any

from aiohttp import web

from dagster_runs.sandbox import control, fault_injection
from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.faults import ActiveFault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, split_path
from dagster_runs.sandbox.log import RecordedRequest
from dagster_runs.sandbox.page import render_page
from dagster_runs.sandbox.state import SandboxState
from dagster_runs.sandbox.vendor import Vendor

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
        # Counts the request before the first await, so that the order and the times are those of arrival.
        rejection = vendor.check_rate_limit(api_request, time.monotonic()) if vendor is not None else None
        api_request = replace(api_request, body=await request.read())
        if segments[0] == "_sandbox":
            return await fault_injection.send_response(
                request, control.handle_request(self._state, api_request), None, self.stopping
            )
        if vendor is None:
            return await fault_injection.send_response(
                request, self._handle_other_request(api_request, segments), None, self.stopping
            )
        return await self._handle_vendor_request(request, api_request, vendor, rejection)

    async def _handle_vendor_request(
        self, request: web.Request, api_request: ApiRequest, vendor: Vendor, rejection: ApiResponse | None
    ) -> web.StreamResponse:
        state, now = self._state, self._state.clock.now()
        credentials = vendor.check_credentials(api_request)
        record = state.log.record(
            api_request, vendor.name, credentials, now, credential_header=vendor.credential_header
        )
        active = state.faults.select(
            api_request.method, api_request.path, now, cache(lambda: vendor.targets_in(api_request))
        )
        try:
            response = self._respond(request, api_request, vendor, active, record, rejection=rejection)
            fault = active.fault if active and record.fault else None
            stream = await fault_injection.send_response(request, response, fault, self.stopping)
            record.status = stream.status
            return stream
        except fault_injection.ConnectionDroppedError:
            # The transport is closed, so this is not sent, but the framework requires a response.
            return web.Response(status=500)

    def _respond(
        self,
        request: web.Request,
        api_request: ApiRequest,
        vendor: Vendor,
        active: ActiveFault | None,
        record: RecordedRequest,
        *,
        rejection: ApiResponse | None,
    ) -> ApiResponse:
        if active is None:
            response = rejection or vendor.handle(api_request)
            record.started_run = response.started_run
            return response
        fault = active.fault
        record.fault = fault.kind
        processed = (rejection or vendor.handle(api_request)) if fault.is_processed else None
        record.started_run = processed.started_run if processed else None
        if fault.kind in ("reset", "down", "lost_response"):
            raise fault_injection.drop_connection(request, reset=fault.kind != "lost_response")
        replacement = fault_injection.replace_response(fault, vendor, api_request)
        if replacement is not None:
            return replacement
        if processed is None:
            raise RuntimeError(f"a fault of kind {fault.kind} needs the vendor's response")
        if fault.kind not in ("unknown_state", "missing_field", "wrong_type"):
            return processed
        modified = fault_injection.modify_response(fault, vendor, processed, self._state.clock.now())
        if modified is None:
            active.undo_count()
            record.fault = None
        return modified or processed

    def _handle_other_request(self, api_request: ApiRequest, segments: tuple[str, ...]) -> ApiResponse:
        if api_request.path == "/":
            return ApiResponse(200, render_page(self._state, api_request.origin), content_type="text/html")
        self._state.log.record(api_request, None, "missing", self._state.clock.now()).status = 404
        mounts: list[Any] = [vendor.mount for vendor in self._state.vendors]
        return ApiResponse(404, {"error": f"The sandbox has nothing at /{segments[0]}", "mounts": mounts})
