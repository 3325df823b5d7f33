"""Ports and addresses on this machine."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any

HOST = "127.0.0.1"
# A proxy from the environment has no business between processes of one machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: what is left of closed connections does not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(preferred: int = 0) -> int:
    """The preferred port if it is free, else any that is."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, body: Any = None, *, timeout: float = 5.0) -> Any:
    """The JSON at an address; `body` is sent as JSON.

    Raises:
        OSError: Nobody answers, or not with a success.
        ValueError: The answer is not JSON.
    """
    request = urllib.request.Request(  # noqa: S310 - the addresses are the demo's own
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with _OPENER.open(request, timeout=timeout) as answer:
        return json.load(answer)
