"""The bodies of requests to both APIs."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError

_TIME_PATTERN = re.compile(r"\d+|\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_FLAG_VALUES = {
    "--model_refs": re.compile(r"\S+"),
    "--begin_time": _TIME_PATTERN,
    "--end_time": _TIME_PATTERN,
    "--rebase_incremental": re.compile(r"|true|false"),
}


def rejection(message: str, **details: str) -> RejectedError:
    """Returns the error for an invalid request."""
    return RejectedError(ApiResponse(400, {"message": message, "code": "BAD_REQUEST", "details": details}))


def parse_profiles_start(request: ApiRequest) -> Any:
    """Returns the body of a Profiles start, which may be missing."""
    if not request.body:
        return None
    body = _parse_object(request, allowed={"parameters"})
    if "parameters" in body:
        _check_parameters(body["parameters"])
    return body


def parse_sync_start(request: ApiRequest) -> Any:
    """Returns the body of a sync's start, which must contain the type of the sync."""
    body = _parse_object(request, allowed={"syncType"})
    if body.get("syncType") not in ("incremental", "full"):
        raise rejection("syncType must be incremental or full", syncType="must be incremental or full")
    return body


def _parse_object(request: ApiRequest, *, allowed: Collection[str]) -> dict[str, Any]:
    try:
        body = request.parse_json()
    except ValueError as error:
        raise rejection(str(error)) from None
    if not isinstance(body, dict):
        raise rejection("The body must be an object")
    if unknown := sorted(set(body) - set(allowed)):
        raise rejection(f"Unknown fields: {', '.join(unknown)}")
    return body


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, list):
        raise rejection("parameters must be an array of strings", parameters="must be an array of strings")
    for number, parameter in enumerate(parameters):
        name = f"parameters[{number}]"
        if not isinstance(parameter, str):
            raise rejection(f"{name} must be a string", **{name: "must be a string"})
        flag, _, value = parameter.partition(" ")
        pattern = _FLAG_VALUES.get(flag)
        if pattern is None:
            known = ", ".join(_FLAG_VALUES)
            raise rejection(f"{name}: {flag!r} is not allowed; allowed are {known}", **{name: "is not allowed"})
        if not pattern.fullmatch(value):
            raise rejection(f"{name}: {value!r} is not a valid value of {flag}", **{name: "has no valid value"})
