"""Simulates RudderStack's Profiles API and its Reverse ETL Connections API.

Profiles: documented are start and status, Bearer token, 409 while a run of the project is active, `parameters` as an
array of single strings with four allowed flags. Not documented, so assumed here: the bodies of errors, and that an
active run has no `finishedAt`. Like the vendor, it cannot list or cancel Profiles runs, and has no logs.

Reverse ETL: documented are start, status, list and stop, the shape of a sync, the filters, and 409 while a sync of the
connection is running. Not documented, so assumed here: the order of the list, that the limits of its time filters are
exclusive, that a sync that was stopped is `failed`, and that a stop without a running sync is accepted.

Options of `Behavior`:
    field_case: `camel` (as documented) or `snake` (as in the vendor's own client).
    failure_style: How a failure is reported: `failed`, or `finished_with_error` (a sync: `succeeded` with an error).
    tasks: The names of a Profiles run's tasks.
    rows: A sync's final numbers of rows: `changed`, `succeeded`, `failed`, `total`; None for a sync without metrics.
    metrics_shape: `nested` (as documented) or `flat`.
"""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.rudderstack.bodies import parse_profiles_start, parse_sync_start
from dagster_runs.sandbox.rudderstack.profiles import render_run
from dagster_runs.sandbox.rudderstack.shape import format_time
from dagster_runs.sandbox.rudderstack.syncs import list_syncs, render_sync
from dagster_runs.sandbox.runs import Phase, Run, Target
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_PROJECT, _CONNECTION = "profiles", "retl"
_XID_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Feature is not enabled for your account",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    425: "Too Early",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class RudderStack(Vendor):
    """RudderStack at `/rudderstack/v2`. A client's base URL may end with or without `/v2`."""

    name = "rudderstack"
    mount = "rudderstack"
    title = "RudderStack"
    base_path = "/rudderstack/v2"
    connection_info: ClassVar = {"Bearer token": well_known.RUDDERSTACK_TOKEN}
    run_kinds: ClassVar = {_PROJECT: ("profiles",), _CONNECTION: ("sync",)}
    options = frozenset({"field_case", "failure_style", "tasks", "rows", "metrics_shape"})
    choices: ClassVar = {
        "field_case": ("camel", "snake"),
        "failure_style": ("failed", "finished_with_error"),
        "metrics_shape": ("nested", "flat"),
    }
    end_fields = ("finishedAt", "finished_at")

    @override
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/sources/{profiles_id}/start", self._start),
            Route("GET", "/v2/sources/{profiles_id}/runs/{run_id}/status", self._status),
            Route("POST", "/v2/retl-connections/{connection_id}/start", self._start_sync),
            Route("POST", "/v2/retl-connections/{connection_id}/stop", self._stop_sync),
            Route("GET", "/v2/retl-connections/{connection_id}/syncs", self._list_syncs),
            Route("GET", "/v2/retl-connections/{connection_id}/syncs/{sync_id}", self._get_sync),
        ]

    @override
    def add_default_targets(self) -> None:
        failing: dict[str, Any] = {"outcome": "fail", "running_seconds": 12.0}
        projects: dict[str, dict[str, Any]] = {
            well_known.PROFILES_FEATURES: {"running_seconds": 20.0},
            well_known.PROFILES_FAILING: failing,
            well_known.PROFILES_FINISHED_WITH_ERROR: {**failing, "failure_style": "finished_with_error"},
            well_known.PROFILES_SNAKE_CASE: {"running_seconds": 12.0, "field_case": "snake"},
            well_known.PROFILES_SLOW: {"running_seconds": 3600.0},
        }
        for target_id, arguments in projects.items():
            self.add_target(_PROJECT, target_id, Behavior(**arguments))
        connections: dict[str, dict[str, Any]] = {
            well_known.RETL_AUDIENCE: {"running_seconds": 15.0},
            well_known.RETL_REJECTED_ROWS: {
                "running_seconds": 15.0,
                "rows": {"changed": 1200, "succeeded": 1183, "failed": 17, "total": 48_000},
            },
            well_known.RETL_FAILING: failing,
            well_known.RETL_SLOW: {"running_seconds": 3600.0},
        }
        for target_id, arguments in connections.items():
            self.add_target(_CONNECTION, target_id, Behavior(**arguments))

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        # The vendor has no queued state: a run that was started is `running`.
        behavior = {"queued_seconds": 0.0, **defaults.as_dict()}
        return super().add_target(kind, target_id, Behavior(**behavior), **fields)

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return "missing"
        return "valid" if token.strip() == well_known.RUDDERSTACK_TOKEN else "invalid"

    @override
    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        if credentials == "missing":
            return ApiResponse(401, "Invalid Authorization Header", content_type="text/plain")
        return self.error_response(401)

    @override
    def run_status(self, run: Run, now: float) -> str:
        phase = run.phase(now)
        if phase is Phase.HELD:
            return str(run.plan.hold)
        if phase is not Phase.ENDED:
            return "running"
        if run.kind == "sync":
            has_failed = run.outcome == "cancel" or (run.outcome == "fail" and _is_status_failed(run))
            return "failed" if has_failed else "succeeded"
        if run.outcome == "cancel":
            return "canceled"
        return "failed" if run.outcome == "fail" and _is_status_failed(run) else "finished"

    @override
    def generate_id(self) -> str:
        return "c" + "".join(secrets.choice(_XID_ALPHABET) for _ in range(19))

    @override
    def format_end_time(self, field: str, now: float) -> str | None:
        return format_time(now, snake=field == "finished_at")

    @override
    def error_response(self, status: int) -> ApiResponse:
        reason = _REASONS.get(status, "Error")
        if status in (502, 503, 504):
            return gateway_error(status, reason)
        return ApiResponse(status, {"message": reason})

    # --- endpoints

    def _start(self, request: ApiRequest, profiles_id: str) -> ApiResponse:
        body = parse_profiles_start(request)
        target = self._find_project(profiles_id)
        if self._active_run(target) is not None:
            return ApiResponse(409, {"error": "The Profiles project is already running"})
        run = self.start_run(target, body=body)
        return ApiResponse(200, {"runId": run.id}, started_run=run.id)

    def _status(self, request: ApiRequest, profiles_id: str, run_id: str) -> ApiResponse:
        target, run = self._find_project(profiles_id), self.runs.get(run_id)
        if run is None or run.target_id != target.id:
            return ApiResponse(404, {"message": "Run not found"})
        now = self.clock.now()
        return ApiResponse(200, render_run(run, self.run_status(run, now), now))

    def _start_sync(self, request: ApiRequest, connection_id: str) -> ApiResponse:
        target = self._find_connection(connection_id)
        body = parse_sync_start(request)
        if self._active_run(target) is not None:
            return ApiResponse(409, {"error": "A sync of the connection is already running"})
        run = self.start_run(target, body=body)
        return ApiResponse(200, {"syncId": run.id}, started_run=run.id)

    def _stop_sync(self, request: ApiRequest, connection_id: str) -> ApiResponse:
        run = self._active_run(self._find_connection(connection_id))
        if run is not None and run.cancel_requested_at is None:
            run.cancel_requested_at = self.clock.now()
        return ApiResponse(204, "", content_type="text/plain")

    def _list_syncs(self, request: ApiRequest, connection_id: str) -> ApiResponse:
        target, now = self._find_connection(connection_id), self.clock.now()
        return list_syncs(request, target.runs, lambda run: self.run_status(run, now), now)

    def _get_sync(self, request: ApiRequest, connection_id: str, sync_id: str) -> ApiResponse:
        target, run, now = self._find_connection(connection_id), self.runs.get(sync_id), self.clock.now()
        if run is None or run.target_id != target.id:
            return ApiResponse(404, {"message": "Sync not found"})
        return ApiResponse(200, render_sync(run, self.run_status(run, now), now))

    def _active_run(self, target: Target) -> Run | None:
        # A target has only one active run at a time, so only the last run can be active.
        return target.runs[-1] if target.runs and self.is_active(target.runs[-1]) else None

    def _find_connection(self, connection_id: str) -> Target:
        target = self.targets.get(connection_id)
        if target is None or target.kind != _CONNECTION:
            raise RejectedError(ApiResponse(404, {"message": f"Connection {connection_id} not found"}))
        return target

    def _find_project(self, profiles_id: str) -> Target:
        target = self.targets.get(profiles_id)
        if target is None or target.kind != _PROJECT:
            raise RejectedError(ApiResponse(404, {"message": f"Source {profiles_id} not found"}))
        return target


def _is_status_failed(run: Run) -> bool:
    return bool(run.plan.options.get("failure_style", "failed") == "failed")
