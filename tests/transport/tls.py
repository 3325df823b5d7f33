"""Real TLS on loopback: certificates from the openssl program, and servers that run a script for each connection."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Script = Callable[[socket.socket], None]
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"runId": "r1"}'


class Authority:
    """A private certificate authority."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bundle = folder / "ca.pem"
        self._openssl(
            *(
                "req",
                "-x509",
                *_KEY,
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
                "-days",
                "30",
                "-subj",
                "/CN=Test authority",
            ),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
        )

    def issue(self, name: str, *, names: str = "IP:127.0.0.1,DNS:localhost", days: int = 30) -> ssl.SSLContext:
        """Returns a server-side TLS context with a certificate for ``names``."""
        self._openssl("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("needs openssl to make certificates")
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=self._folder)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@contextmanager
def listening(script: Script) -> Iterator[int]:
    """Yields the port of a server that runs ``script`` for each connection."""
    stop = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            script(connection)

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        stop.set()


def read_request(connection: socket.socket) -> bytes:
    """Reads the whole request: closing with unread data would reset the connection before the response arrives."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if end and len(body) >= int(length.group(1) if length else 0):
            return received
        more = connection.recv(65536)
        if not more:
            return received
        received += more


def answering(context: ssl.SSLContext, requests: list[bytes], answer: bytes = OK) -> Script:
    """Returns a script that completes the handshake, records the request and sends a response if there is one."""

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            requests.append(read_request(secured))
            if answer:
                secured.sendall(answer)

    return script


def dripping(piece: bytes, first: bytes = b"", *, every: float = 0.05, times: int = 200) -> Script:
    """Returns a script that reads the request, sends ``first``, and then keeps sending ``piece``."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(first)
        pause = threading.Event()
        for _ in range(times):
            connection.sendall(piece)
            pause.wait(every)

    return script
