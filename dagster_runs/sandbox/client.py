"""Controls a sandbox over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from requests import Session

from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.earlier_names import EarlierClientNames
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.log import RecordedRequest
from dagster_runs.sandbox.runs import SandboxRun

_TIMEOUT = 30.0


class SandboxClient(EarlierClientNames):
    """The controls of a sandbox.

    `vendor` is `rudderstack`, `amperity`, `segmentflow`, `prophecy`, `testgen` or `testgen-old`; None means all.

    Args:
        url: The URL of the sandbox, such as `http://127.0.0.1:8099`.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._thread_local = threading.local()

    @property
    def url(self) -> str:
        """The URL of the sandbox."""
        return self._url

    def health(self) -> dict[str, Any]:
        """Returns the sandbox's status, its simulated time (`now`), its speed, and its vendors."""
        health: dict[str, Any] = self._request("GET", "health")
        return health

    def now(self) -> float:
        """Returns the simulated time in epoch seconds."""
        return float(self.health()["now"])

    def requests(self, vendor: str | None = None, *, after: int = 0) -> list[RecordedRequest]:
        """Returns the requests to a vendor with a `seq` greater than `after`, oldest first."""
        records = self._request("GET", "requests", vendor=vendor, after=str(after))
        return [RecordedRequest(**record) for record in records]

    def runs(self, vendor: str | None = None) -> list[SandboxRun]:
        """Returns all runs, oldest first."""
        return [SandboxRun(**run) for run in self._request("GET", "runs", vendor=vendor)]

    def starts(self, vendor: str | None = None) -> int:
        """Returns the number of runs that were actually started by requests."""
        return int(self._request("GET", "starts", vendor=vendor))

    def peak_requests_per_second(self, vendor: str | None = None) -> int:
        """Returns the maximum number of requests of one account within any second of real time.

        All requests count, including those that were refused or hit by a fault, except for those to Amperity's token
        endpoint.
        """
        return int(self._request("GET", "peak_requests_per_second", vendor=vendor))

    def start_run(
        self, target_id: str, *, vendor: str | None = None, kind: str | None = None, source: str = "scheduler"
    ) -> SandboxRun:
        """Starts a run as if by another user or by the vendor's own schedule. `starts` does not count it."""
        payload = {"target_id": target_id, "vendor": vendor, "kind": kind, "source": source}
        return SandboxRun(**self._request("POST", "runs", payload))

    def restore_run(self, run: SandboxRun, behavior: Behavior | None = None) -> SandboxRun:
        """Recreates a run of another sandbox with the same id, from an entry of `runs`.

        The target must exist. The state of the run follows from its creation time and its behavior, not from the state
        in the entry.

        Args:
            run: The run.
            behavior: The behavior of the run. Defaults to the target's default.
        """
        payload = {"run": run.as_dict(), "behavior": behavior.as_dict() if behavior is not None else {}}
        return SandboxRun(**self._request("POST", "runs/restore", payload))

    def add_fault(self, fault: Fault) -> None:
        """Activates a fault."""
        self._request("POST", "faults", fault.as_dict())

    def clear_faults(self) -> None:
        """Deactivates all faults."""
        self._request("DELETE", "faults")

    def set_behavior(
        self, target_id: str, behavior: Behavior | Sequence[Behavior], *, vendor: str | None = None
    ) -> None:
        """Sets the behavior of the next runs of a target.

        Args:
            target_id: The id of the target.
            behavior: One behavior for all runs, or a list with one for each run. The last one applies to all further
                runs.
            vendor: The vendor; None for every vendor that has the target.
        """
        payload = {"target_id": target_id, "vendor": vendor, "behaviors": _to_dicts(behavior)}
        self._request("POST", "behavior", payload)

    def configure(self, vendor: str, **settings: Any) -> None:
        """Changes the settings of a vendor, until `reset`.

        Args:
            vendor: The vendor.
            **settings: `requests_per_second`, for every vendor: the rate limit above which it returns 429, or None. The
                module of a vendor documents further settings, such as `last_token` for Amperity.
        """
        self._request("POST", "settings", {"vendor": vendor, "settings": settings})

    def add_target(
        self, vendor: str, kind: str, id: str, behavior: Behavior | Sequence[Behavior] = (), **fields: Any
    ) -> None:
        """Adds a target.

        Args:
            vendor: The vendor.
            kind: `profiles` for RudderStack; `courier_group`, `orchestration_group` or `campaign` for Amperity;
                `journey` for Segmentflow; `pipeline` for Prophecy; `test_suite` or `table_group` for TestGen.
            id: The id of the target.
            behavior: The behavior of its runs.
            **fields: The fields that the vendor's lists show, such as `name` and `table_group_id`.
        """
        behavior = fields.pop("behaviour", behavior)  # the earlier spelling
        payload = {"vendor": vendor, "kind": kind, "id": id, "behaviors": _to_dicts(behavior), "fields": fields}
        self._request("POST", "targets", payload)

    def advance(self, seconds: float) -> None:
        """Moves the simulated time forward immediately."""
        self._request("POST", "advance", {"seconds": seconds})

    def set_speed(self, speed: float) -> None:
        """Sets the number of simulated seconds per real second."""
        self._request("POST", "speed", {"speed": speed})

    def reset(self) -> None:
        """Deletes runs, faults, requests, behaviors, settings and added targets. Time and speed are kept."""
        self._request("POST", "reset")

    @property
    def _session(self) -> Session:
        """One session per thread, because a new connection per call would take most of a test's time."""
        session: Session | None = getattr(self._thread_local, "session", None)
        if session is None:
            session = self._thread_local.session = Session()
            # Ignores a proxy from the environment, because the sandbox is on this machine.
            session.trust_env = False
        return session

    def _request(self, method: str, path: str, payload: Any = None, **query: str | None) -> Any:
        # The standard library's encoder supports infinite seconds.
        body = b"" if payload is None else json.dumps(payload).encode()
        params = {name: value for name, value in query.items() if value is not None}
        status, result = self._send(method, path, params, body)
        if status != 200:
            raise ValueError(result["error"])
        return result

    def _send(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Sends a control request, and returns the status and the JSON of the response."""
        url = f"{self.url}/_sandbox/{path}"
        response = self._session.request(method, url, params=query, data=body, timeout=_TIMEOUT)
        return response.status_code, response.json()


def _to_dicts(behavior: Behavior | Sequence[Behavior]) -> list[dict[str, Any]]:
    behaviors = [behavior] if isinstance(behavior, Behavior) else behavior
    return [item.as_dict() for item in behaviors]
