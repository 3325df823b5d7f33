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

from dagster_runs.sandbox.exchange import ApiResponse, Call
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.vendor import Vendor

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post"><input name="user"><input name="password"></form></body>
</html>
"""
_CHUNK = 64 * 1024


class DroppedError(Exception):
    """The connection was closed, so no response can be sent."""


def replace_answer(fault: Fault, vendor: Vendor, call: Call) -> ApiResponse | None:
    """Returns the response that replaces the vendor's; None if the fault does not replace it."""
    kind = fault.kind
    if kind in ("status", "status_after"):
        answer = vendor.error(fault.status or (503 if kind == "status" else 502))
        if fault.body is not None:
            answer = _with_body(answer.status, fault.body)
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = fault.retry_after
    elif kind == "html":
        answer = ApiResponse(fault.status or 200, fault.body or _PAGE, content_type="text/html")
    elif kind == "not_json":
        answer = ApiResponse(fault.status or 200, fault.body or "OK", content_type="text/plain")
    elif kind == "redirect":
        headers = {"Location": str(fault.location)}
        answer = ApiResponse(fault.status or 302, "", content_type="text/plain", headers=headers)
    elif kind == "not_found":
        answer = vendor.not_found()
    elif kind == "expired_token":
        answer = vendor.refuse_credentials("invalid")
    elif kind == "echo_secret":
        sent = [f"{name}: {call.headers[name]}" for name in _SECRET_HEADERS if name in call.headers]
        answer = ApiResponse(500, {"message": f"upstream refused the request with {', '.join(sent)}", "error": sent})
    else:
        return None
    answer.headers.update(fault.headers or {})
    return answer


_SECRET_HEADERS = ("Authorization", "X-Api-Key", "X-Auth-Token")


def change_answer(fault: Fault, vendor: Vendor, answer: ApiResponse, now: float) -> ApiResponse | None:
    """Returns the vendor's response with a changed field; None if it has no such field."""
    if not answer.is_json:
        return None
    body = copy.deepcopy(answer.body)
    if fault.kind == "unknown_state":
        if not isinstance(body, dict) or not vendor.give_state(body, str(fault.word), ended=fault.ended, now=now):
            return None
    elif not _change_field(body, str(fault.field).split("."), fault):
        return None
    return ApiResponse(answer.status, body, headers=answer.headers, started_run=answer.started_run)


def drop(request: web.BaseRequest, *, reset: bool) -> DroppedError:
    """Closes the connection without a response."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            # With a linger time of zero, the kernel sends a reset instead of closing the connection normally.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return DroppedError()


async def send(
    request: web.BaseRequest, answer: ApiResponse, fault: Fault | None, stopping: asyncio.Event
) -> web.StreamResponse:
    """Sends the response, and applies the fault to the transfer."""
    payload = answer.payload()
    kind = fault.kind if fault else None
    if fault is None or kind not in ("hang", "truncated", "slow_body", "huge_body"):
        return _response(answer, payload)
    if kind == "hang":
        await _wait(stopping, 3600.0 if fault.seconds is None else fault.seconds)
        return _response(answer, payload)
    if kind == "truncated":
        half = payload[: len(payload) // 2]
        if fault.variant != "early_close":
            return _response(answer, half)
        response = await _begin(request, answer, len(payload))
        await response.write(half)
        # The first half must be sent before the connection is closed.
        await asyncio.sleep(0.01)
        raise drop(request, reset=False)
    if kind == "slow_body":
        response = await _begin(request, answer, len(payload))
        pause = (5.0 if fault.seconds is None else fault.seconds) / max(len(payload), 1)
        for index in range(len(payload)):
            await response.write(payload[index : index + 1])
            await _wait(stopping, pause)
    else:
        response = await _begin(request, answer, fault.size if fault.variant == "content_length" else None)
        async for chunk in _much_json(fault.size, stopping):
            await response.write(chunk)
    await response.write_eof()
    return response


def _with_body(status: int, body: Any) -> ApiResponse:
    return ApiResponse(status, body, content_type="text/plain" if isinstance(body, str) else "application/json")


def _change_field(body: Any, path: list[str], fault: Fault) -> bool:
    for name in path[:-1]:
        body = _member(body, name)
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


def _member(body: Any, name: str) -> Any:
    if isinstance(body, dict):
        return body.get(name)
    if isinstance(body, list) and name.isdigit() and int(name) < len(body):
        return body[int(name)]
    return None


def _response(answer: ApiResponse, payload: bytes) -> web.Response:
    headers = {"Content-Type": _content_type(answer), **answer.headers}
    return web.Response(status=answer.status, body=payload, headers=headers)


async def _begin(request: web.BaseRequest, answer: ApiResponse, length: int | None) -> web.StreamResponse:
    headers = {"Content-Type": _content_type(answer), **answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    return response


def _content_type(answer: ApiResponse) -> str:
    return answer.content_type if answer.is_json else f"{answer.content_type}; charset=utf-8"


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    """Waits in real time, but not longer than until the server stops."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def _much_json(size: int, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yields valid JSON of exactly this many bytes, except for very small sizes."""
    start, end = b'{"padding":"', b'"}'
    yield start
    left = max(size - len(start) - len(end), 0)
    while left and not stopping.is_set():
        chunk = b"x" * min(left, _CHUNK)
        left -= len(chunk)
        yield chunk
    yield end
