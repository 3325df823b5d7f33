"""Queues a request, instead of starting a run, while it is not its turn.

A request of a deferred asset has to wait while a run of the same asset and partition is in flight, and for the
completion sensor's admission if the number of runs in flight is limited. A deferred step then ends. The step of a
backfill waits, because a backfill counts only what its own runs materialize.

No lock is needed: a step records its start, and then reads the log. If two steps start at the same time, at least one
of them sees the other's entry, and queues its request. If both do, the completion sensor admits one of them.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import dagster as dg

from dagster_runs.remote_run.errors import RunCanceled
from dagster_runs.remote_run.execution.conflict import NotItsTurn
from dagster_runs.remote_run.execution.dagster_step import OwnRunState
from dagster_runs.remote_run.execution.event_log import events, reports_of_run
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.reexecution import is_active
from dagster_runs.remote_run.execution.request_queue import (
    SEVERAL_PARTITIONS,
    Admission,
    RequestQueue,
    equality_key,
    overlap,
    partitions_of,
    queue_field,
)
from dagster_runs.remote_run.execution.start import start
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, StartAttempt
from dagster_runs.transport.clock import current_clock, machine_time

_PAGE = 500
_REREAD_SECONDS = 600.0
"""How far back the log is read again. An entry with a smaller id may become visible after one with a larger id."""
_LOOKBACK_MARGIN = 3600.0
_TURN_PAUSE = 5.0
"""Seconds between two checks whether a step's turn has come."""


def start_in_turn(execution: RemoteRunExecution, own_run_state: OwnRunState | None) -> RunHandle | None:
    """Starts a run if it is this request's turn. Otherwise queues the request.

    Args:
        execution: The execution of the run.
        own_run_state: How the Dagster run has ended; ``None`` while it is active.

    Returns:
        ``None`` if nothing was started: the completion sensor will start the request, or another Dagster run already
        has.

    Raises:
        RunCanceled: Only for a step that waits for its turn. Nothing was started.
        VendorError, RunConflict, StartOutcomeUnknown: See `start`.
    """
    if not execution.options.is_deferred:
        return start(execution, own_run_state)
    in_flight = InFlight(execution)
    queued = _queued_by_this_step(execution)
    if queued is not None and not execution.options.waits_in_backfill:
        in_flight.refresh()
        is_pending = queued.correlation_id in in_flight.queue.pending
        outcome = "the completion sensor starts it when its turn comes" if is_pending else "it is handled already"
        execution.step.log.info("This step has already queued its request; %s", outcome)
        return None
    if queued is not None:
        execution = _wait_for_turn(execution, queued.correlation_id)
    elif execution.step.request_id is not None:
        reason = _reason_to_start_nothing(execution, in_flight)
        if reason is not None:
            execution.step.log.warning("%s; nothing was started", reason)
            return None
        execution = replace(execution, request_id=execution.step.request_id)
    while True:
        try:
            # Usually, nothing is in flight, and it is enough to read the log once, after the start is recorded.
            reason = in_flight.reason_to_wait(execution) if _may_have_to_wait(execution) else None
            if reason is not None:
                raise NotItsTurn(execution.new_attempt(), reason)
            return start(execution, own_run_state, reason_to_wait=partial(in_flight.reason_to_wait, execution))
        except NotItsTurn as waiting:
            request_id = _enqueue(execution, waiting)
        if not execution.options.waits_in_backfill:
            return None
        execution = _wait_for_turn(execution, request_id)
        own_run_state = execution.wait_for_own_run_state()


def _may_have_to_wait(execution: RemoteRunExecution) -> bool:
    """Whether the part of the ledger that is known already suggests that it is not this request's turn."""
    kinds = (EntryKind.STARTING, EntryKind.STARTED, EntryKind.QUEUED)
    return execution.is_limited or any(entry.kind in kinds for entry in execution.ledger.state.entries)


