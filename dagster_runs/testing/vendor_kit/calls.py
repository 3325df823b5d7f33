"""Learns from a first run which requests start a run and which poll it, so that faults can be aimed at them."""

import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Fault, RecordedRequest
from dagster_runs.testing.vendor_kit.results import ScenarioFailedError
from dagster_runs.testing.vendor_kit.subject import Subject, decoded, json_paths
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

UNKNOWN = "kit-unknown-state"
"""A status that no vendor has."""
_MAX_MINUTES = 300


@dataclass(frozen=True)
class Call:
    """A kind of request.

    Attributes:
        method: Its method.
        path: A regular expression of its path as sent, with any id in place of the run's.
        record: A request of this kind.
    """

    method: str
    path: str
    record: RecordedRequest

    @classmethod
    def of(cls, record: RecordedRequest, run_id: str | None = None) -> "Call":
        """Returns the kind of a request, which is about a run or about none."""
        parts = [re.escape(part) if run_id is None else _pattern(part, run_id) for part in record.path.split("/")]
        return cls(record.method, f"^{'/'.join(parts)}$", record)

    def matches(self, record: RecordedRequest) -> bool:
        """Whether a request is of this kind."""
        return record.method == self.method and re.search(self.path, record.path) is not None


def _pattern(part: str, run_id: str) -> str:
    if unquote(part) == run_id:
        return "[^/]+"
    name, colon, action = part.rpartition(":")
    # Some APIs append the name of an action to the id.
    return f"[^/]+{re.escape(colon + action)}" if colon and unquote(name) == run_id else re.escape(part)


@dataclass(frozen=True)
class Calls:
    """The kinds of requests of a run.

    Attributes:
        start: The request that starts a run.
        status: Those that poll an active run.
        last_status: Those that poll a run that has ended.
        result: Those that fetch progress and results.
        kind: The simulated vendor's name for the kind of run.
        id_field: The field of the response to the start with the id of the run; None if it is not in the JSON body.
        state_field: The field of a status response with the state; None if no response has one.
    """

    start: Call
    status: Sequence[Call]
    last_status: Sequence[Call]
    result: Sequence[Call]
    kind: str
    id_field: str | None
    state_field: str | None

    @property
    def poll(self) -> Call:
        """The request that polls an active run."""
        return self.status[0]


def new_attempt() -> StartAttempt:
    """Returns an attempt to start a run now."""
    return StartAttempt(uuid.uuid4().hex, current_clock().wall(), uuid.uuid4().hex)


def learn(subject: Subject) -> Calls:
    """Starts a run, waits until it has ended, and returns the kinds of requests.

    Raises:
        ScenarioFailedError: No run was started, or no request polled it.
    """
    client, run, resource = subject.client, subject.run, subject.resource
    subject.reset()
    problem: Exception | None = None
    try:
        run.send_start(resource, new_attempt())
    except VendorError as error:
        problem = error
    started = [record for record in subject.requests() if record.started_run is not None]
    if not started:
        raise ScenarioFailedError(
            f"start() started no run: {problem}"
            if problem
            else "no request started a run. Return `ApiResponse(..., started_run=run.id)` in the simulated vendor."
        )
    start, run_id = started[0], started[0].started_run or ""
    status = _requests_of(subject, run_id, lambda: run.get_status(resource, run_id))
    if not status:
        raise ScenarioFailedError(f"fetch_status() sent no request{f': {problem}' if problem else ''}")
    result = _requests_of(subject, run_id, lambda: run.get_progress(resource, run_id, run.get_status(resource, run_id)))
    state_field = _state_field(subject, status[0])
    for _ in range(_MAX_MINUTES):
        if client.runs(subject.vendor)[0].ended_at is not None:
            break
        current_clock().sleep(60.0)
    known: list[RunStatus] = []
    last_status = _requests_of(subject, run_id, lambda: known.append(run.get_status(resource, run_id)))
    if known:
        result += _requests_of(subject, run_id, lambda: run.get_result(resource, run_id, known[0], None))
    return Calls(
        start=Call.of(start, run_id),
        status=status,
        last_status=last_status,
        result=[call for call in result if call.path not in {one.path for one in status}],
        kind=client.runs(subject.vendor)[0].kind,
        id_field=_id_field(subject, start),
        state_field=state_field,
    )


def _requests_of(subject: Subject, run_id: str, function: Callable[[], object]) -> list[Call]:
    before = subject.last_request()
    with suppress(VendorError):
        function()
    return [Call.of(record, run_id) for record in subject.requests(before)]


def _state_field(subject: Subject, poll: Call) -> str | None:
    subject.client.add_fault(Fault("unknown_state", method=poll.method, path=poll.path, state=UNKNOWN, times=1))
    found = json_paths(decoded(subject.send_again(poll.record)), UNKNOWN)
    subject.client.clear_faults()
    return found[0] if found else None


def _id_field(subject: Subject, start: RecordedRequest) -> str | None:
    # A new key, because the same one would return the first run.
    key = {"idempotency-key": uuid.uuid4().hex} if "idempotency-key" in start.headers else {}
    body = decoded(subject.send_again(start, headers=key))
    newest = subject.client.runs(subject.vendor)[-1].id
    found = json_paths(body, newest)
    return found[0] if found else None
