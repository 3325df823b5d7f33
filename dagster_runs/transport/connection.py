"""Connections that know whether a request was sent, and that stop reading at a deadline.

The HTTP libraries limit each single read. A server that sends a byte now and then, header after header, or an endless
series of ``100 Continue`` could therefore hold a call for as long as it likes. Here one deadline covers the status line
and all headers, and another one the body; ``connect_timeout`` covers the proxy's answer and the TLS handshake.

The deadlines are real time, as the sockets' timeouts are. Name resolution is left to the operating system's own limit.
"""

import http.client
import io
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter


@dataclass
class Exchange:
    """What is known of the request that this thread is sending.

    Attributes:
        was_sent: Whether any of it left for the vendor; ``None`` while no connection of ours has been used.
    """

    was_sent: bool | None = None


_current: ContextVar[Exchange | None] = ContextVar("dagster_runs_exchange", default=None)


@contextmanager
def resolve_assets() -> Iterator[Exchange]:
    """Inside the block, the returned `Exchange` tells how far this thread's request came."""
    exchange = Exchange()
    before = _current.set(exchange)
    try:
        yield exchange
    finally:
        _current.reset(before)


class DeadlineAdapter(HTTPAdapter):
    """An adapter whose connections, through a proxy or not, are as this module says."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        _use_own_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pools of connections through a proxy."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            _use_own_connections(manager)
        return manager


def new_session(headers: Mapping[str, str]) -> requests.Session:
    """A session over such connections."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter())
    session.headers.update(headers)
    return session


def _use_own_connections(manager: Any) -> None:
    # The manager's own classes: SOCKS proxies use other ones than the default.
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type(pool.ConnectionCls.__name__, (_Watched, pool.ConnectionCls), {})},
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


class _Watched:
    """What is added to a connection class of urllib3's."""

    sock: Any
    _is_connecting = False
    _reader: "_DeadlineReader | None" = None

    def connect(self) -> None:
        exchange = _current.get()
        if exchange is not None:
            exchange.was_sent = False
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._is_connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # as http.client would, but before the request counts as sent
        exchange = _current.get()
        if exchange is not None and not self._is_connecting:  # what a proxy is asked for is not the request
            exchange.was_sent = True
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        self._reader = _DeadlineReader(sock)
        return http.client.HTTPResponse(_Opened(self._reader), *args, **options)  # type: ignore[arg-type]

    def getresponse(self, *args: Any, **options: Any) -> Any:
        response = super().getresponse(*args, **options)  # type: ignore[misc]
        if self._reader is not None:
            self._reader.restart()  # the body has as long again
            self._reader = None
        return response


class _Opened:
    """A socket as `http.client.HTTPResponse` uses it."""

    def __init__(self, reader: "_DeadlineReader") -> None:
        self._reader = reader

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until as many seconds have passed as the socket's timeout is when the reader is made."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._seconds = sock.gettimeout()
        # Not the socket itself: this is what keeps it open when the connection lets go of it before the body is read.
        self._raw: Any = sock.makefile("rb", buffering=0)
        self.restart()

    def restart(self) -> None:
        self._deadline = None if self._seconds is None else time.monotonic() + self._seconds

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
