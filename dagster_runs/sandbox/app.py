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
from dagster_runs.sandbox.clock import utc
from dagster_runs.sandbox.exchange import ApiResponse, Call, split_path
from dagster_runs.sandbox.faults import ActiveFault
from dagster_runs.sandbox.log import RecordedRequest
from dagster_runs.sandbox.page import page
from dagster_runs.sandbox.vendor import Vendor
from dagster_runs.sandbox.world import World

# Larger than any vendor accepts, so that the simulated vendor refuses the request, not the framework.
_MAX_BODY_BYTES = 32 * 1024 * 1024


class RequestHandler:
    """Handles all requests to the server.

    It routes by the raw path. The framework would decode the path first, so that an id with an encoded slash would
    reach another endpoint.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.stopping = asyncio.Event()

    def make_application(self) -> web.Application:
        """Returns the framework's application, with one handler for all requests."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{anything:.*}", self.handle)
        app.on_response_prepare.append(self._set_date)
        return app

    async def _set_date(self, _request: web.Request, response: web.StreamResponse) -> None:
        # Clients use the Date header, which follows the server's clock, to determine the clock difference.
        response.headers["Date"] = format_datetime(utc(self._world.clock.now()), usegmt=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handles a request."""
        path, _, query_string = request.raw_path.partition("?")
        segments = split_path(path)
        call = Call(
            method=request.method,
            path=path,
            query_string=query_string,
            headers=request.headers,
            body=b"",
            origin=f"{request.scheme}://{request.host}",
            segments=segments[1:],
        )
        vendor = self._world.at(segments[0])
        # Counts the request before the first await, so that the order and the times are those of arrival.
        rejection = vendor.admit(call, time.monotonic()) if vendor is not None else None
        call = replace(call, body=await request.read())
        if segments[0] == "_sandbox":
            return await fault_injection.send_response(request, control.answer(self._world, call), None, self.stopping)
        if vendor is None:
            return await fault_injection.send_response(
                request, self._handle_other_request(call, segments), None, self.stopping
            )
        return await self._handle_vendor_request(request, call, vendor, rejection)

    async def _handle_vendor_request(
        self, request: web.Request, call: Call, vendor: Vendor, rejection: ApiResponse | None
    ) -> web.StreamResponse:
        world, now = self._world, self._world.clock.now()
        credentials = vendor.credentials(call)
        record = world.log.open(call, vendor.name, credentials, now, credential_header=vendor.credential_header)
        active = world.faults.select(call.method, call.path, now, cache(lambda: vendor.named_in(call)))
        try:
            response = self._respond(request, call, vendor, active, record, rejection=rejection)
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
        call: Call,
        vendor: Vendor,
        active: ActiveFault | None,
        record: RecordedRequest,
        *,
        rejection: ApiResponse | None,
    ) -> ApiResponse:
        if active is None:
            response = rejection or vendor.answer(call)
            record.started_run = response.started_run
            return response
        fault = active.fault
        record.fault = fault.kind
        processed = (rejection or vendor.answer(call)) if fault.is_processed else None
        record.started_run = processed.started_run if processed else None
        if fault.kind in ("reset", "down", "lost_response"):
            raise fault_injection.drop_connection(request, reset=fault.kind != "lost_response")
        replacement = fault_injection.replace_response(fault, vendor, call)
        if replacement is not None:
            return replacement
        if processed is None:
            raise RuntimeError(f"a fault of kind {fault.kind} needs the vendor's response")
        if fault.kind not in ("unknown_state", "missing_field", "wrong_type"):
            return processed
        modified = fault_injection.modify_response(fault, vendor, processed, self._world.clock.now())
        if modified is None:
            active.undo_count()
            record.fault = None
        return modified or processed

    def _handle_other_request(self, call: Call, segments: tuple[str, ...]) -> ApiResponse:
        if call.path == "/":
            return ApiResponse(200, page(self._world, call.origin), content_type="text/html")
        self._world.log.open(call, None, "missing", self._world.clock.now()).status = 404
        mounts: list[Any] = [vendor.mount for vendor in self._world.vendors]
        return ApiResponse(404, {"error": f"The sandbox has nothing at /{segments[0]}", "mounts": mounts})
