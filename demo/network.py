"""Ports and HTTP requests on this machine."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any

HOST = "127.0.0.1"
# Ignores a proxy from the environment, because all processes are on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # Servers set this too, so that remains of closed connections do not count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(preferred: int = 0) -> int:
    """Returns the preferred port if it is free, or else any free port."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, body: Any = None, *, timeout: float = 5.0) -> Any:
    """Requests a URL and returns the JSON of the response. `body` is sent as JSON.

    Raises:
        OSError: There is no response, or its status is an error.
        ValueError: The response is not JSON.
    """
    request = urllib.request.Request(  # noqa: S310 - the URLs are the demo's own
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with _OPENER.open(request, timeout=timeout) as response:
        return json.load(response)
