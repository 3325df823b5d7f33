"""A small HTTP server that sends the responses of a test and records the requests."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A response. Text and bytes are sent unchanged, anything else as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Seen:
    """A recorded request, with its path as it was sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


Script = Reply | Callable[[BaseHTTPRequestHandler], None]


class Origin:
    """The server. It sends `replies` in their order and repeats the last one."""

    def __init__(self) -> None:
        self.forget()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                origin.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Clears the recorded requests and the replies."""
        self.replies: list[Script] = [Reply()]
        self.seen: list[Seen] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        self.seen.append(Seen(handler.command, handler.path, headers, body, handler.client_address[1]))
        script = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(script, Reply):
            send(handler, script)
        else:
            script(handler)

    def __enter__(self) -> "Origin":
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    payload = reply.payload()
    handler.send_response(reply.status)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(payload)), **reply.headers}
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(payload)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without a response."""
    handler.close_connection = True


def cut_off(status: int = 200, payload: bytes = b'{"runId": "r1"}') -> Callable[[BaseHTTPRequestHandler], None]:
    """Closes the connection in the middle of the body."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        send(handler, Reply(status, payload[: len(payload) // 2], {"Content-Length": str(len(payload))}))
        handler.close_connection = True

    return script


def huge(status: int, size: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Sends a very large body without a length."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        chunk = b"x" * 1_000_000
        try:
            for _ in range(0, size, len(chunk)):
                handler.wfile.write(chunk)
        except OSError:
            pass  # the client stopped reading

    return script


def slow(status: int = 200, *, seconds: float = 2.0) -> Callable[[BaseHTTPRequestHandler], None]:
    """Sends a body byte by byte."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        payload = b'{"runId": "r1"}' + b" " * 185
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(payload)))
        handler.end_headers()
        stop = threading.Event()
        try:
            for byte in payload:
                handler.wfile.write(bytes([byte]))
                stop.wait(seconds / len(payload))
        except OSError:
            pass

    return script


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Never responds; ends when the client closes the connection."""
    handler.close_connection = True
    handler.connection.settimeout(5)
    with contextlib.suppress(OSError):
        handler.connection.recv(1)
