"""Amperity's errors, and the validation of requests."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Collection
from typing import Any

from dagster_runs.sandbox.amperity import times
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError

COURIER_GROUP, ORCHESTRATION_GROUP, CAMPAIGN = "courier_group", "orchestration_group", "campaign"
PREFIXES = {"cg-": COURIER_GROUP, "og-": ORCHESTRATION_GROUP, "cc-": CAMPAIGN}

_FIELDS = ("config_id", "range_from", "range_to", "run_mode")
_COURIER_GROUP_FIELDS = _FIELDS[1:]
_RUN_MODES = ("source", "refresh", "full")


def error_response(status: int, message: str) -> ApiResponse:
    """Returns an error. The ids are optional according to the documentation, but always present here."""
    ids = {"request_id": str(uuid.uuid4()), "trace_id": secrets.token_hex(16)}
    return ApiResponse(status, {"status": status, "message": message, **ids})


def rejection(status: int, message: str) -> RejectedError:
    """Returns the exception that ends the request with an error."""
    return RejectedError(error_response(status, message))


def check_query(request: ApiRequest, allowed: Collection[str]) -> None:
    """Rejects unknown query parameters. For example, there is no filter by `config_id`."""
    if unknown := sorted(set(request.query) - {"api_version", *allowed}):
        raise rejection(400, f"Unknown query parameter: {', '.join(unknown)}")


def parse_start_body(request: ApiRequest) -> dict[str, Any]:
    """Returns the body of a start, after all checks that do not need the target."""
    if request.media_type != "application/json":
        raise rejection(400, "Content-Type must be application/json")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise rejection(400, "The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise rejection(400, "The request body must be an object")
    if unknown := sorted(set(body) - set(_FIELDS)):
        raise rejection(400, f"Unknown fields: {', '.join(unknown)}")
    if "config_id" not in body:
        raise rejection(400, "Missing required field: config_id")
    for name, value in body.items():
        if not isinstance(value, str):
            raise rejection(400, f"{name} must be a string")
    kind = next((kind for prefix, kind in PREFIXES.items() if body["config_id"].startswith(prefix)), None)
    if kind is None:
        expected = "the ID of a courier group (cg-), an orchestration group (og-) or a campaign (cc-)"
        raise rejection(400, f"config_id must be {expected}, got '{body['config_id']}'")
    courier_group_fields = [name for name in _COURIER_GROUP_FIELDS if name in body]
    if courier_group_fields and kind != COURIER_GROUP:
        raise rejection(400, f"{', '.join(courier_group_fields)} can only be used with courier groups")
    _check_range(body)
    if body.get("run_mode", "full") not in _RUN_MODES:
        raise rejection(400, f"run_mode must be one of {', '.join(_RUN_MODES)}, got '{body['run_mode']}'")
    return body


def _check_range(body: dict[str, str]) -> None:
    begin = parse_time_parameter("range_from", body.get("range_from"))
    end = parse_time_parameter("range_to", body.get("range_to"))
    if end is None:
        return
    if begin is None:
        raise rejection(400, "range_from must be specified when range_to is")
    if end <= begin:
        raise rejection(400, "range_to must be after range_from")


def parse_time_parameter(name: str, text: str | None) -> float | None:
    """Parses a time in a request; None if it was not sent."""
    if text is None:
        return None
    timestamp = times.parse_time(text)
    if timestamp is None:
        raise rejection(400, f"{name} must be an ISO 8601 timestamp in UTC, got '{text}'")
    return timestamp
