"""Processes one request to a simulated vendor: applies the active fault, logs, and responds. Knows no web framework."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

from dagster_runs.sandbox import fault_responses
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.log import RecordedRequest
from dagster_runs.sandbox.state import SandboxState
from dagster_runs.sandbox.vendor import Vendor


class NoResponseError(Exception):
    """The connection is closed without a response.

    Attributes:
        is_reset: Whether the connection is reset (RST) instead of closed normally.
    """

    def __init__(self, *, is_reset: bool) -> None:
        super().__init__("the connection is closed without a response")
        self.is_reset = is_reset


@dataclass(frozen=True)
class Exchange:
    """A response, and what happens to it on its way to the client.

    Attributes:
        response: The response.
        record: The request in the log. Whoever sends the response sets its `status`.
        fault: The fault that was applied; one such as `slow_body` is still to be applied to the transfer.
    """

    response: ApiResponse
    record: RecordedRequest
    fault: Fault | None


class Arrival:
    """The arrival of a request at a vendor, whose body may not have been read yet.

    The request counts for the rate limit at once, so that the order and the times are those of arrival.
    """

    def __init__(self, state: SandboxState, vendor: Vendor, request: ApiRequest) -> None:
        self._state = state
        self._vendor = vendor
        self._request = request
        self._rejection = vendor.check_rate_limit(request, time.monotonic())

    def process(self, body: bytes) -> Exchange:
        """Processes the request.

        Raises:
            NoResponseError: A fault closes the connection.
        """
        state, vendor, now = self._state, self._vendor, self._state.clock.now()
        request = replace(self._request, body=body)
        credentials = vendor.check_credentials(request)
        record = state.log.record(request, vendor.name, credentials, now, credential_header=vendor.credential_header)
        active = state.faults.select(request.method, request.path, now, cache(lambda: vendor.targets_in(request)))
        if active is None:
            response = self._handle(request, record)
            return Exchange(response, record, None)
        fault = active.fault
        record.fault = fault.kind
        processed = self._handle(request, record) if fault.is_processed else None
        if fault.kind in ("reset", "down", "lost_response"):
            raise NoResponseError(is_reset=fault.kind != "lost_response")
        replacement = fault_responses.replace_response(fault, vendor, request)
        if replacement is not None:
            return Exchange(replacement, record, fault)
        if processed is None:
            raise RuntimeError(f"a fault of kind {fault.kind} needs the vendor's response")
        if fault.kind not in ("unknown_state", "missing_field", "wrong_type"):
            return Exchange(processed, record, fault)
        modified = fault_responses.modify_response(fault, vendor, processed, state.clock.now())
        if modified is None:
            active.undo_count()
            record.fault = None
            return Exchange(processed, record, None)
        return Exchange(modified, record, fault)

    def _handle(self, request: ApiRequest, record: RecordedRequest) -> ApiResponse:
        response = self._rejection or self._vendor.handle(request)
        record.started_run = response.started_run
        return response


def handle_other_request(state: SandboxState, request: ApiRequest, mount: str) -> ApiResponse:
    """Returns the response to a request whose path belongs to no vendor."""
    state.log.record(request, None, "missing", state.clock.now()).status = 404
    mounts = [vendor.mount for vendor in state.vendors]
    return ApiResponse(404, {"error": f"The sandbox has nothing at /{mount}", "mounts": mounts})
