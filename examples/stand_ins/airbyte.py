"""Simulates the jobs of Airbyte's public API.

```
python -m dagster_runs.sandbox --vendor examples.stand_ins.airbyte:Airbyte
```

Documented (https://reference.airbyte.com, and openapi of airbytehq/airbyte-platform): paths, bodies, statuses, filters,
paging, the token endpoint, that a token expires.
From the source of airbyte-platform: 409 while another job of the connection is active, the format of errors, times in
whole seconds, and `lastUpdatedAt` only after the end.
Not documented, so assumed here: unknown fields and parameters are rejected with 400; a wrong client secret is 401;
canceling a finished job is 409; an unknown connection or job is 404.

Options of `Behavior`:
    rows: The rows that the job commits. None if Airbyte does not know.

Settings of `configure`:
    token_seconds: The seconds for which a token is valid. Default: 900.
"""

from __future__ import annotations

import itertools
import re
import uuid
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from typing_extensions import override

from dagster_runs.sandbox import (
    ApiRequest,
    ApiResponse,
    Behavior,
    Credentials,
    RejectedError,
    Route,
    Run,
    Vendor,
)
from dagster_runs.sandbox.clock import Clock, to_utc

CLIENT_ID, CLIENT_SECRET = "sandbox-airbyte-client", "sandbox-airbyte-secret"
WORKSPACE = "9924bcd0-99be-453d-ba47-c2c9766f7da5"
CONNECTION = "e735894a-e773-4938-969f-45f53957b75b"
OTHER_CONNECTION = "18dccc91-0ab1-4f72-9ed7-0b8fc27c5826"

_ROWS, _BYTES_PER_ROW, _MAX_LIMIT = 1200, 64, 100
_STATUSES = ("pending", "running", "incomplete", "failed", "succeeded", "cancelled")
_TYPES = ("sync", "reset")
_TIMES = ("createdAtStart", "createdAtEnd", "updatedAtStart", "updatedAtEnd")
_PARAMETERS = {"connectionId", "limit", "offset", "jobType", "workspaceIds", "status", "orderBy", *_TIMES}
_TITLES = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "resource-not-found",
    405: "method-not-allowed",
    409: "state-conflict",
    429: "too-many-requests",
}


