"""Simulates the jobs and runs of dbt Cloud's Administrative API v2.

```
python -m dagster_runs.sandbox --vendor examples.stand_ins.dbt_cloud:DbtCloud
```

Documented (openapi-v2.yaml of dbt-labs/dbt-cloud-openapi-spec): paths, bodies, statuses, both authentication schemes,
filters, paging, related objects, the envelope of a response.
Not documented, so assumed here:

* Unknown fields and parameters are rejected with 400, so that a typing error is found. dbt Cloud may ignore them.
* A cause has at most 255 characters, as in Airflow's provider.
* A path without its slash is redirected with 301, also for a POST, as in Django. A client follows that with a GET, so
  nothing is started.
* A finished run has no steps after the one that failed. Canceling a finished run changes nothing.
* Runs of the same job do not wait for each other. In dbt Cloud, they do.

Options of `Behavior`:
    fails_at: The number of the command that fails, from 1. Defaults to the last one. 0 is dbt Cloud's own `dbt deps`.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import (
    ApiRequest,
    ApiResponse,
    Behavior,
    Credentials,
    RejectedError,
    Route,
    Run,
    Target,
    Vendor,
)
from dagster_runs.sandbox.clock import Clock, to_utc

ACCOUNT, PROJECT, TOKEN = 101, 202, "sandbox-dbt-cloud-token"
JOB = "3001"
"""Runs `dbt seed`, `dbt build` and `dbt test`."""
OTHER_JOB = "3002"
"""Runs `dbt run`."""

_NAMES = {1: "Queued", 2: "Starting", 3: "Running", 10: "Success", 20: "Error", 30: "Cancelled"}
_MAX_CAUSE, _MAX_LIMIT = 255, 100
_OWN_STEPS = ("Clone git repository", "Create profile from connection Warehouse", "Invoke dbt with `dbt deps`")
_ORDERS = {"id": "id", "created_at": "created_at", "finished_at": "finished_at"}
_RELATED_OF_LIST = {"trigger", "job", "audit", "debug_logs"}
_RELATED = _RELATED_OF_LIST | {"environment", "repository", "run_steps", "run_retries"}
_FIELDS: dict[str, type] = {
    "cause": str,
    "git_sha": str,
    "git_branch": str,
    "schema_override": str,
    "dbt_version_override": str,
    "target_name_override": str,
    "threads_override": int,
    "timeout_seconds_override": int,
    "generate_docs_override": bool,
    "steps_override": list,
}
_MESSAGES = {
    301: "Moved permanently",
    400: "Bad request",
    401: "Invalid token.",
    404: "The requested resource was not found. Please check that you have the proper permissions to view it.",
    405: "Method not allowed",
    429: "Too many requests",
}


class DbtCloud(Vendor):
    """`/dbt-cloud`."""

    name = "dbt-cloud"
    title = "dbt Cloud"
    connection_info: ClassVar = {"Account": str(ACCOUNT), "Token": TOKEN}
    statuses: ClassVar = {
        "queued": "1",
        "running": "3",
        "succeed": "10",
        "fail": "20",
        "cancel": "30",
    }
    run_kinds: ClassVar = {"job": ("run",)}
    options = frozenset({"fails_at"})
    end_fields = ("finished_at",)

    def __init__(self, clock: Clock) -> None:
        self._ids = itertools.count(70_000_001)
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        account = "/api/v2/accounts/{account_id}"
        return [
            Route("POST", f"{account}/jobs/{{job_id}}/run/", self._start),
            Route("GET", f"{account}/runs/", self._list),
            Route("GET", f"{account}/runs/{{run_id}}/", self._show),
            Route("POST", f"{account}/runs/{{run_id}}/cancel/", self._cancel),
        ]

    @override
    def add_default_targets(self) -> None:
        self.add_target("job", JOB, Behavior(), execute_steps=["dbt seed", "dbt build", "dbt test"])
        self.add_target("job", OTHER_JOB, Behavior(), execute_steps=["dbt run"])

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        sent = request.headers.get("authorization")
        if not sent:
            return "missing"
        return "valid" if sent in (f"Token {TOKEN}", f"Bearer {TOKEN}") else "invalid"

    @override
    def generate_id(self) -> str:
        return str(next(self._ids))

    @override
    def format_end_time(self, field: str, now: float) -> str:
        return _format_time(now)

    @override
    def set_state(self, body: dict[str, Any], state: str, *, ended: bool, now: float) -> bool:
        run = body.get("data")
        if not isinstance(run, dict) or not super().set_state(run, state, ended=ended, now=now):
            return False
        run["status"], run["status_humanized"] = _number(state), state
        return True

    @override
    def error_response(self, status: int) -> ApiResponse:
        return super().error_response(status) if status >= 500 else _error(status)

    @override
    def route_not_found(self, request: ApiRequest) -> ApiResponse:
        if self.router.find(request.method, (*request.segments, "")) is None:
            return self.error_response(404)
        query = f"?{request.query_string}" if request.query_string else ""
        return ApiResponse(301, None, headers={"Location": f"{request.origin}{request.path}/{query}"})

    # --- endpoints

    def _start(self, request: ApiRequest, account_id: str, job_id: str) -> ApiResponse:
        _check_account(account_id)
        job = self.targets.get(job_id)
        if job is None:
            return self.error_response(404)
        run = self.start_run(job, body=_parse_body(request))
        return ApiResponse(200, _envelope(self._render(run, set())), started_run=run.id)

    def _show(self, request: ApiRequest, account_id: str, run_id: str) -> ApiResponse:
        related = _related(request, _RELATED)
        _check_parameters(request, {"include_related"})
        return ApiResponse(200, _envelope(self._render(self._find(account_id, run_id), related)))

    def _cancel(self, request: ApiRequest, account_id: str, run_id: str) -> ApiResponse:
        run = self._find(account_id, run_id)
        if self.is_active(run) and run.cancel_requested_at is None:
            run.cancel_requested_at = self.clock.now()
        return ApiResponse(200, _envelope(self._render(run, set())))

    def _list(self, request: ApiRequest, account_id: str) -> ApiResponse:
        _check_account(account_id)
        _check_parameters(request, {"include_related", "job_definition_id", "status", "order_by", "limit", "offset"})
        related = _related(request, _RELATED_OF_LIST)
        limit, offset = _whole(request, "limit", _MAX_LIMIT), _whole(request, "offset", 0)
        if not 1 <= limit <= _MAX_LIMIT:
            raise _rejection(400, "limit must be from 1 to 100")
        order = request.query.get("order_by", "id")
        if order.removeprefix("-") not in _ORDERS:
            raise _rejection(400, f"order_by must be one of {', '.join(_ORDERS)}")
        found = [self._render(run, related) for run in self.runs.values()]
        for name in ("job_definition_id", "status"):
            if name in request.query:
                found = [run for run in found if run[name] == _whole(request, name, 0)]
        found.sort(key=lambda run: run[order.removeprefix("-")] or "", reverse=order.startswith("-"))
        page = found[offset : offset + limit]
        pagination = {"count": len(page), "total_count": len(found)}
        extra = {"filters": {"limit": limit, "offset": offset}, "order_by": order, "pagination": pagination}
        return ApiResponse(200, {**_envelope(page), "extra": extra})

    def _find(self, account_id: str, run_id: str) -> Run:
        _check_account(account_id)
        if run_id not in self.runs:
            raise RejectedError(self.error_response(404))
        return self.runs[run_id]

    def _render(self, run: Run, related: set[str]) -> dict[str, Any]:
        now, body = self.clock.now(), run.body or {"cause": "Scheduled run"}
        started_at, ended_at, status = run.started_at(now), run.ended_at(now), _number(self.run_status(run, now))
        message = (run.plan.error or "A step of the run failed") if status == 20 else None
        trigger = {"job_definition_id": int(run.target_id), **body}
        page = f"https://cloud.getdbt.com/deploy/{ACCOUNT}/projects/{PROJECT}/runs/{run.id}"
        return {
            "id": int(run.id),
            "account_id": ACCOUNT,
            "project_id": PROJECT,
            "job_definition_id": int(run.target_id),
            "status": status,
            "status_humanized": _NAMES.get(status, str(status)) if isinstance(status, int) else status,
            "status_message": message,
            "git_branch": body.get("git_branch", "main"),
            "git_sha": body.get("git_sha", "2f3ebd3c0ffee"),
            "href": page,
            "created_at": _format_time(run.created_at),
            "updated_at": _format_time(now),
            "started_at": None if started_at is None else _format_time(started_at),
            "finished_at": None if ended_at is None else _format_time(ended_at),
            "is_complete": ended_at is not None,
            "is_success": status == 10,
            "is_error": status == 20,
            "trigger": trigger if "trigger" in related else None,
            "run_steps": self._steps(run, now) if "run_steps" in related else None,
        }

    def _steps(self, run: Run, now: float) -> list[dict[str, Any]]:
        if run.started_at(now) is None:
            return []
        job: Target = self.targets[run.target_id]
        commands = (run.body or {}).get("steps_override") or job.fields.get("execute_steps", [])
        names = [*_OWN_STEPS, *(f"Invoke dbt with `{command}`" for command in commands)]
        begun, own = run.progress(now) * len(commands), len(_OWN_STEPS)
        current = min(own + int(begun), len(names) - 1)
        last, has_ended = 3, run.ended_at(now) is not None
        if has_ended and run.outcome == "fail":
            current = own - 1 + int(run.plan.options.get("fails_at", len(commands)))
        if has_ended:
            last = {"succeed": 10, "fail": 20, "cancel": 30}[run.outcome]
        statuses = [10] * current + [last]
        return [
            {"run_id": int(run.id), "account_id": ACCOUNT, "index": index, "name": name, "status": status}
            | {"status_humanized": _NAMES[status], "logs": ""}
            for index, (name, status) in enumerate(zip(names, statuses, strict=False), 1)
        ]


def _parse_body(request: ApiRequest) -> dict[str, Any]:
    try:
        body = request.parse_json()
    except ValueError as error:
        raise _rejection(400, str(error)) from None
    if not isinstance(body, dict):
        raise _rejection(400, "The body must be an object")
    for name, value in body.items():
        if name not in _FIELDS or type(value) is not _FIELDS[name]:
            raise _rejection(400, f"{name} is not a field of a trigger, or has the wrong type")
        if value == "" or (isinstance(value, list) and not all(isinstance(one, str) and one for one in value)):
            raise _rejection(400, f"{name} must not be empty")
    if not 1 <= len(body.get("cause", "")) <= _MAX_CAUSE:
        raise _rejection(400, f"cause is required and has at most {_MAX_CAUSE} characters")
    return body


def _check_account(account_id: str) -> None:
    if account_id != str(ACCOUNT):
        raise _rejection(404, _MESSAGES[404])


def _check_parameters(request: ApiRequest, known: set[str]) -> None:
    if unknown := set(request.query) - known:
        raise _rejection(400, f"unknown parameters: {', '.join(sorted(unknown))}")


def _related(request: ApiRequest, known: set[str]) -> set[str]:
    try:
        related = json.loads(request.query.get("include_related", "[]"))
        if set(related) <= known:
            return set(related)
    except (ValueError, TypeError):
        pass
    raise _rejection(400, f"include_related must be a list in JSON, with some of {', '.join(sorted(known))}")


def _whole(request: ApiRequest, name: str, default: int) -> int:
    value = request.query.get(name, str(default))
    if not value.isdigit():
        raise _rejection(400, f"{name} must be a number")
    return int(value)


def _number(status: str) -> int | str:
    return int(status) if status.isdigit() else status


def _envelope(data: Any) -> dict[str, Any]:
    status = {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""}
    return {"status": status, "data": data}


def _error(status: int, message: str | None = None) -> ApiResponse:
    text = message or _MESSAGES.get(status, "Error")
    details = {"code": status, "is_success": False, "user_message": text, "developer_message": ""}
    return ApiResponse(status, {"status": details, "data": None})


def _rejection(status: int, message: str) -> RejectedError:
    return RejectedError(_error(status, message))


def _format_time(timestamp: float) -> str:
    return to_utc(timestamp).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")
