"""Applies faults to the vendor's response, before it is sent."""

from __future__ import annotations

import copy
from typing import Any

from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.vendor import Vendor

_LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post"><input name="user"><input name="password"></form></body>
</html>
"""


def replace_response(fault: Fault, vendor: Vendor, request: ApiRequest) -> ApiResponse | None:
    """Returns the response that replaces the vendor's; None if the fault does not replace it."""
    kind = fault.kind
    if kind in ("status", "status_after"):
        response = vendor.error_response(fault.status or (503 if kind == "status" else 502))
        if fault.body is not None:
            response = _make_error(response.status, fault.body)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = fault.retry_after
    elif kind == "html":
        response = ApiResponse(fault.status or 200, fault.body or _LOGIN_PAGE, content_type="text/html")
    elif kind == "not_json":
        response = ApiResponse(fault.status or 200, fault.body or "OK", content_type="text/plain")
    elif kind == "redirect":
        headers = {"Location": str(fault.location)}
        response = ApiResponse(fault.status or 302, "", content_type="text/plain", headers=headers)
    elif kind == "not_found":
        response = vendor.run_not_found()
    elif kind == "expired_token":
        response = vendor.unauthorized("invalid")
    elif kind == "echo_secret":
        credentials = [f"{name}: {request.headers[name]}" for name in _SECRET_HEADERS if name in request.headers]
        response = ApiResponse(
            500, {"message": f"upstream refused the request with {', '.join(credentials)}", "error": credentials}
        )
    else:
        return None
    response.headers.update(fault.headers or {})
    return response


_SECRET_HEADERS = ("Authorization", "X-Api-Key", "X-Auth-Token")


def modify_response(fault: Fault, vendor: Vendor, response: ApiResponse, now: float) -> ApiResponse | None:
    """Returns the vendor's response with a changed field; None if it has no such field."""
    if not response.is_json:
        return None
    body = copy.deepcopy(response.body)
    if fault.kind == "unknown_state":
        if not isinstance(body, dict) or not vendor.set_state(body, str(fault.state), ended=fault.ended, now=now):
            return None
    elif not _modify_field(body, str(fault.field).split("."), fault):
        return None
    return ApiResponse(response.status, body, headers=response.headers, started_run=response.started_run)


def _make_error(status: int, body: Any) -> ApiResponse:
    return ApiResponse(status, body, content_type="text/plain" if isinstance(body, str) else "application/json")


def _modify_field(body: Any, path: list[str], fault: Fault) -> bool:
    for name in path[:-1]:
        body = _get_child(body, name)
    last = path[-1]
    if isinstance(body, list) and last.isdigit() and int(last) < len(body):
        if fault.kind == "missing_field":
            del body[int(last)]
        else:
            body[int(last)] = fault.value
        return True
    if not isinstance(body, dict) or last not in body:
        return False
    if fault.kind == "missing_field":
        del body[last]
    else:
        body[last] = fault.value
    return True


def _get_child(body: Any, name: str) -> Any:
    if isinstance(body, dict):
        return body.get(name)
    if isinstance(body, list) and name.isdigit() and int(name) < len(body):
        return body[int(name)]
    return None
