"""Sends responses with the web framework, and applies faults to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from aiohttp import web

from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiResponse
from dagster_runs.sandbox.processing import NoResponseError

_CHUNK_BYTES = 64 * 1024


def drop_connection(request: web.BaseRequest, *, reset: bool) -> None:
    """Closes the connection without a response."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            # With a linger time of zero, the kernel sends a reset instead of closing the connection normally.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def send_response(
    request: web.BaseRequest, response: ApiResponse, fault: Fault | None, stopping: asyncio.Event
) -> web.StreamResponse:
    """Sends the response, and applies the fault to the transfer.

    Raises:
        NoResponseError: The fault closes the connection. The caller closes it, with `drop_connection`.
    """
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
        raise NoResponseError(is_reset=False)
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