class Airbyte(Vendor):
    """`/airbyte`."""

    name = "airbyte"
    title = "Airbyte"
    base_path = "/airbyte/v1"
    connection_info: ClassVar = {"Client id": CLIENT_ID, "Client secret": CLIENT_SECRET}
    statuses: ClassVar = {
        "queued": "pending",
        "running": "running",
        "succeed": "succeeded",
        "fail": "failed",
        "cancel": "cancelled",
    }
    run_kinds: ClassVar = {"connection": _TYPES}
    options = frozenset({"rows"})
    default_settings: ClassVar = {"token_seconds": 900}
    end_fields = ("lastUpdatedAt",)

    def __init__(self, clock: Clock) -> None:
        self._ids = itertools.count(1234)
        self._tokens: dict[str, float] = {}
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/applications/token", self._issue_token, public=True),
            Route("POST", "/v1/jobs", self._start),
            Route("GET", "/v1/jobs", self._list),
            Route("GET", "/v1/jobs/{job_id}", self._show),
            Route("DELETE", "/v1/jobs/{job_id}", self._cancel),
        ]

    @override
    def add_default_targets(self) -> None:
        self.add_target("connection", CONNECTION, Behavior())
        self.add_target("connection", OTHER_CONNECTION, Behavior())

    @override
    def normalize_target_id(self, kind: str, target_id: str) -> str:
        return str(uuid.UUID(target_id))

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            return "missing"
        is_valid = scheme == "Bearer" and self._tokens.get(token, 0.0) > self.clock.now()
        return "valid" if is_valid else "invalid"

    @override
    def generate_id(self) -> str:
        return str(next(self._ids))

    @override
    def format_end_time(self, field: str, now: float) -> str:
        return _format_time(now)

    @override
    def error_response(self, status: int) -> ApiResponse:
        return super().error_response(status) if status >= 500 else _problem(status)

    # --- endpoints

    def _issue_token(self, request: ApiRequest) -> ApiResponse:
        body = _parse_body(request, {"client_id", "client_secret", "grant-type"})
        if body.get("grant-type", "client_credentials") != "client_credentials":
            raise _rejection(400, "grant-type must be client_credentials")
        if (body.get("client_id"), body.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _problem(401, "The client id or the client secret is wrong")
        token, seconds = f"sandbox-airbyte-token-{uuid.uuid4().hex}", self.settings["token_seconds"]
        self._tokens[token] = self.clock.now() + seconds
        return ApiResponse(200, {"access_token": token, "token_type": "Bearer", "expires_in": seconds})

    def _start(self, request: ApiRequest) -> ApiResponse:
        body = _parse_body(request, {"connectionId", "jobType"})
        if body.get("jobType") not in _TYPES:
            raise _rejection(400, f"jobType must be {' or '.join(_TYPES)}")
        connection = self.targets.get(_uuid(body.get("connectionId")))
        if connection is None:
            return _problem(404, "The connection does not exist")
        if any(self.is_active(run) for run in connection.runs):
            return _problem(409, f"A sync is already running for: {connection.id}")
        run = self.start_run(connection, kind=body["jobType"], body=body)
        return ApiResponse(200, self._render(run), started_run=run.id)

    def _show(self, request: ApiRequest, job_id: str) -> ApiResponse:
        return ApiResponse(200, self._render(self._find(job_id)))

    def _cancel(self, request: ApiRequest, job_id: str) -> ApiResponse:
        run = self._find(job_id)
        if not self.is_active(run):
            return _problem(409, "The job is not running")
        if run.cancel_requested_at is None:
            run.cancel_requested_at = self.clock.now()
        return ApiResponse(200, self._render(run))

    def _list(self, request: ApiRequest) -> ApiResponse:
        query = request.query
        if unknown := set(query) - _PARAMETERS:
            raise _rejection(400, f"unknown parameters: {', '.join(sorted(unknown))}")
        limit, offset = _whole(query.get("limit", "20")), _whole(query.get("offset", "0"))
        if not 1 <= limit <= _MAX_LIMIT:
            raise _rejection(400, "limit must be from 1 to 100")
        order = re.fullmatch(r"(createdAt|updatedAt)\|(ASC|DESC)", query.get("orderBy", "createdAt|DESC"))
        if order is None:
            raise _rejection(400, "orderBy must be like updatedAt|DESC")
        if query.get("status", "running") not in _STATUSES or query.get("jobType", "sync") not in _TYPES:
            raise _rejection(400, "status or jobType is not a known value")
        found = sorted(
            (run for run in self.runs.values() if self._matches(run, query)),
            key=lambda run: self._times(run)[order.group(1)],
            reverse=order.group(2) == "DESC",
        )
        page = found[offset : offset + limit]
        link = f"{request.origin}{request.path}?{urlencode({**query, 'limit': limit, 'offset': offset + limit})}"
        following = link if offset + limit < len(found) else ""
        return ApiResponse(200, {"previous": "", "next": following, "data": [self._render(run) for run in page]})

    def _matches(self, run: Run, query: dict[str, str]) -> bool:
        now, times = self.clock.now(), self._times(run)
        is_in_time = all(
            (times[name[:9]] >= at) if name.endswith("Start") else (times[name[:9]] <= at)
            for name, at in ((name, _time(query[name])) for name in _TIMES if name in query)
        )
        connection = _uuid(query["connectionId"]) if "connectionId" in query else run.target_id
        return (
            is_in_time
            and connection == run.target_id
            and query.get("workspaceIds", WORKSPACE) == WORKSPACE
            and query.get("jobType", run.kind) == run.kind
            and query.get("status", self.run_status(run, now)) == self.run_status(run, now)
        )

    def _times(self, run: Run) -> dict[str, float]:
        now = self.clock.now()
        ended_at = run.ended_at(now)
        return {"createdAt": int(run.created_at), "updatedAt": int(now if ended_at is None else ended_at)}

    def _find(self, job_id: str) -> Run:
        if job_id not in self.runs:
            raise RejectedError(self.error_response(404))
        return self.runs[job_id]

    def _render(self, run: Run) -> dict[str, Any]:
        now, ended_at = self.clock.now(), run.ended_at(self.clock.now())
        job: dict[str, Any] = {
            "jobId": int(run.id),
            "status": self.run_status(run, now),
            "jobType": run.kind,
            "startTime": _format_time(run.created_at),
            "connectionId": run.target_id,
        }
        if run.started_at(now) is not None:
            job["duration"] = f"PT{int((ended_at or now) - run.created_at)}S"
            rows = run.plan.options.get("rows", _ROWS)
            if rows is not None:
                committed = int(rows * run.progress(now))
                job |= {"rowsSynced": committed, "bytesSynced": committed * _BYTES_PER_ROW}
        if ended_at is not None:
            job["lastUpdatedAt"] = _format_time(ended_at)
        return job


def _parse_body(request: ApiRequest, known: set[str]) -> dict[str, Any]:
    try:
        body = request.parse_json()
    except ValueError as error:
        raise _rejection(400, str(error)) from None
    if not isinstance(body, dict) or not set(body) <= known or not all(isinstance(one, str) for one in body.values()):
        raise _rejection(400, f"The body must be an object with {', '.join(sorted(known))}")
    return body


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        raise _rejection(400, "connectionId must be a UUID") from None


def _whole(value: str) -> int:
    if not value.isdigit():
        raise _rejection(400, "limit and offset must be numbers")
    return int(value)


def _time(value: str) -> float:
    try:
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise _rejection(400, f"{value} is not a time") from None
    if parsed.tzinfo is None:
        raise _rejection(400, f"{value} has no time zone")
    return parsed.timestamp()


def _problem(status: int, message: str = "") -> ApiResponse:
    title = _TITLES.get(status, "error")
    problem = {"type": f"https://reference.airbyte.com/reference/errors#{status}-{title}", "title": title}
    return ApiResponse(status, {**problem, "status": status, "data": {"message": message or title}})


def _rejection(status: int, message: str) -> RejectedError:
    return RejectedError(_problem(status, message))


def _format_time(timestamp: float) -> str:
    return to_utc(int(timestamp)).strftime("%Y-%m-%dT%H:%M:%SZ")
