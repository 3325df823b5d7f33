"""Applies faults, first to the response, then to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.vendor import Vendor

_LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post"><input name="user"><input name="password"></form></body>
</html>
"""
_CHUNK_BYTES = 64 * 1024


class ConnectionDroppedError(Exception):
    """The connection was closed, so no response can be sent."""


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


def drop_connection(request: web.BaseRequest, *, reset: bool) -> ConnectionDroppedError:
    """Closes the connection without a response."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            # With a linger time of zero, the kernel sends a reset instead of closing the connection normally.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return ConnectionDroppedError()


async def send_response(
    request: web.BaseRequest, response: ApiResponse, fault: Fault | None, stopping: asyncio.Event
) -> web.StreamResponse:
    """Sends the response, and applies the fault to the transfer."""
    payload = response.payload()
    kind = fault.kind if fault else None
    if fault is None or kind not in ("hang", "truncated", "slow_body", "huge_body"):
        return _make_response(response, payload)
    if kind == "hang":
        await _sleep(stopping, 3600.0 if fault.seconds is None else fault.seconds)
        return _make_response(response, payload)
    if kind == "truncated":
        half = payload[: len(payload) // 2]
        if fault.variant != "early_close":
            return _make_response(response, half)
        stream = await _begin_response(request, response, len(payload))
        await stream.write(half)
        # The first half must be sent before the connection is closed.
        await asyncio.sleep(0.01)
        raise drop_connection(request, reset=False)
    if kind == "slow_body":
        stream = await _begin_response(request, response, len(payload))
        pause = (5.0 if fault.seconds is None else fault.seconds) / max(len(payload), 1)
        for index in range(len(payload)):
            await stream.write(payload[index : index + 1])
            await _sleep(stopping, pause)
    else:
        stream = await _begin_response(request, response, fault.size if fault.variant == "content_length" else None)
        async for chunk in _json_chunks(fault.size, stopping):
            await stream.write(chunk)
    await stream.write_eof()
    return stream


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


def _make_response(response: ApiResponse, payload: bytes) -> web.Response:
    headers = {"Content-Type": _content_type(response), **response.headers}
    return web.Response(status=response.status, body=payload, headers=headers)


async def _begin_response(request: web.BaseRequest, response: ApiResponse, length: int | None) -> web.StreamResponse:
    headers = {"Content-Type": _content_type(response), **response.headers}
    stream = web.StreamResponse(status=response.status, headers=headers)
    if length is None:
        stream.enable_chunked_encoding()
    else:
        stream.content_length = length
    await stream.prepare(request)
    return stream


def _content_type(response: ApiResponse) -> str:
    return response.content_type if response.is_json else f"{response.content_type}; charset=utf-8"


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    """Waits in real time, but not longer than until the server stops."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def _json_chunks(size: int, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yields valid JSON of exactly this many bytes, except for very small sizes."""
    prefix, suffix = b'{"padding":"', b'"}'
    yield prefix
    remaining = max(size - len(prefix) - len(suffix), 0)
    while remaining and not stopping.is_set():
        chunk = b"x" * min(remaining, _CHUNK_BYTES)
        remaining -= len(chunk)
        yield chunk
    yield suffix