def _queued_by_this_step(execution: RemoteRunExecution) -> LedgerEntry | None:
    """Returns the entry with which an earlier attempt in this Dagster run queued the request; ``None`` without one.

    The request of an earlier Dagster run does not count: a user who executes it again makes a new request.
    """
    newest = execution.ledger.state.newest_start
    is_queued = newest is not None and newest.kind is EntryKind.QUEUED
    is_own = newest is not None and newest.dagster_run_id == execution.step.dagster_run_id
    return newest if is_queued and is_own and execution.step.request_id is None else None


def _reason_to_start_nothing(execution: RemoteRunExecution, in_flight: "InFlight") -> str | None:
    """Returns why the Dagster run that starts a queued request must not start it anymore; ``None`` if it must."""
    request_id, admission = execution.step.request_id or "", execution.step.admission
    mine = execution.step.dagster_run_id
    for entry in execution.ledger.state.entries:
        if entry.dagster_run_id == mine and queue_field(entry, "request") == request_id:
            return None  # an earlier attempt in this Dagster run has begun to start it
    in_flight.refresh()
    if in_flight.was_queued(request_id) and request_id not in in_flight.queue.pending:
        return "The queued request was canceled, or another Dagster run has started it"
    if execution.is_limited and admission is not None and not admission.counts(execution.step.instance):
        return "Another tick of the completion sensor admitted requests at the same time, so this one remains queued"
    return None


def _enqueue(execution: RemoteRunExecution, waiting: NotItsTurn) -> str:
    """Queues the request. Returns its id."""
    request_id = execution.request_id or waiting.attempt.correlation_id
    attempt = replace(waiting.attempt, correlation_id=request_id)
    message = f"Queued {execution.with_article}: {waiting.reason}"
    entry = execution.new_entry(EntryKind.QUEUED, message, attempt)
    about = {**(entry.queue or {}), "attempt": waiting.attempt.correlation_id, "conflict": waiting.conflicts}
    entry = replace(entry, queue={name: value for name, value in about.items() if value})
    execution.check_fits(entry)
    execution.storage.wait_for(lambda: execution.ledger.record(entry))
    ends = (
        "The step waits for its turn" if execution.options.waits_in_backfill else "This step ends; nothing was started"
    )
    execution.step.log.info(
        "%s. %s; the completion sensor starts the request when its turn comes (request %s)", message, ends, request_id
    )
    problem = execution.completion_sensor().problem if execution.completion_sensor is not None else None
    if problem is not None:
        execution.step.log.warning("The request will not start: %s", problem)
    return request_id


def _wait_for_turn(execution: RemoteRunExecution, request_id: str) -> RemoteRunExecution:
    """Waits until the completion sensor admits the request. Returns the execution that starts it."""
    while True:
        entries = execution.storage.wait_for(lambda: execution.ledger.read().about_request(request_id))
        newest = next((one for one in entries if one.kind is not EntryKind.STARTING), None)
        if newest is not None and newest.kind is EntryKind.ADMITTED:
            admission = Admission.from_text(str(queue_field(newest, "admission")))
            if admission is None or admission.counts(execution.step.instance):
                return replace(execution, request_id=request_id)
        if newest is not None and newest.kind is EntryKind.CANCEL_REQUESTED:
            raise RunCanceled(
                f"The queued request {request_id} was canceled; nothing was started",
                vendor=execution.run.vendor,
                is_retryable=False,
            )
        execution.sleep(_TURN_PAUSE)


