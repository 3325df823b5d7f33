"""Connections that record whether a request was sent, and that stop reading at a deadline.

The HTTP libraries limit only each single read. So a server that sends a byte from time to time, header after header, or
an endless series of ``100 Continue`` could block a call indefinitely. Here one deadline covers the status line and all
headers, and another one covers the body. ``connect_timeout`` covers the proxy's response and the TLS handshake.

The deadlines use real time, as the sockets' timeouts do. Name resolution is limited only by the operating system.
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
from requests.adapters import BaseAdapter, HTTPAdapter

from dagster_runs.transport import call_budget


@dataclass
class Exchange:
    """The progress of the request that this thread is sending.

    Attributes:
        was_sent: Whether any part of the request was sent to the vendor; ``None`` until one of our connections is used.
    """

    was_sent: bool | None = None


_current: ContextVar[Exchange | None] = ContextVar("dagster_runs_exchange", default=None)


@contextmanager
def track_exchange() -> Iterator[Exchange]:
    """Yields an `Exchange` that records the progress of this thread's request inside the block."""
    exchange = Exchange()
    before = _current.set(exchange)
    try:
        yield exchange
    finally:
        _current.reset(before)


class DeadlineAdapter(HTTPAdapter):
    """An adapter that uses this module's connections, both direct and through a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Creates the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        _use_own_connections(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Creates the pools of connections through a proxy."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            _use_own_connections(manager)
        return manager


def new_session(headers: Mapping[str, str]) -> requests.Session:
    """Returns a session that uses this module's connections."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter())
    session.headers.update(headers)
    return session


_adapter_for_tests: BaseAdapter | None = None


def adapter_for(session: requests.Session, url: str) -> BaseAdapter:
    """Returns what sends a request to a URL: the session's adapter, or the one of `use_adapter`."""
    return session.get_adapter(url) if _adapter_for_tests is None else _adapter_for_tests


@contextmanager
def use_adapter(adapter: BaseAdapter) -> Iterator[None]:
    """Sends all requests of this process through an adapter inside the block, also those of existing clients.

    For tests without connections. Everything else in this package runs as usual: the authentication, the retries, the
    limits of time and size, and the reading of responses.
    """
    global _adapter_for_tests  # noqa: PLW0603 - the one place where it is replaced; a sensor polls in other threads
    before, _adapter_for_tests = _adapter_for_tests, adapter
    try:
        yield
    finally:
        _adapter_for_tests = before


def _use_own_connections(manager: Any) -> None:
    # Extends the manager's own classes, because SOCKS proxies do not use the default ones.
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type(pool.ConnectionCls.__name__, (_TrackedConnection, pool.ConnectionCls), {})},
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


class _TrackedConnection:
    """A mixin for urllib3's connection classes."""

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
            self.connect()  # http.client would connect too, but only after we have recorded the request as sent
        exchange = _current.get()
        if exchange is not None and not self._is_connecting:  # a CONNECT to a proxy is not the request
            exchange.was_sent = True
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        self._reader = _DeadlineReader(sock)
        return http.client.HTTPResponse(_ReaderSocket(self._reader), *args, **options)  # type: ignore[arg-type]

    def getresponse(self, *args: Any, **options: Any) -> Any:
        response = super().getresponse(*args, **options)  # type: ignore[misc]
        if self._reader is not None:
            self._reader.restart()  # the body has its own deadline
            self._reader = None
        return response


class _ReaderSocket:
    """The part of a socket's interface that `http.client.HTTPResponse` uses."""

    def __init__(self, reader: "_DeadlineReader") -> None:
        self._reader = reader

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket up to a deadline, which is the socket's timeout at the time of construction."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._seconds = sock.gettimeout()
        # A file object keeps the socket open when the connection releases it before the body is read.
        self._raw: Any = sock.makefile("rb", buffering=0)
        self.restart()

    def restart(self) -> None:
        if self._seconds is None:
            self._deadline = None
        else:
            self._deadline = time.monotonic() + min(self._seconds, call_budget.seconds_left())

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
