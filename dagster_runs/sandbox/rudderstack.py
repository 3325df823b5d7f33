"""Simulates RudderStack's Profiles API.

Documented: start and status, Bearer token, 409 while a run of the project is active, `parameters` as an array of single
strings with four allowed flags. Not documented, so assumed here: the bodies of errors, and that an active run has no
`finishedAt`. Like the vendor, it cannot list or cancel runs, and has no logs.

Options of `Behavior`:
    field_case: `camel` (as documented) or `snake` (as in the vendor's own client).
    failure_style: How a failure is reported: `failed`, or `finished_with_error`.
    tasks: The names of the run's tasks.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Phase, Run, Target
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_XID_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_DEFAULT_ERROR = "model models/user_features failed: column ORDERS.AMOUNT does not exist"
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
_TIME_PATTERN = re.compile(r"\d+|\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_FLAG_VALUES = {
    "--model_refs": re.compile(r"\S+"),
    "--begin_time": _TIME_PATTERN,
    "--end_time": _TIME_PATTERN,
    "--rebase_incremental": re.compile(r"|true|false"),
}


class RudderStack(Vendor):
    """RudderStack at `/rudderstack/v2`. A client's base URL may end with or without `/v2`."""

    name = "rudderstack"
    mount = "rudderstack"
    title = "RudderStack Profiles"
    base_path = "/rudderstack/v2"
    connection_info: ClassVar = {"Bearer token": well_known.RUDDERSTACK_TOKEN}
    run_kinds: ClassVar = {"profiles": ("profiles",)}
    options = frozenset({"field_case", "failure_style", "tasks"})
    choices: ClassVar = {"field_case": ("camel", "snake"), "failure_style": ("failed", "finished_with_error")}
    end_fields = ("finishedAt", "finished_at")

    @override
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v2/sources/{profiles_id}/start", self._start),
            Route("GET", "/v2/sources/{profiles_id}/runs/{run_id}/status", self._status),
        ]

    @override
    def add_default_targets(self) -> None:
        failing: dict[str, Any] = {"outcome": "fail", "error": _DEFAULT_ERROR, "running_seconds": 12.0}
        behaviors: dict[str, dict[str, Any]] = {
            well_known.PROFILES_FEATURES: {"running_seconds": 20.0},
            well_known.PROFILES_FAILING: failing,
            well_known.PROFILES_FINISHED_WITH_ERROR: {**failing, "failure_style": "finished_with_error"},
            well_known.PROFILES_SNAKE_CASE: {"running_seconds": 12.0, "field_case": "snake"},
            well_known.PROFILES_SLOW: {"running_seconds": 3600.0},
        }
        for target_id, arguments in behaviors.items():
            self.add_target("profiles", target_id, Behavior(**arguments))

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
        if run.outcome == "cancel":
            return "canceled"
        if run.outcome == "fail" and run.plan.options.get("failure_style", "failed") == "failed":
            return "failed"
        return "finished"

    @override
    def generate_id(self) -> str:
        return "c" + "".join(secrets.choice(_XID_ALPHABET) for _ in range(19))

    @override
    def format_end_time(self, field: str, now: float) -> str | None:
        return _format_time(now, snake=field == "finished_at")

    @override
    def error_response(self, status: int) -> ApiResponse:
        reason = _REASONS.get(status, "Error")
        if status in (502, 503, 504):
            return gateway_error(status, reason)
        return ApiResponse(status, {"message": reason})

    # --- endpoints

    def _start(self, request: ApiRequest, profiles_id: str) -> ApiResponse:
        body = _parse_start_body(request)
        target = self._find_target(profiles_id)
        # A project has only one active run at a time, so only the last run can be active.
        if target.runs and self.is_active(target.runs[-1]):
            return ApiResponse(409, {"error": "The Profiles project is already running"})
        run = self.start_run(target, body=body)
        return ApiResponse(200, {"runId": run.id}, started_run=run.id)

    def _status(self, request: ApiRequest, profiles_id: str, run_id: str) -> ApiResponse:
        target, run = self._find_target(profiles_id), self.runs.get(run_id)
        if run is None or run.target_id != target.id:
            return ApiResponse(404, {"message": "Run not found"})
        render = _render_snake_case if run.plan.options.get("field_case") == "snake" else _render_camel_case
        return ApiResponse(200, render(run, self, self.clock.now()))

    def _find_target(self, profiles_id: str) -> Target:
        target = self.targets.get(profiles_id)
        if target is None:
            raise RejectedError(ApiResponse(404, {"message": f"Source {profiles_id} not found"}))
        return target


