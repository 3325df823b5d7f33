"""Steers a sandbox from anywhere, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from requests import Session

from dagster_runs.sandbox.behaviour import Behaviour
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.log import RecordedRequest
from dagster_runs.sandbox.runs import SandboxRun

_TIMEOUT = 30.0


class SandboxClient:
    """The sandbox's controls.

    `vendor` is `rudderstack`, `amperity`, `segmentflow`, `prophecy`, `testgen` or `testgen-old`; None means all.

    Args:
        url: Where the sandbox is, such as `http://127.0.0.1:8099`.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._kept = threading.local()

    @property
    def url(self) -> str:
        """Where the sandbox is."""
        return self._url

    def health(self) -> dict[str, Any]:
        """That it runs, its simulated time (`now`) and speed, and its vendors."""
        health: dict[str, Any] = self._call("GET", "health")
        return health

    def now(self) -> float:
        """The simulated time in epoch seconds."""
        return float(self.health()["now"])

    def requests(self, vendor: str | None = None, *, after: int = 0) -> list[RecordedRequest]:
        """Every request to a vendor, oldest first; only those after the one with the `seq` that is given."""
        listed = self._call("GET", "requests", vendor=vendor, after=str(after))
        return [RecordedRequest(**record) for record in listed]

    def runs(self, vendor: str | None = None) -> list[SandboxRun]:
        """Every run, oldest first."""
        return [SandboxRun(**run) for run in self._call("GET", "runs", vendor=vendor)]

    def starts(self, vendor: str | None = None) -> int:
        """How many runs were really started by requests."""
        return int(self._call("GET", "starts", vendor=vendor))

    def busiest_second(self, vendor: str | None = None) -> int:
        """The most requests of one account that came within any one second of real time.

        All count, also those that were refused or met a fault; Amperity's token endpoint alone does not.
        """
        return int(self._call("GET", "busiest_second", vendor=vendor))

    def begin_run(
        self, target_id: str, *, vendor: str | None = None, kind: str | None = None, source: str = "scheduler"
    ) -> SandboxRun:
        """Start a run that is not ours: a colleague's, or the vendor's own schedule's. `starts` does not count it."""
        given = {"target_id": target_id, "vendor": vendor, "kind": kind, "source": source}
        return SandboxRun(**self._call("POST", "runs", given))

    def restore_run(self, run: SandboxRun, behaviour: Behaviour | None = None) -> SandboxRun:
        """Make a run that another sandbox had, under the same id, as `runs` lists it.

        Its target must be there. How far it is follows from when it was created and from how it goes, not from the
        state that it had.

        Args:
            run: The run.
            behaviour: How it goes; by default as its target has it.
        """
        given = {"run": run.as_dict(), "behaviour": behaviour.as_dict() if behaviour is not None else {}}
        return SandboxRun(**self._call("POST", "runs/restore", given))

    def add_fault(self, fault: Fault) -> None:
        """Switch a fault on."""
        self._call("POST", "faults", fault.as_dict())

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._call("DELETE", "faults")

    def set_behaviour(
        self, target_id: str, behaviour: Behaviour | Sequence[Behaviour], *, vendor: str | None = None
    ) -> None:
        """Say how the next runs of a target go: one behaviour for all, or a list, the last of which stays."""
        given = {"target_id": target_id, "vendor": vendor, "behaviours": _listed(behaviour)}
        self._call("POST", "behaviour", given)

    def configure(self, vendor: str, **settings: Any) -> None:
        """Change how a vendor as a whole behaves, until `reset`.

        Args:
            vendor: Whose behaviour.
            **settings: `requests_per_second`, for every vendor: the limit above which it answers 429, or None. The
                vendor's module documents its own, such as `last_token` for Amperity.
        """
        self._call("POST", "settings", {"vendor": vendor, "settings": settings})

    def add_target(
        self, vendor: str, kind: str, id: str, behaviour: Behaviour | Sequence[Behaviour] = (), **fields: Any
    ) -> None:
        """Make something new that can be run.

        Args:
            vendor: Whose.
            kind: `profiles` for RudderStack; `courier_group`, `orchestration_group` or `campaign` for Amperity;
                `journey` for Segmentflow; `pipeline` for Prophecy; `test_suite` or `table_group` for TestGen.
            id: Its id.
            behaviour: How its runs go.
            **fields: What the vendor's listings say of it, such as `name` and `table_group_id`.
        """
        given = {"vendor": vendor, "kind": kind, "id": id, "behaviours": _listed(behaviour), "fields": fields}
        self._call("POST", "targets", given)

    def advance(self, seconds: float) -> None:
        """Move the simulated time forward at once."""
        self._call("POST", "advance", {"seconds": seconds})

    def set_speed(self, speed: float) -> None:
        """Simulated seconds in a real second, from now on."""
        self._call("POST", "speed", {"speed": speed})

    def reset(self) -> None:
        """Forget runs, faults, requests, behaviours, settings and added targets. Time and speed stay."""
        self._call("POST", "reset")

    @property
    def _session(self) -> Session:
        """One for each thread: a connection for each call would take most of a test's time."""
        session: Session | None = getattr(self._kept, "session", None)
        if session is None:
            session = self._kept.session = Session()
            # A proxy from the environment has no business between a test and its own machine.
            session.trust_env = False
        return session

    def _call(self, method: str, path: str, given: Any = None, **query: str | None) -> Any:
        # The standard library's encoder lets infinite seconds through.
        body = b"" if given is None else json.dumps(given).encode()
        asked = {name: text for name, text in query.items() if text is not None}
        status, said = self._exchange(method, path, asked, body)
        if status != 200:
            raise ValueError(said["error"])
        return said

    def _exchange(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Send a control request; the status and the JSON of the answer."""
        url = f"{self.url}/_sandbox/{path}"
        answer = self._session.request(method, url, params=query, data=body, timeout=_TIMEOUT)
        return answer.status_code, answer.json()


def _listed(behaviour: Behaviour | Sequence[Behaviour]) -> list[dict[str, Any]]:
    behaviours = [behaviour] if isinstance(behaviour, Behaviour) else behaviour
    return [one.as_dict() for one in behaviours]
