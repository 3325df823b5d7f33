"""Receives the result of an OAuth login from the browser, on a port of this machine (RFC 8252)."""

from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from secrets import compare_digest
from urllib.parse import parse_qs, urlsplit

from dagster_runs.transport.clock import current_clock

CALLBACK_PATH = "/callback"
_ADDRESS = "127.0.0.1"
_ROUND_SECONDS = 0.5
_MAX_REQUEST_SECONDS = 10.0
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>dagster-runs</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p></body></html>"""


class LoginRefused(Exception):
    """The login page has sent the browser back with an error."""


class _Server(HTTPServer):
    state: str = ""
    result: Mapping[str, str] | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores a browser that closes its connection."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _MAX_REQUEST_SECONDS

    def do_GET(self) -> None:
        """Takes the result from the address, if it is the one of this login."""
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path != CALLBACK_PATH:
            self._respond(HTTPStatus.NOT_FOUND, "Not found", "This address is only for the end of a login.")
        elif not compare_digest(query.get("state", "").encode(), self.server.state.encode()):
            self._respond(HTTPStatus.BAD_REQUEST, "Not this login", "Start the login again from the command line.")
        elif "code" not in query:
            self.server.result = query
            self._respond(HTTPStatus.OK, "Not logged in", "The login was refused. The command line says why.")
        else:
            self.server.result = query
            self._respond(HTTPStatus.OK, "Logged in", "You can close this page and return to the command line.")

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing, because the address contains the code."""

    def _respond(self, status: HTTPStatus, title: str, text: str) -> None:
        body = _PAGE.format(title=title, text=text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class CallbackServer:
    """Waits for the browser on this machine only.

    Args:
        port: The port; 0 for a free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int) -> None:
        self._server = _Server((_ADDRESS, port), _Handler)
        self._server.timeout = _ROUND_SECONDS

    def __enter__(self) -> "CallbackServer":
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.server_close()

    @property
    def redirect_uri(self) -> str:
        """The address to which the login page must send the browser."""
        return f"http://{_ADDRESS}:{self._server.server_address[1]}{CALLBACK_PATH}"

    def wait_for_code(self, state: str, timeout: float) -> str | None:
        """Waits for the code of a login.

        Args:
            state: The state of the login. A request with another one is refused.
            timeout: Seconds to wait.

        Returns:
            The code; ``None`` if it has not arrived in time.

        Raises:
            LoginRefused: The login was refused.
        """
        self._server.state = state
        until = current_clock().monotonic() + timeout
        while current_clock().monotonic() < until:
            self._server.handle_request()
            result = self._server.result
            if result is not None and "code" in result:
                return result["code"]
            if result is not None:
                raise LoginRefused(result.get("error_description") or result.get("error") or "no reason was given")
        return None
