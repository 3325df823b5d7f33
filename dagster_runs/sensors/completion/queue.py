"""Starts queued requests when their turn comes. Only the tick's thread of one process at a time does so.

A tick admits requests by requesting a Dagster run for each, whose step starts the remote run; or, if the step of a
backfill waits for its turn, by an entry in that step's ledger. Before these take effect, Dagster stores an observation
that records the admission. A tick that has missed an earlier admission is recognized by it (see `Admission`).

Which requests were admitted is never stored by the sensor: it follows from the ledger and from Dagster's runs. So a
killed process or a lost tick loses nothing, and starts nothing twice.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.reexecution import will_be_retried
from dagster_runs.remote_run.execution.request_queue import (
    ADMISSION_TAG,
    ADMISSIONS,
    REQUEST_TAG,
    SEVERAL_PARTITIONS,
    Admission,
    entry_about,
    newest_admission,
    partitions_of,
)
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion import asset_requests
from dagster_runs.sensors.completion.admission import InFlight, Limited, admit
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import QueuedRun
from dagster_runs.sensors.completion.requested_runs import has_begun, is_over
from dagster_runs.sensors.completion.step_runs import StepRuns, running
from dagster_runs.sensors.launch_validation import RequestPreparationError
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock, machine_time

_ENDED_PHASES = (Phase.SUCCEEDED, Phase.MATERIALIZED, Phase.DONE)


class Queue:
    """The queue of one completion sensor, from tick to tick.

    Args:
        assets: The assets of the sensor.
        jobs: The jobs that the sensor may request, by name.
        default_jobs: For each asset, the job that starts requests of other jobs.
    """

    def __init__(
        self, assets: Sequence[WatchedAsset], jobs: Mapping[str, Any], default_jobs: Mapping[WatchedAsset, str]
    ) -> None:
        self._jobs = jobs
        self._default_jobs = default_jobs
        self._key = min((key for asset in assets for key in asset.keys), key=lambda key: list(key.path))
        self._known_admission = 0
        self._unrequested: set[str] = set()
        self._ended: set[str] = set()
        self._logged: set[str] = set()
        self._steps = StepRuns()
        self._was_late = False
        self.summary = ""
        self.waiting: Sequence[QueuedRun] = ()

    def begin_tick(self, instance: dg.DagsterInstance, *, is_new_index: bool) -> None:
        """Reads which admissions this tick knows about. Must be called before the event log is read.

        Args:
            instance: The Dagster instance.
            is_new_index: Whether the index was rebuilt, so that the requests of the last tick may have been lost.
        """
        self._known_admission = newest_admission(instance, self._key)
        if is_new_index:
            self._unrequested.clear()

    def admit(self, tick: TickContext, tick_id: str) -> None:
        """Admits the requests whose turn it is.

        Args:
            tick: The tick.
            tick_id: The id that the tick's cursor will have.
        """
        index, output = tick.deferred_runs, tick.output
        active = self._steps.forget_ended(tick)
        queued = index.queued
        self.summary = f"{len(queued)} queued" if queued else ""
        self.waiting = queued
        if not queued or (output.is_late and not self._was_late):
            self._was_late = bool(queued)  # the next tick admits requests no matter how late it is
            return
        self._was_late = False
        waiting, attempts, in_progress = self._sort(queued, tick)
        admission = Admission(tick_id, self._known_admission, self._key)
        in_flight = self._in_flight(tick, in_progress, active)
        room = limits.MAX_TICK_REQUESTS - len(output.requests)
        admitted = admit(
            waiting,
            in_flight,
            _limits_of(tick),
            has_to_wait=lambda one: self._has_to_wait(one, tick, attempts[one.request_id]),
            most=max(1, room),
        )
        started = [one for one in admitted if self._start(one, tick, admission, attempts[one.request_id])]
        if started:
            output.events.append(self._admission_event(admission, started))
        output.done += [f"{one.phrase} admitted" for one in started]
        self.waiting = [one for one in queued if one not in started]
        self.summary = f"{len(queued) - len(started)} queued, {len(started)} admitted"

    def _sort(
        self, queued: Sequence[QueuedRun], tick: TickContext
    ) -> tuple[list[QueuedRun], dict[str, int], list[QueuedRun]]:
        """Returns the requests that wait, the number of Dagster runs so far for each, and those being started."""
        index, log, instance = tick.deferred_runs, tick.context.log, tick.context.instance
        waiting: list[QueuedRun] = []
        in_progress: list[QueuedRun] = []
        runs = _runs_for([one.request_id for one in queued if one.request_id not in self._unrequested], instance)
        requesters = running({one.record.dagster_run_id for one in queued if one.request.waits}, instance)
        attempts = {one.request_id: len(runs.get(one.request_id, ())) for one in queued}
        for one in queued:
            records = runs.get(one.request_id, ())
            if one.request.waits and one.record.dagster_run_id not in requesters:
                log.info("The step that waited for the turn of %s has ended", one)
                self._drop(one, tick, "the step that waited for its turn has ended")
            elif one.request.waits:
                admission = index.queues[one.asset].admitted.get(one.request_id)
                is_admitted = admission is not None and admission.counts(instance)
                (in_progress if is_admitted else waiting).append(one)
            elif not records:
                self._unrequested.add(one.request_id)
                waiting.append(one)
            elif not all(self._has_ended(one, record, tick) for record in records):
                in_progress.append(one)
            else:
                self._handle_ended(one, records, waiting, tick)
        return waiting, attempts, in_progress

    def _has_ended(self, one: QueuedRun, record: dg.RunRecord, tick: TickContext) -> bool:
        """Whether a Dagster run that was to start a request has ended without starting it.

        A run that was first seen to have ended in this tick may have started the request after this tick read the event
        log. So it counts as ended from the next tick on.
        """
        run = record.dagster_run
        is_ended = (is_over(record) or _never_began(record)) and not will_be_retried(run)
        began_ago = machine_time(current_clock().wall()) - record.start_time if record.start_time is not None else 0.0
        if not is_ended and began_ago > limits.DIED_UNRECORDED_AFTER:
            self._warn_once(tick, run.run_id, f"Dagster run {run.run_id}, which was to start {one}, seems to have died")
            is_ended = True
        was_ended = run.run_id in self._ended
        if is_ended:
            self._ended.add(run.run_id)
        return was_ended and is_ended

    def _handle_ended(
        self, one: QueuedRun, records: Sequence[dg.RunRecord], waiting: list[QueuedRun], tick: TickContext
    ) -> None:
        """Decides what to do about a request whose Dagster runs have ended without starting it."""
        newest, log = records[0], tick.context.log
        run = newest.dagster_run
        if _never_began(newest) and len(records) >= limits.MAX_REPORT_ATTEMPTS:
            log.error("%s is not started: %d Dagster runs for it failed before they began", one, len(records))
            self._drop(one, tick, "its Dagster runs failed before they began")
        elif _never_began(newest) or run.is_success or not run.is_finished:
            waiting.append(one)  # its step found that it was not its turn, or its worker has died
        else:
            log.warning(
                "Dagster run %s was to start %s but ended with status %s, so the request is no longer queued",
                run.run_id,
                one,
                run.status.value,
            )
            # The Dagster run stood for all equal requests that were queued when it was requested.
            requesters = run.tags.get(asset_requests.REQUESTERS_TAG, "").split(",")
            for equal in tick.deferred_runs.equal_requests(one, requesters):
                self._drop(equal, tick, f"Dagster run {run.run_id} ended with status {run.status.value}")

    def _drop(self, one: QueuedRun, tick: TickContext, why: str) -> None:
        """Drops a request, and records it, so that steps know it too."""
        tick.deferred_runs.drop_request(one)
        tick.output.events.append(_event_about(one, EntryKind.CANCEL_REQUESTED, f"The request is not started: {why}"))

    def _warn_once(self, tick: TickContext, subject: str, message: str) -> None:
        if subject not in self._logged:
            self._logged.add(subject)
            tick.context.log.warning("%s", message)

    def _in_flight(self, tick: TickContext, in_progress: Iterable[QueuedRun], active: Container[str]) -> InFlight:
        """Returns what is in flight.

        Args:
            tick: The tick.
            in_progress: The requests that are being started.
            active: The Dagster runs whose steps wait for a run or are starting one.
        """
        index, found = tick.deferred_runs, InFlight()
        for one in index:
            if not one.last_status.state.is_final and one.phase not in _ENDED_PHASES:
                found.count(one.asset)
                found.targets.add(one.record.target)
            if one.phase is not Phase.DONE and not one.is_materialized:
                found.occupy(one.asset, one.partitions or [None])
        instance = tick.context.instance
        for asset, entry, _ in index.polled.values():
            self._add(found, asset, entry, instance, is_running=entry.dagster_run_id in active)
        for asset, queue in index.queues.items():
            for start in queue.starting.values():
                self._add(found, asset, start.entry, instance, is_running=start.entry.dagster_run_id in active)
        for request in in_progress:
            found.count(request.asset)
            found.targets.add(request.record.target)
            found.occupy(request.asset, request.partitions or [None])
        return found

    def _add(
        self,
        found: InFlight,
        asset: WatchedAsset,
        entry: LedgerEntry,
        instance: dg.DagsterInstance,
        *,
        is_running: bool,
    ) -> None:
        found.count(asset)
        found.targets.add(entry.target)
        if is_running:  # otherwise no step waits for it, and the user decides whether to start another one
            found.occupy(asset, partitions_of(entry, asset.definition.partitions_def, instance))

    def _has_to_wait(self, one: QueuedRun, tick: TickContext, attempts: int) -> bool:
        if not tick.has_resource(one):
            return True
        conflicts = one.request.conflicts
        repeated = max(attempts, conflicts)
        pause = min(limits.QUEUE_PAUSE * 2 ** min(repeated, 10), limits.MAX_QUEUE_PAUSE) if repeated else 0.0
        return current_clock().wall() < one.record.at + pause

    def _start(self, one: QueuedRun, tick: TickContext, admission: Admission, attempts: int) -> bool:
        """Admits a request. Returns whether it was admitted."""
        output, log = tick.output, tick.context.log
        if one.request.waits:
            message = "The queued request is admitted; its step starts the run"
            output.events.append(_event_about(one, EntryKind.ADMITTED, message, admission))
            return True
        if not one.keys:
            self._drop(one, tick, "its assets are no longer defined")
            return False
        try:
            asset_requests.check_partitions(one, tick.context.instance)
            request = asset_requests.start_request(
                one,
                tick.context,
                self._jobs,
                self._default_jobs[one.asset],
                attempt=attempts,
                tags={
                    REQUEST_TAG: one.request_id,
                    ADMISSION_TAG: admission.as_text(),
                    asset_requests.REQUESTERS_TAG: ",".join(tick.deferred_runs.requesters(one)),
                },
            )
        except RequestPreparationError as error:
            message = f"{one} is not started yet: its Dagster run cannot be prepared: {error}"
            self._warn_once(tick, one.request_id, message)
            return False
        except asset_requests.CannotRequestRun as why:
            log.error("%s is not started: %s", one, why)  # noqa: TRY400 - the message says everything
            self._drop(one, tick, str(why))
            return False
        self._unrequested.discard(one.request_id)
        output.requests.append(request)
        return True

    def _admission_event(self, admission: Admission, started: Sequence[QueuedRun]) -> dg.AssetObservation:
        names = ", ".join(one.request_id for one in started)
        entry = LedgerEntry(
            EntryKind.ADMITTED,
            at=current_clock().wall(),
            correlation_id=admission.tick_id,
            dagster_run_id="",
            target="",
            name="",
        )
        return dg.AssetObservation(
            self._key,
            description=f"The completion sensor admits queued requests: {len(started)}",
            metadata={"dagster_runs/requests": dg.MetadataValue.text(names)},
            partition=ADMISSIONS,
            tags=entry.to_tags(),
        )


def _event_about(
    one: QueuedRun, kind: EntryKind, description: str, admission: Admission | None = None
) -> dg.AssetObservation:
    """Returns the ledger entry of a queued request, as an event for the tick to report."""
    queue = {"admission": admission.as_text()} if admission is not None else None
    entry = entry_about(one.record, kind, dagster_run_id=one.record.dagster_run_id, queue=queue)
    return dg.AssetObservation(
        (one.keys or one.asset.keys)[0],
        description=description,
        partition=SEVERAL_PARTITIONS if len(one.partitions) > 1 else one.partition,
        tags=entry.to_tags(),
    )


def _limits_of(tick: TickContext) -> dict[Limited, int]:
    found: dict[Limited, int] = {}
    for asset in tick.deferred_runs.queues:
        if asset.remote.options.max_in_flight is not None:
            found[asset] = asset.remote.options.max_in_flight
    for key, resource in tick.resources.items():
        if resource.max_in_flight is not None:
            found[key] = resource.max_in_flight
    return found


def _runs_for(request_ids: Sequence[str], instance: dg.DagsterInstance) -> dict[str, list[dg.RunRecord]]:
    """Returns the Dagster runs that were requested to start each request, newest first."""
    found: dict[str, list[dg.RunRecord]] = {}
    for first in range(0, len(request_ids), limits.RUNS_PER_QUERY):
        part = request_ids[first : first + limits.RUNS_PER_QUERY]
        for record in instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: list(part)})):
            found.setdefault(record.dagster_run.tags[REQUEST_TAG], []).append(record)
    return found


def _never_began(record: dg.RunRecord) -> bool:
    """Whether Dagster marked a run as failed before it began."""
    return record.dagster_run.is_finished and not has_begun(record)
