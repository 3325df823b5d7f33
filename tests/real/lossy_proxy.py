"""A proxy that drops or holds responses of a real server: the server does the work, and the client gets no response."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class LossyProxy:
    """The requests that pass through the proxy, and how it treats them."""

    base_url: str = ""
    lose_posts: int = 0  # this many POST requests get no response: the connection closes
    hold_posts: int = 0  # this many POST requests wait for their responses until the proxy stops
    requests: list[str] = field(default_factory=list)  # "GET /api/v1/health", in order of arrival
    holding: threading.Event = field(default_factory=threading.Event)  # a response is being held
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def lossy_proxy(target: str) -> Iterator[LossyProxy]:
    """Yields a proxy on a free local port, in front of ``target``."""
    proxy = LossyProxy()
    url = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            proxy.requests.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            content = response.read()
            connection.close()
            if self.command == "POST" and proxy.hold_posts:
                proxy.hold_posts -= 1
                proxy.holding.set()
                proxy.ended.wait()
                self.close_connection = True
                return
            if self.command == "POST" and proxy.lose_posts:
                proxy.lose_posts -= 1
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = forward

        def send_response(self, code: int, message: str | None = None) -> None:
            self.send_response_only(code, message)  # the Date and Server headers of the server are forwarded

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
