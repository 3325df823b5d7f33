"""What the vendors were asked, counted while the sandbox's log grows: it keeps only the newest requests."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from dagster_runs.sandbox import SandboxClient

_WINDOW = 1.0


class Calls:
    """Counts of requests, by vendor.

    Attributes:
        looks: Status calls: all that only reads.
        busiest: The most status calls within one second of real time.
        refused: Status calls that were answered 429.
        starts: Requests that started a run.
    """

    def __init__(self, sandbox: SandboxClient) -> None:
        self.looks: Counter[str] = Counter()
        self.busiest: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self._sandbox = sandbox
        self._read = 0
        self._recent: dict[str, deque[float]] = {}

    def read(self) -> None:
        """Read what is new."""
        for request in self._sandbox.requests(after=self._read):
            if request.seq != self._read + 1:
                raise RuntimeError("the sandbox's log was read too seldom: some of it is lost")
            self._read = request.seq
            vendor = request.vendor or ""
            if request.method == "GET":
                self.looks[vendor] += 1
                self.refused[vendor] += request.status == 429
                self._note(vendor, request.wall_at)
            elif request.started_run is not None:
                self.starts[vendor] += 1

    def _note(self, vendor: str, at: float) -> None:
        recent = self._recent.setdefault(vendor, deque())
        while recent and at - recent[0] >= _WINDOW:
            recent.popleft()
        recent.append(at)
        self.busiest[vendor] = max(self.busiest[vendor], len(recent))

    @contextmanager
    def counted(self) -> Iterator[Calls]:
        """Inside the block the log is read."""
        over = threading.Event()

        def count() -> None:
            while not over.wait(1):
                self.read()

        thread = threading.Thread(target=count, name="calls", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()
            self.read()
