"""Reads the sandbox's log while it grows, and tells who waits for it that a start has arrived."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from dagster_runs.sandbox import Fault, RecordedRequest, SandboxClient

_PAUSE = 0.2


class Watch:
    """What the sandbox was asked so far.

    Attributes:
        requests: All of them, oldest first.
        forgotten: The runs that the vendor was told to forget.
    """

    def __init__(self, sandbox: SandboxClient) -> None:
        self.requests: list[RecordedRequest] = []
        self.forgotten: set[str] = set()
        self._sandbox = sandbox
        self._arrived: set[str] = set()
        self._to_forget: dict[str, int] = {}
        self._stop = threading.Event()

    def has_arrived(self, target: str) -> bool:
        """Whether a start of the target's run has arrived."""
        return target in self._arrived

    def forget_first_run(self, target: str, after: int) -> None:
        """Let the vendor forget the target's next run for good, after so many looks at it."""
        self._to_forget[target] = after

    @contextmanager
    def going(self) -> Iterator[Watch]:
        """Inside the block the log is read."""
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
        """Read what is new."""
        after = self.requests[-1].seq if self.requests else 0
        for request in self._sandbox.requests(after=after):
            self.requests.append(request)
            if request.method == "POST":
                self._notice(request)

    def _notice(self, request: RecordedRequest) -> None:
        named = {*request.path.split("/"), *(_texts(request.body))}
        self._arrived |= named
        if request.started_run is None:
            return
        for target in named & self._to_forget.keys():
            looks = self._to_forget.pop(target)
            self.forgotten.add(request.started_run)
            path = re.escape(quote(request.started_run, safe=""))
            self._sandbox.add_fault(Fault("not_found", method="GET", path=path, skip=looks))


def _texts(body: object) -> Iterator[str]:
    if isinstance(body, dict):
        yield from (value for value in body.values() if isinstance(value, str))
