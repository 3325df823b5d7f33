"""Simulates Segmentflow's journeys API: two generations of triggers, and the status of a run.

Documented: paths, bodies, the key header, the idempotency key and its reuse, scopes, the shape and codes of errors.
Not documented, so assumed here: at least one identity is required (else 422), unknown fields are rejected (400), 400
has the code `bad_request`, `required` is among an error's `details`, a wrong method is 404, keys never expire. Like the
vendor, it cannot list or cancel runs. `outcome="cancel"` means that the recipient leaves the journey: `exited`.

Options of `Behavior`:
    shape: The shape of the run: `B` (newer pages) or `A` (older: no `workflowId`).
    completed_at: The field while the run is active: `null`, `absent`, or `present` (as the older page demands; it then
        contains the start).
    workflow_id: `given` or `null`, in shape B.
    start_status: 202 (page on errors) or 200.

Settings of `configure`:
    scopes: The scopes of the key. Default: `["journeys:trigger", "journeys:read"]`.
    allow_sends: If false, a trigger is rejected with `send_not_allowed`. Default: True.
    reuse_status: 422 or 409: the status for a key that is reused with another body.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.clock import Clock, to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Run, Target
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_TRIGGER_SCOPE, _READ_SCOPE = "journeys:trigger", "journeys:read"
_DEFAULT_ERROR = "Step 2 (Send email): template 'welcome-back' has no sender profile"
_CODES = {
    400: ("bad_request", "The request is not valid."),
    401: ("unauthorized", "Missing or invalid API key."),
    403: ("insufficient_scope", "The API key lacks a required scope."),
    404: ("not_found", "The resource does not exist."),
    405: ("method_not_allowed", "The method is not allowed."),
    409: ("conflict", "Another request with this idempotency key is still being processed."),
    410: ("gone", "The resource is gone."),
    422: ("validation_failed", "The request was rejected."),
    429: ("rate_limited", "Too many requests."),
    500: ("internal_error", "Something went wrong."),
    501: ("not_implemented", "Not implemented."),
}
_GATEWAY_REASONS = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
# The documented pattern. The two special values are the UUID of zeros and the UUID of ones.
_UUID = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_RECIPIENT_FIELDS = {"email": str, "userId": str, "anonymousId": str}
_PROFILE_FIELDS = {"email": str, "externalId": str, "userId": str, "anonymousId": str, "properties": dict}
_MAX_KEY_LENGTH, _MAX_JOURNEY_KEY_LENGTH = 255, 120
# The namespace of profile ids, which ensures that one recipient has one profile.
_PROFILE_NAMESPACE = uuid.UUID("5e9f1c00-0000-4000-8000-0000000000ff")


class Segmentflow(Vendor):
    """`/segmentflow`."""

    name = "segmentflow"
    mount = "segmentflow"
    title = "Segmentflow"
    base_path = "/segmentflow"
    connection_info: ClassVar = {"API key": well_known.SEGMENTFLOW_API_KEY}
    statuses: ClassVar = {
        "queued": "queued",
        "running": "running",
        "succeed": "completed",
        "fail": "failed",
        "cancel": "exited",
    }
    run_kinds: ClassVar = {"journey": ("journey",)}
    options = frozenset({"shape", "completed_at", "workflow_id", "start_status"})
    default_settings: ClassVar = {"scopes": [_TRIGGER_SCOPE, _READ_SCOPE], "allow_sends": True, "reuse_status": 422}
    choices: ClassVar = {
        "shape": ("B", "A"),
        "completed_at": ("null", "absent", "present"),
        "workflow_id": ("given", "null"),
        "start_status": (202, 200),
        "allow_sends": (True, False),
        "reuse_status": (422, 409),
    }
    end_fields = ("completedAt",)
    credential_header = "x-api-key"

    def __init__(self, clock: Clock) -> None:
        self._used_keys: dict[str, tuple[str, ApiResponse]] = {}
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/v1/public/journeys/runs/{run_id}", self._status),
            Route("POST", "/api/v1/public/journeys/{journey_id}/trigger", self._trigger_by_id),
            Route("POST", "/api/v1/journeys/{journey_key}/trigger", self._trigger_by_key),
        ]

    @override
    def add_default_targets(self) -> None:
        exiting = Behavior(outcome="cancel", running_seconds=10.0)
        failing = Behavior(outcome="fail", error=_DEFAULT_ERROR, running_seconds=10.0)
        self.add_target("journey", well_known.SEGMENTFLOW_JOURNEY, Behavior(), key=well_known.SEGMENTFLOW_JOURNEY_KEY)
        self.add_target("journey", well_known.SEGMENTFLOW_EXITING, exiting, key=well_known.SEGMENTFLOW_EXITING_KEY)
        self.add_target("journey", well_known.SEGMENTFLOW_FAILING, failing, key=well_known.SEGMENTFLOW_FAILING_KEY)

    @override
    def reset(self) -> None:
        super().reset()
        self._used_keys.clear()

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        key = fields.get("key", target_id)
        return super().add_target(kind, target_id, defaults, **{"key": key, "name": key, "entry": "api", **fields})

    @override
    def normalize_target_id(self, kind: str, target_id: str) -> str:
        return str(uuid.UUID(target_id))

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        key = request.headers.get("x-api-key")
        if not key:
            return "missing"
        return "valid" if key == well_known.SEGMENTFLOW_API_KEY else "invalid"

    @override
    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        return self.error_response(401)

    @override
    def generate_id(self) -> str:
        return str(uuid.uuid4())

    @override
    def format_end_time(self, field: str, now: float) -> str:
        return _format_time(now)

    @override
    def set_state(self, body: dict[str, Any], state: str, *, ended: bool, now: float) -> bool:
        if "journeyId" in body:
            return super().set_state(body, state, ended=ended, now=now)
        if "runId" not in body:
            return False
        # The response to a trigger has a state but no end time.
        body["status"] = state
        return True

    @override
    def error_response(self, status: int) -> ApiResponse:
        if status in _GATEWAY_REASONS:
            return gateway_error(status, _GATEWAY_REASONS[status])
        code, message = _CODES.get(status, ("error", "Error."))
        return _error_response(status, code, message)

    @override
    def method_not_allowed(self, allowed: str) -> ApiResponse:
        # 405 is not among the documented codes.
        return self.error_response(404)

    # --- endpoints

    def _status(self, request: ApiRequest, run_id: str) -> ApiResponse:
        self._check_scope(_READ_SCOPE)
        _check_uuid("runId", run_id)
        run = self.runs.get(run_id.lower())
        return self.error_response(404) if run is None else ApiResponse(200, self._render_run(run, self.clock.now()))

    def _trigger_by_id(self, request: ApiRequest, journey_id: str) -> ApiResponse:
        self._check_trigger()
        _check_uuid("id", journey_id)
        body = _parse_body(request, "recipient", _RECIPIENT_FIELDS)
        run, status = self._start_journey(self.targets.get(journey_id.lower()), body, "recipient")
        response = {"runId": run.id, "workflowId": _workflow_id(run), "status": self.run_status(run, run.created_at)}
        return ApiResponse(status, response, started_run=run.id)

    def _trigger_by_key(self, request: ApiRequest, journey_key: str) -> ApiResponse:
        self._check_trigger()
        if len(journey_key) > _MAX_JOURNEY_KEY_LENGTH:
            raise _rejection(400, f"journeyKey must have 1 to {_MAX_JOURNEY_KEY_LENGTH} characters", field="journeyKey")
        key = request.headers.get("idempotency-key", "")
        if not 1 <= len(key) <= _MAX_KEY_LENGTH:
            message = f"The header idempotency-key is required and must have 1 to {_MAX_KEY_LENGTH} characters"
            raise _rejection(400, message, field="idempotency-key")
        body = _parse_body(request, "profile", _PROFILE_FIELDS)
        journey = next((target for target in self.targets.values() if target.fields["key"] == journey_key), None)
        # The content of the request counts, not its formatting.
        content = [journey.id if journey else None, body["profile"], body.get("variables", {})]
        fingerprint = json.dumps(content, sort_keys=True)
        if key in self._used_keys:
            earlier_fingerprint, response = self._used_keys[key]
            if earlier_fingerprint != fingerprint:
                status = self.settings["reuse_status"]
                message = "This idempotency key was used with a different request."
                return _error_response(status, "idempotency_key_reuse", message)
            return ApiResponse(response.status, response.body)
        run, status = self._start_journey(journey, body, "profile")
        response = ApiResponse(
            status, {"runId": run.id, "status": self.run_status(run, run.created_at)}, started_run=run.id
        )
        self._used_keys[key] = fingerprint, response
        return response

    def _start_journey(self, journey: Target | None, body: dict[str, Any], identity_field: str) -> tuple[Run, int]:
        if journey is None:
            raise RejectedError(self.error_response(404))
        if journey.fields["entry"] != "api":
            raise _rejection(422, "Only a journey with an API entry can be triggered.")
        if not any(body[identity_field].get(name) for name in body[identity_field] if name != "properties"):
            raise _rejection(422, f"{identity_field} needs at least one identity.", field=identity_field)
        run = self.start_run(journey, body=body)
        return run, run.plan.options.get("start_status", 202)

    def _check_trigger(self) -> None:
        self._check_scope(_TRIGGER_SCOPE)
        if not self.settings["allow_sends"]:
            message = "The API key lacks the allowSends flag."
            raise RejectedError(_error_response(403, "send_not_allowed", message))

    def _check_scope(self, scope: str) -> None:
        if scope not in self.settings["scopes"]:
            code, message = _CODES[403]
            raise RejectedError(_error_response(403, code, message, required=[scope]))

    def _render_run(self, run: Run, now: float) -> dict[str, Any]:
        options, ended_at = run.plan.options, run.ended_at(now)
        failed = run.outcome == "fail" and ended_at is not None
        workflow_id = None if options.get("workflow_id") == "null" else _workflow_id(run)
        response = {
            "runId": run.id,
            "journeyId": run.target_id,
            "profileId": _profile_id(run),
            **({} if options.get("shape") == "A" else {"workflowId": workflow_id}),
            "status": self.run_status(run, now),
            "triggeredAt": _format_time(run.created_at),
            "completedAt": None if ended_at is None else _format_time(ended_at),
            "error": (_DEFAULT_ERROR if run.plan.error is None else run.plan.error) if failed else None,
        }
        if ended_at is None and options.get("completed_at") == "absent":
            del response["completedAt"]
        elif ended_at is None and options.get("completed_at") == "present":
            response["completedAt"] = response["triggeredAt"]
        return response


def _parse_body(request: ApiRequest, identity_field: str, identity_types: Mapping[str, type]) -> dict[str, Any]:
    """Returns the validated body of a trigger."""
    try:
        body = request.parse_json()
    except ValueError as error:
        raise _rejection(400, str(error)) from None
    _check_object("body", body, {identity_field: dict, "variables": dict})
    if identity_field not in body:
        raise _rejection(400, f"{identity_field} is required", field=identity_field)
    _check_object(identity_field, body[identity_field], identity_types)
    email = body[identity_field].get("email")
    if email is not None and not _EMAIL.fullmatch(email):
        raise _rejection(400, f"{identity_field}.email is not an email address", field=f"{identity_field}.email")
    return dict(body)


def _check_object(name: str, value: Any, fields: Mapping[str, type]) -> None:
    if not isinstance(value, dict):
        raise _rejection(400, f"{name} must be an object", field=name)
    for key, member in value.items():
        if key not in fields:
            raise _rejection(400, f"{name} has no field {key!r}", field=key)
        if not isinstance(member, fields[key]):
            kind = "a string" if fields[key] is str else "an object"
            raise _rejection(400, f"{key} must be {kind}", field=key)


def _check_uuid(name: str, value: str) -> None:
    if not _UUID.fullmatch(value):
        raise _rejection(400, f"{name} must be a UUID", field=name)


def _error_response(status: int, code: str, message: str, **details: Any) -> ApiResponse:
    body: dict[str, Any] = {"error": code, "message": message}
    return ApiResponse(status, {**body, "details": details} if details else body)


def _rejection(status: int, message: str, **details: Any) -> RejectedError:
    return RejectedError(_error_response(status, _CODES[status][0], message, **details))


def _workflow_id(run: Run) -> str:
    return f"journey-{run.target_id}-{run.id}"


def _profile_id(run: Run) -> str:
    body = run.body or {}
    identity = {name: value for name, value in (body.get("recipient") or body.get("profile") or {}).items() if value}
    identity.pop("properties", None)
    return str(uuid.uuid5(_PROFILE_NAMESPACE, json.dumps(identity, sort_keys=True)))


def _format_time(timestamp: float) -> str:
    return f"{to_utc(timestamp).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"
