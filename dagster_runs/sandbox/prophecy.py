"""Simulates Prophecy's API for triggering pipelines.

Documented: both endpoints, the token header, the types of the fields, that failure to trigger is HTTP 200 with
`success: false`, that `success` of a status refers to the request, the shape of run ids and times, three states. Not
documented, so assumed here: every invalid body is rejected with `success: false` (even if it is not JSON), unknown
fields are rejected, an unknown run id is `success: false`, an invalid token is 401 with `message` or a login page. Like
the vendor, it cannot list or cancel runs. There is no queued state, but `hold="QUEUED"` with `hold_when="queued"`
simulates one.

Options of `Behavior`:
    time_format: `naive` (as documented) or `zulu` (with a final `Z`, which the vendor's sample script expects).

Settings of `configure`:
    invalid_token_response: The response to an invalid token: `json` (401) or `login_page` (HTML with 200).
    unknown_fabric: The response to an unknown fabric: `rejected` (as in the specification's example), or accepted
        without ever starting the run, whose status is then `lost` (unknown run) or `stuck` (`RUNNING` forever).
    id_format: `dashes` (as documented) or `base64` (run ids with `/` and `+`, since the alphabet is not documented).

`starts` excludes runs that were accepted but never started. The `source` of such a run is `never-started`.
"""

from __future__ import annotations

import base64
import json
import math
import secrets
import string
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior, Plan
from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Run, Target
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_NEVER_STARTED = "never-started"
_ALPHABET = string.ascii_letters + string.digits
_DEFAULT_ERROR = """Pipeline customer_360 failed at gem `join_orders`:
AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `o`.`amount` cannot be resolved.
Did you mean one of the following? [`o`.`amount_usd`, `o`.`order_id`]; line 3 pos 7
  at gem join_orders (customer_360/graph/join_orders)
  at pipeline customer_360"""
