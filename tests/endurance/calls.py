"""Counts requests to the vendors while the sandbox's log grows, because it keeps only the newest ones."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from dagster_runs.sandbox import SandboxClient
from tests.endurance.repeating import repeated


class Calls:
    """Request counts by vendor.

    Attributes:
        status_calls: All read-only requests.
        max_status_calls: The maximum of them within one second of real time.
        busiest: The maximum of requests of any kind within one second, as counted by the sandbox.
        starts: Requests that started a run.
    """

    def __init__(self, sandbox: SandboxClient) -> None:
        self.status_calls: Counter[str] = Counter()
        self.max_status_calls: Counter[str] = Counter()
        self.busiest: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self._sandbox = sandbox
        self._read = 0
        self._last_second: defaultdict[str, deque[float]] = defaultdict(deque)

    def read(self) -> None:
        """Reads new requests."""
        for request in self._sandbox.requests(after=self._read):
            if request.seq != self._read + 1:
                raise RuntimeError("the sandbox's log was read too seldom: some of it is lost")
            self._read = request.seq
            vendor = request.vendor or ""
            if request.method == "GET":
                self.status_calls[vendor] += 1
                last_second = self._last_second[vendor]
                last_second.append(request.wall_received_at)
                while last_second[0] <= request.wall_received_at - 1:
                    last_second.popleft()
                self.max_status_calls[vendor] = max(self.max_status_calls[vendor], len(last_second))
            elif request.started_run is not None:
                self.starts[vendor] += 1

    @contextmanager
    def counted(self) -> Iterator[Calls]:
        """Reads the log during the block."""
        try:
            with repeated(self.read, every=1, name="calls"):
                yield self
        finally:
            self.read()
            for vendor in self.status_calls:
                self.busiest[vendor] = self._sandbox.peak_requests_per_second(vendor)