def _parse_start_body(request: ApiRequest) -> Any:
    if not request.body:
        return None
    if request.media_type != "application/json":
        raise _rejection("Content-Type must be application/json")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise _rejection("The body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _rejection("The body must be an object")
    if unknown := sorted(set(body) - {"parameters"}):
        raise _rejection(f"Unknown fields: {', '.join(unknown)}")
    if "parameters" in body:
        _check_parameters(body["parameters"])
    return body


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, list):
        raise _rejection("parameters must be an array of strings", parameters="must be an array of strings")
    for number, parameter in enumerate(parameters):
        name = f"parameters[{number}]"
        if not isinstance(parameter, str):
            raise _rejection(f"{name} must be a string", **{name: "must be a string"})
        flag, _, value = parameter.partition(" ")
        pattern = _FLAG_VALUES.get(flag)
        if pattern is None:
            known = ", ".join(_FLAG_VALUES)
            raise _rejection(f"{name}: {flag!r} is not allowed; allowed are {known}", **{name: "is not allowed"})
        if not pattern.fullmatch(value):
            raise _rejection(f"{name}: {value!r} is not a valid value of {flag}", **{name: "has no valid value"})


def _rejection(message: str, **details: str) -> RejectedError:
    return RejectedError(ApiResponse(400, {"message": message, "code": "BAD_REQUEST", "details": details}))


def _render_camel_case(run: Run, vendor: RudderStack, now: float) -> dict[str, Any]:
    response: dict[str, Any] = {
        "jobId": run.target_id,
        "jobRunId": run.id,
        "status": vendor.run_status(run, now),
        "startedAt": _format_time(run.started_at(now)),
        "finishedAt": _format_time(run.ended_at(now)),
        "tasks": [
            {
                "taskId": name,
                "taskRunId": f"{run.id}-{name}",
                "startedAt": _format_time(start),
                "finishedAt": _format_time(end),
            }
            for name, start, end in _started_tasks(run, now)
        ],
        "error": _error_message(run, now) or None,
    }
    return {name: value for name, value in response.items() if value is not None}


def _render_snake_case(run: Run, vendor: RudderStack, now: float) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_id": run.target_id,
        "status": vendor.run_status(run, now),
        "error": _error_message(run, now) or "",
        "started_at": _format_time(run.started_at(now), snake=True),
        "finished_at": _format_time(run.ended_at(now), snake=True),
        "tasks": [
            {
                "task_id": name,
                "task_run_id": f"{run.id}-{name}",
                "job_id": run.target_id,
                "started_at": _format_time(start, snake=True),
                "finished_at": _format_time(end, snake=True),
            }
            for name, start, end in _started_tasks(run, now)
        ],
    }


def _started_tasks(run: Run, now: float) -> list[tuple[str, float, float | None]]:
    """Returns the tasks that have started, in order: name, start, end."""
    tasks: list[tuple[str, float, float | None]] = []
    names = run.plan.options.get("tasks") or ("wht",)
    share = run.plan.running_seconds / len(names)
    for number, name in enumerate(names):
        start, end = run.starts_at + number * share, run.starts_at + (number + 1) * share
        if start <= now:
            tasks.append((name, start, end if end <= now else None))
    return tasks


def _error_message(run: Run, now: float) -> str | None:
    if run.outcome != "fail" or run.phase(now) is not Phase.ENDED:
        return None
    if run.plan.options.get("failure_style") == "finished_with_error":
        return run.plan.error or _DEFAULT_ERROR  # without an error, the run would have succeeded
    return _DEFAULT_ERROR if run.plan.error is None else run.plan.error


def _format_time(timestamp: float | None, *, snake: bool = False) -> str | None:
    if timestamp is None:
        return None
    text = to_utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text}Z" if snake else f"{text[:-3]}Z"