_REASONS = {
    400: "Bad Request",
    401: "Invalid or expired access token",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><title>Prophecy - Sign In</title></head>
<body><div id="root"><h1>Sign in to Prophecy</h1></div></body>
</html>
"""


class Prophecy(Vendor):
    """`/prophecy`."""

    name = "prophecy"
    mount = "prophecy"
    title = "Prophecy"
    base_path = "/prophecy"
    connection_info: ClassVar = {
        "Access token": well_known.PROPHECY_TOKEN,
        "Fabric id": str(well_known.PROPHECY_FABRIC),
        "Project id": well_known.PROPHECY_PROJECT,
    }
    statuses: ClassVar = {
        "queued": "RUNNING",
        "running": "RUNNING",
        "succeed": "SUCCEEDED",
        "fail": "ERROR",
        "cancel": "CANCELED",
    }
    run_kinds: ClassVar = {"pipeline": ("pipeline",)}
    options = frozenset({"time_format"})
    default_settings: ClassVar = {
        "invalid_token_response": "json",
        "unknown_fabric": "rejected",
        "id_format": "dashes",
    }
    choices: ClassVar = {
        "time_format": ("naive", "zulu"),
        "invalid_token_response": ("json", "login_page"),
        "unknown_fabric": ("rejected", "lost", "stuck"),
        "id_format": ("dashes", "base64"),
    }
    state_field = "runStatus"
    # There is no end time. The closest field is `updatedAt`, which is always present.
    end_fields = ()
    credential_header = "x-auth-token"

    @override
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/api/trigger/pipeline", self._trigger),
            Route("GET", "/api/trigger/pipeline/{run_id}", self._status),
            Route("GET", "/metadata/sql/{project_id}", self._pipeline_page, public=True),
            Route("GET", "/metadata/ide/observation", self._history_page, public=True),
        ]

    @override
    def add_default_targets(self) -> None:
        failing = Behavior(running_seconds=10.0, outcome="fail", error=_DEFAULT_ERROR)
        self.add_target("pipeline", well_known.PROPHECY_PIPELINE, Behavior(running_seconds=12.0))
        self.add_target("pipeline", well_known.PROPHECY_PIPELINE_FAILING, failing)

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        # The vendor has no queued state.
        behavior = Behavior(**{"queued_seconds": 0.0, **defaults.as_dict()})
        default_fields = {
            "name": target_id,
            "project_id": well_known.PROPHECY_PROJECT,
            "fabric_id": well_known.PROPHECY_FABRIC,
        }
        return super().add_target(kind, target_id, behavior, **{**default_fields, **fields})

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        token = request.headers.get("X-AUTH-TOKEN")
        if not token:
            return "missing"
        return "valid" if token == well_known.PROPHECY_TOKEN else "invalid"

    @override
    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        if self.settings["invalid_token_response"] == "login_page":
            return ApiResponse(200, _LOGIN_PAGE, content_type="text/html")
        return self.error_response(401)

    @override
    def generate_id(self) -> str:
        if self.settings["id_format"] == "base64":
            # The prefix ensures that the id contains both characters with a meaning in URLs.
            return base64.b64encode(b"\xff\xef\xbe" + secrets.token_bytes(22)).decode()
        return f"MDAw-{_random_letters(20)}--{_random_letters(12)}=="

    @override
    def format_end_time(self, field: str, now: float) -> str:
        return _format_time(now)

    @override
    def run_not_found(self) -> ApiResponse:
        return _failure_response(f"error in fetching pipeline run status: {_metadata_error('Pipeline run not found')}")

    @override
    def error_response(self, status: int) -> ApiResponse:
        reason = _REASONS.get(status, "Error")
        return gateway_error(status, reason) if status in (502, 503, 504) else ApiResponse(status, {"message": reason})

    # --- endpoints

    def _trigger(self, request: ApiRequest) -> ApiResponse:
        body = _parse_body(request)
        fabric, project, name = body["fabricId"], body["projectId"], body["pipelineName"]
        target = self.targets.get(name)
        projects = {target.fields["project_id"] for target in self.targets.values()}
        if project not in projects:
            raise _rejection(_metadata_error(f"Project with uid `{project}` not found"))
        if target is None or target.fields["project_id"] != project:
            raise _rejection(_metadata_error(f"Pipeline with name `{name}` not found in project `{project}`"))
        if fabric not in {target.fields["fabric_id"] for target in self.targets.values()}:
            return self._trigger_on_unknown_fabric(target, body)
        run = self.start_run(target, body=body)
        return ApiResponse(200, _trigger_response(run), started_run=run.id)

    def _trigger_on_unknown_fabric(self, target: Target, body: dict[str, Any]) -> ApiResponse:
        if self.settings["unknown_fabric"] == "rejected":
            raise _rejection(_metadata_error(f"Fabric with uid `{body['fabricId']}` not found"))
        # Does not consume a behavior, since those are meant for runs that start.
        run = Run(
            id=self.generate_id(),
            kind="pipeline",
            target_id=target.id,
            source=_NEVER_STARTED,
            created_at=self.clock.now(),
            plan=Plan(queued_seconds=math.inf),
            body=body,
        )
        if self.settings["unknown_fabric"] == "stuck":
            target.runs.append(run)
            self.runs[run.id] = run
        return ApiResponse(200, _trigger_response(run))

    def _status(self, request: ApiRequest, run_id: str) -> ApiResponse:
        run, now = self.runs.get(run_id), self.clock.now()
        if run is None:
            return self.run_not_found()
        project, fabric = self._project_and_fabric(run)
        format_time = _format_zulu_time if run.plan.options.get("time_format") == "zulu" else _format_time
        changes = [run.created_at, run.started_at(now), run.ended_at(now)]
        response = {
            "success": True,
            "runId": run.id,
            "createdAt": format_time(run.created_at),
            "updatedAt": format_time(max(timestamp for timestamp in changes if timestamp is not None)),
            "projectId": project,
            "pipelineName": str(self.targets[run.target_id].fields["name"]),
            "fabricId": fabric,
            "runStatus": self.run_status(run, now),
        }
        if response["runStatus"] == "ERROR":
            response["errorMessage"] = _DEFAULT_ERROR if run.plan.error is None else run.plan.error
        return ApiResponse(200, response)

    def _pipeline_page(self, request: ApiRequest, project_id: str) -> ApiResponse:
        """The page that a deep link to a pipeline opens."""
        name = request.query.get("name", "")
        runs = [
            run
            for run in self.runs.values()
            if run.target_id == name and self._project_and_fabric(run)[0] == project_id
        ]
        return self._render_page(f"Project {project_id}, pipeline {name}", runs)

    def _history_page(self, request: ApiRequest) -> ApiResponse:
        """The page that a deep link to a run opens: the run history of the project on the fabric, newest first."""
        project, fabric = request.query.get("prProjectId", ""), request.query.get("prFabricId", "")
        runs = [run for run in reversed(self.runs.values()) if self._project_and_fabric(run) == (project, fabric)]
        return self._render_page(f"Run history of project {project} on fabric {fabric}", runs)

    def _project_and_fabric(self, run: Run) -> tuple[str, str]:
        """Returns the ids of the project and the fabric, as in the responses."""
        fields = self.targets[run.target_id].fields
        return str(fields["project_id"]), str((run.body or {}).get("fabricId", fields["fabric_id"]))

    def _render_page(self, caption: str, runs: Sequence[Run]) -> ApiResponse:
        title = f"<!DOCTYPE html><title>{self.title}</title><h1>{self.title}: simulation</h1>"
        lines = [f"{run.id}, {run.target_id}: {self.run_status(run, self.clock.now())}" for run in runs]
        rows = "".join(f"<li>{escape(line)}</li>" for line in lines)
        return ApiResponse(200, f"{title}<p>{escape(caption)}</p><ul>{rows}</ul>", content_type="text/html")


def _is_integer(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_REQUIRED_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "fabricId": (_is_integer, "jsnumber"),
    "pipelineName": (_is_string, "jsstring"),
    "projectId": (_is_string, "jsstring"),
}
_FIELDS = {
    **_REQUIRED_FIELDS,
    "parameters": (_is_object, "jsobject"),
    "branch": (_is_string, "jsstring"),
    "version": (_is_string, "jsstring"),
    "processName": (_is_string, "jsstring"),
}


def _parse_body(request: ApiRequest) -> dict[str, Any]:
    if request.media_type != "application/json":
        raise _rejection("Expecting text/json or application/json body")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise _rejection("com.fasterxml.jackson.core.JsonParseException: Unexpected character") from None
    if not isinstance(body, dict):
        raise _rejection(_js_error("", "error.expected.jsobject"))
    for name in _REQUIRED_FIELDS:
        if name not in body:
            raise _rejection(_js_error(f"/{name}", "error.path.missing"))
    for name, value in body.items():
        if name not in _FIELDS:
            raise _rejection(_js_error(f"/{name}", "error.unexpected.field"))
        is_valid, expected = _FIELDS[name]
        if not is_valid(value):
            raise _rejection(_js_error(f"/{name}", f"error.expected.{expected}"))
    for name, value in body.get("parameters", {}).items():
        if not isinstance(value, str):
            raise _rejection(_js_error(f"/parameters/{name}", "error.expected.jsstring"))
    return body


def _js_error(path: str, code: str) -> str:
    return f"JsResultException(errors:List(({path},List(JsonValidationError(List({code}),ArraySeq())))))"


def _metadata_error(message: str) -> str:
    return f"Success(Left(sdl.md.client.package$MetadataException: {message})) (of class scala.util.Success)"


def _failure_response(message: str) -> ApiResponse:
    return ApiResponse(200, {"success": False, "msg": message})


def _rejection(message: str) -> RejectedError:
    return RejectedError(_failure_response(f"error in triggering pipeline: {message}"))


def _trigger_response(run: Run) -> dict[str, Any]:
    return {"success": True, "runId": run.id, "msg": "Pipeline triggered successfully."}


def _random_letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _format_time(timestamp: float) -> str:
    return to_utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _format_zulu_time(timestamp: float) -> str:
    return f"{_format_time(timestamp)}Z"
