"""Reads the sandbox's log while it grows, and detects that a start has arrived."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from dagster_runs.sandbox import Fault, RecordedRequest, SandboxClient

_PAUSE = 0.2


class Watch:
    """The requests to the sandbox so far.

    Attributes:
        requests: All requests, oldest first.
        forgotten: The runs that the vendor was configured to lose.
    """

    def __init__(self, sandbox: SandboxClient) -> None:
        self.requests: list[RecordedRequest] = []
        self.forgotten: set[str] = set()
        self._sandbox = sandbox
        self._arrived: Counter[str] = Counter()
        self._to_forget: dict[str, int] = {}
        self._stop = threading.Event()

    def has_arrived(self, target: str) -> bool:
        """Whether a start of the target's run has arrived."""
        return self.arrivals(target) > 0

    def arrivals(self, target: str) -> int:
        """Returns how many starts of the target's run have arrived."""
        return self._arrived[target]

    def forget_first_run(self, target: str, after: int) -> None:
        """Makes the vendor lose the target's next run permanently, after this many status calls."""
        self._to_forget[target] = after

    @contextmanager
    def going(self) -> Iterator[Watch]:
        """Reads the log during the block."""
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            self.read()

    def read(self) -> None:
        """Reads new requests."""
        after = self.requests[-1].seq if self.requests else 0
        for request in self._sandbox.requests(after=after):
            self.requests.append(request)
            if request.method == "POST":
                self._notice(request)

    def _notice(self, request: RecordedRequest) -> None:
        named = {*request.path.split("/"), *(_texts(request.body))}
        self._arrived.update(named)
        if request.started_run is None:
            return
        for target in named & self._to_forget.keys():
            status_calls = self._to_forget.pop(target)
            self.forgotten.add(request.started_run)
            path = re.escape(quote(request.started_run, safe=""))
            self._sandbox.add_fault(Fault("not_found", method="GET", path=path, skip=status_calls))


def _texts(body: object) -> Iterator[str]:
    if isinstance(body, dict):
        yield from (value for value in body.values() if isinstance(value, str))