class InFlight:
    """What is in flight for the assets and partitions of one step, according to the ledger of any Dagster run.

    Args:
        execution: The execution of the run.
    """

    def __init__(self, execution: RemoteRunExecution) -> None:
        self.queue = RequestQueue()
        self._step = execution.step
        self._keys = execution.step.definition_keys  # not only those that this step selects
        self._partitions_def = execution.step.definition.partitions_def
        self._active: dict[str, LedgerEntry] = {}
        self._queued: set[str] = set()
        self._seen: set[int] = set()
        longest = execution.options.timeout or execution.run.default_timeout
        self._since = machine_time(current_clock().wall() - longest) - _LOOKBACK_MARGIN

    def was_queued(self, request_id: str) -> bool:
        """Whether the log has the entry of a queued request."""
        return request_id in self._queued

    def reason_to_wait(self, execution: RemoteRunExecution, own_start: StartAttempt | None = None) -> str | None:
        """Returns why a request has to be queued; ``None`` if its run may start now.

        Args:
            execution: The execution of the run.
            own_start: This step's own start, if it is recorded already.
        """
        own_id = own_start.correlation_id if own_start is not None else None
        if execution.is_limited and execution.request_id is None:
            return "the number of runs in flight is limited"
        if not execution.options.queues:
            return None
        self.refresh()
        mine: list[str | None] = [*self._step.partitions] or [None]
        for run_id, entry in list(self._active.items()):
            if self._overlaps(entry, mine) and self._is_in_flight(entry):
                by = f"started by Dagster run {entry.dagster_run_id}"
                return f"{execution.run.label} {run_id} of the same asset is in flight, {by}"
        for correlation_id, start_of in self.queue.starting.items():
            entry = start_of.entry
            is_other = correlation_id != own_id and self._overlaps(entry, mine)
            if is_other and self._is_running(entry.dagster_run_id):
                return f"Dagster run {entry.dagster_run_id} is starting a run of the same asset"
        if execution.request_id is None:
            for request in self.queue.pending.values():
                is_equal = equality_key(request.entry) == execution.equality_key
                if not is_equal and self._overlaps(request.entry, mine):
                    return f"another request of the same asset is queued ({request.request_id})"
        return None

    def refresh(self) -> None:
        """Reads what was written since the last call."""
        found: dict[int, LedgerEntry] = {}
        step, now = self._step, current_clock().wall()
        partitions = [step.single_partition, SEVERAL_PARTITIONS] if step.single_partition is not None else None
        for key in self._keys:
            wanted = dg.AssetRecordsFilter(key, partitions, after_timestamp=self._since)
            for event in events(step.instance.fetch_observations, wanted, ascending=True, page_size=_PAGE):
                entry = LedgerEntry.from_event(event) if event.storage_id not in self._seen else None
                if entry is not None:
                    found[event.storage_id] = entry
        for storage_id in sorted(found):
            self._apply(found[storage_id], storage_id)
        self._seen |= found.keys()
        self._since = max(self._since, machine_time(now) - _REREAD_SECONDS)

    def _apply(self, entry: LedgerEntry, storage_id: int) -> None:
        self.queue.apply(entry, storage_id)
        if entry.kind is EntryKind.QUEUED:
            self._queued.add(entry.correlation_id)
        if entry.run_id is None:
            return
        if entry.kind is EntryKind.STARTED:
            self._active[entry.run_id] = entry
        elif entry.kind in (EntryKind.ENDED, EntryKind.GONE):
            self._active.pop(entry.run_id, None)

    def _overlaps(self, entry: LedgerEntry, mine: Iterable[str | None]) -> bool:
        return overlap(partitions_of(entry, self._partitions_def, self._step.instance), mine)

    def _is_in_flight(self, entry: LedgerEntry) -> bool:
        if entry.deadline is not None and current_clock().wall() >= entry.deadline:
            return False
        if entry.deferred_payload is None and not self._is_running(entry.dagster_run_id):
            return False  # no step waits for it anymore
        if self._is_materialized(entry):
            self._active.pop(entry.run_id or "")
            return False
        return True

    def _is_materialized(self, entry: LedgerEntry) -> bool:
        partitions = partitions_of(entry, self._partitions_def, self._step.instance)
        last = partitions[-1] if partitions else None
        stored = (entry.deferred_payload or {}).get("assets") or [self._step.asset_keys[0].path]
        wanted = dg.AssetRecordsFilter(
            dg.AssetKey(stored[0]),
            [last] if last is not None else None,
            after_timestamp=machine_time(entry.at - MAX_HOST_CLOCK_SKEW),
        )
        return any(reports_of_run(self._step.instance, wanted, entry.run_id or ""))

    def _is_running(self, dagster_run_id: str) -> bool:
        run = self._step.instance.get_run_by_id(dagster_run_id)
        return run is not None and is_active(run)
