"""The index of the active deferred runs, read from Dagster's event log.

The event log is the source of truth. The index is a copy in the code server's memory. Each tick updates it with what
was written since, and it is rebuilt when it may be wrong: in a new process, or after a lost tick.
"""

import json
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.event_log import events, is_attached, observed_run, reported_run
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import RunAge
from dagster_runs.remote_run.execution.request_queue import RequestQueue, equality_key, in_order
from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun, QueuedRun
from dagster_runs.sensors.completion.requested_runs import ReportedEnd
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock, machine_time

Key = tuple[dg.AssetKey, str]
"""A definition's first asset, and the vendor's id of the run."""


class DeferredRunIndex:
    """The deferred runs of some assets that are not finalized yet.

    Args:
        assets: The assets.
        instance: The Dagster instance.
        low_watermark: The id in the event log after which to begin; 0 to begin as far back as an active run may have
            been started.

    Attributes:
        is_complete: Whether everything was read. Until then, nothing is reported, because another process may have
            reported it already.
        reported: The runs that the first reading found to be reported already, each with the time in epoch seconds and
            its final state.
        to_verify: The runs in `reported` whose evaluations are not verified yet.
        queues: The queued requests and the starts in progress of each definition.
        polled: The ledger entries of runs that a step waits for, with their ids in the event log. Such steps belong to
            backfills.
    """

    def __init__(self, assets: Sequence[WatchedAsset], instance: dg.DagsterInstance, low_watermark: int = 0) -> None:
        self.is_complete = False
        self.reported: deque[tuple[DeferredRun, float, RunState]] = deque()
        self.to_verify: list[DeferredRun] = []
        self.queues: dict[WatchedAsset, RequestQueue] = {asset: RequestQueue() for asset in assets}
        self.polled: dict[Key, tuple[WatchedAsset, LedgerEntry, int]] = {}
        self._assets = assets
        self._instance = instance
        oldest = current_clock().wall() - _longest_timeout(assets) - limits.LOOKBACK_MARGIN
        self._since = None if low_watermark else machine_time(oldest)
        self._from = self._newest = low_watermark
        self._active: dict[Key, DeferredRun] = {}
        self._reported_ends: dict[Key, ReportedEnd] = {}
        self._runs: WeakValueDictionary[tuple[type[RemoteRun[Any]], str], RemoteRun[Any]] = WeakValueDictionary()
        self._seen: set[int] = set()
        self._passes: deque[tuple[float, int]] = deque()
        self._pass: Iterator[None] | None = None

    def __iter__(self) -> Iterator[DeferredRun]:
        """Iterates over all runs."""
        return iter(self._active.values())

    def __len__(self) -> int:
        """Returns the number of runs."""
        return len(self._active)

    def drop(self, deferred_runs: Iterable[DeferredRun]) -> None:
        """Removes runs that need no further action."""
        for deferred_run in deferred_runs:
            self._active.pop((deferred_run.asset.keys[0], deferred_run.run_id), None)

    def reported_ends(self, most: int) -> dict[DeferredRun, ReportedEnd]:
        """Returns runs whose outcome was reported by a Dagster run that may still be active.

        At most ``most`` runs are returned. Later calls return the others.
        """
        selected = list(self._reported_ends.items())[:most]
        for key, _ in selected:
            self._reported_ends[key] = self._reported_ends.pop(key)
        return {end.deferred_run: end for _, end in selected}

    def remove_reported_end(self, deferred_run: DeferredRun) -> None:
        """Removes the reported outcome of a run, because its Dagster run has finished."""
        self._reported_ends.pop((deferred_run.asset.keys[0], deferred_run.run_id), None)

    @property
    def low_watermark(self) -> int:
        """The id after which another process must read to find all runs that need action."""
        # The first of these runs is not enough: an entry with a smaller id may still become visible.
        undone = [
            *(deferred_run for deferred_run in self if deferred_run.phase is not Phase.DONE),
            *(deferred_run for deferred_run, _, _ in self.reported),
            *(end.deferred_run for end in self._reported_ends.values()),
        ]
        queues = self.queues.values()
        storage_ids = [
            *(one.storage_id for one in undone),
            *(one.storage_id for queue in queues for one in (*queue.pending.values(), *queue.starting.values())),
            *(storage_id for _, _, storage_id in self.polled.values()),
        ]
        return min([self._from, *(storage_id - 1 for storage_id in storage_ids)])

    @property
    def queued(self) -> list[QueuedRun]:
        """The queued requests in the order of the event log, one for all equal ones."""
        found = [
            QueuedRun(asset, request)
            for asset, queue in self.queues.items()
            if queue.pending
            for request in in_order(queue.pending.values())
        ]
        return sorted(found, key=lambda one: one.request.storage_id)

    def requesters(self, queued: QueuedRun) -> list[str]:
        """Returns the Dagster runs that queued a request or an equal one, oldest first."""
        key = equality_key(queued.record)
        pending = self.queues[queued.asset].pending.values()
        return list(dict.fromkeys(one.entry.dagster_run_id for one in pending if equality_key(one.entry) == key))

    def equal_requests(self, queued: QueuedRun, dagster_run_ids: Collection[str]) -> list[QueuedRun]:
        """Returns a request, and the equal ones that some Dagster runs have queued."""
        key, pending = equality_key(queued.record), self.queues[queued.asset].pending.values()
        equal = (one for one in pending if not one.waits and equality_key(one.entry) == key)
        return [
            QueuedRun(queued.asset, one)
            for one in equal
            if one.request_id == queued.request_id or one.entry.dagster_run_id in dagster_run_ids
        ]

    def drop_request(self, queued: QueuedRun) -> None:
        """Removes a queued request that will not be started."""
        self.queues[queued.asset].pending.pop(queued.request_id, None)

    def catch_up(self, until: float) -> None:
        """Reads what was written since the last call.

        Args:
            until: Monotonic seconds after which to stop. The next call continues there.
        """
        clock = current_clock()
        self._pass = self._pass or self._reading()
        for _ in self._pass:
            if clock.monotonic() > until:
                return
        self._pass = None

    def _reading(self) -> Iterator[None]:
        """Reads the event log once. Yields after each event and each query, so that the time can be checked."""
        wanted = [(asset, key) for asset in self._assets for key in asset.keys]
        long_ago = machine_time(current_clock().wall() - limits.REREAD_BY_TIMESTAMP)
        settled: list[int] = []
        first_unsettled = math.inf
        for asset, key in wanted:
            for event in self._events(self._instance.fetch_observations, key):
                if event.timestamp > long_ago:
                    first_unsettled = min(first_unsettled, event.storage_id)
                else:
                    settled.append(event.storage_id)
                self._apply_event(asset, event)
                yield
            yield  # also after a query that found nothing
        if not self.is_complete:
            # Read after the entries, because a run is recorded before it is reported.
            for asset, key in self._with_reports(wanted):
                for event in self._events(self._instance.fetch_materializations, key):
                    self._mark_reported(asset, event)
                    yield
                yield
            self.is_complete = True
        self._from = max([self._from, *(storage_id for storage_id in settled if storage_id < first_unsettled)])
        self._advance_start(current_clock().monotonic())

    def _events(self, fetch: Callable[..., dg.EventRecordsResult], key: dg.AssetKey) -> Iterator[dg.EventLogRecord]:
        wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=self._since, after_storage_id=self._from or None)
        return events(fetch, wanted, ascending=True, page_size=limits.RECORDS_PER_PAGE)

    def _with_reports(
        self, wanted: Sequence[tuple[WatchedAsset, dg.AssetKey]]
    ) -> Iterator[tuple[WatchedAsset, dg.AssetKey]]:
        """Yields the assets that may have a report of a run that we assume to be active. One query covers all assets.

        Dagster updates an asset's last materialization only after it has stored the event. So this may miss a
        materialization that was stored just before the daemon was killed. It is then found before the run is reported.
        """
        active = {deferred_run.asset for deferred_run in self}
        concerned = {key: asset for asset, key in wanted if asset in active}
        keys = list(concerned)
        for first in range(0, len(keys), limits.RECORDS_PER_PAGE):
            for record in self._instance.get_asset_records(keys[first : first + limits.RECORDS_PER_PAGE]):
                last = record.asset_entry.last_materialization_record
                if last is not None and last.storage_id > self._from:
                    yield concerned[record.asset_entry.asset_key], record.asset_entry.asset_key

    def _advance_start(self, now: float) -> None:
        """Makes the next pass begin where an earlier pass ended that is old enough."""
        self._passes.append((now, self._newest))
        while self._passes[0][0] <= now - limits.REREAD_SECONDS:
            self._from = max(self._from, self._passes.popleft()[1])
        self._seen = {storage_id for storage_id in self._seen if storage_id > self._from}

    def _apply_event(self, asset: WatchedAsset, event: dg.EventLogRecord) -> None:
        if event.storage_id in self._seen:
            return
        self._seen.add(event.storage_id)
        self._newest = max(self._newest, event.storage_id)
        record = LedgerEntry.from_event(event)
        if record is None and not event.run_id:
            reported_key = (asset.keys[0], observed_run(event) or "")  # its outcome was reported without a step
            known = self._active.get(reported_key)
            if known is not None and not _is_last(event, known):
                known.observed.add((event.asset_key or known.keys[0], event.partition_key))
                return
            ended = self._active.pop(reported_key, None)
            self._reported_ends.pop(reported_key, None)
            if ended is not None and not self.is_complete:
                self.reported.append((ended, event.timestamp, _state_in(event)))
        if record is not None:
            self.queues[asset].apply(record, event.storage_id)
        if record is None or record.run_id is None:
            return
        key = (asset.keys[0], record.run_id)
        known = self._active.get(key)
        if record.kind in (EntryKind.ENDED, EntryKind.GONE):
            self._record_end(key, record)
            self.polled.pop(key, None)
        elif record.kind is EntryKind.CANCEL_REQUESTED and known is not None:
            known.is_cancel_requested = True
        elif record.kind is EntryKind.STARTED and record.deferred_payload is None:
            # A step waits for the run now, and reports it.
            if known is None or not known.is_materialized:
                self._active.pop(key, None)
            self.polled[key] = (asset, record, event.storage_id)
        elif record.kind is EntryKind.STARTED and record.deferred_payload is not None and not _is_same(known, record):
            self._active[key] = self._deferred_run(asset, record, event)
            self.polled.pop(key, None)
            self._reported_ends.pop(key, None)

    def _record_end(self, key: Key, record: LedgerEntry) -> None:
        """Records an outcome that a Dagster run has reported.

        It is final only when that Dagster run has finished, because alerts fire only then.
        """
        earlier = self._reported_ends.get(key)
        deferred_run = self._active.pop(key, earlier.deferred_run if earlier is not None else None)
        if deferred_run is not None:
            self._reported_ends[key] = ReportedEnd(deferred_run, record.dagster_run_id, record.at)

    def _deferred_run(self, asset: WatchedAsset, record: LedgerEntry, event: dg.EventLogRecord) -> DeferredRun:
        return DeferredRun(
            asset=asset,
            record=record,
            storage_id=event.storage_id,
            run=self._run(asset.remote.run_class, (record.deferred_payload or {}).get("run") or {}),
            age=RunAge(record.at),
            # The state of a run that was started before this process is unknown.
            polled_at=record.at if self.is_complete else 0.0,
            known_active_until=record.at,
            # The entry of a run that was found or attached to is newer than the run.
            last_individual_update=0.0 if is_attached(event) else record.at,
            # If the asset has another run class since, the vendor's responses cannot be interpreted.
            phase=Phase.ACTIVE if record.run_class_name == asset.remote.run_class.__name__ else Phase.NEEDS_DAGSTER_RUN,
            may_be_reported=not self.is_complete or is_attached(event),
        )

    def _run(self, run_class: type[RemoteRun[Any]], fields: Mapping[str, Any]) -> RemoteRun[Any]:
        """Returns one shared object for all runs with the same fields, because there may be thousands of runs."""
        fields_json = json.dumps(fields, sort_keys=True)
        run = self._runs.get((run_class, fields_json))
        if run is None:
            run = self._runs[run_class, fields_json] = run_class.from_payload(fields)
        return run

    def _mark_reported(self, asset: WatchedAsset, event: dg.EventLogRecord) -> None:
        run_id = reported_run(event)
        deferred_run = self._active.get((asset.keys[0], run_id or ""))
        if deferred_run is not None and _is_last(event, deferred_run):
            if not deferred_run.is_materialized:
                self.to_verify.append(deferred_run)
            deferred_run.is_materialized = deferred_run.may_be_evaluated = True
            self.reported.append((deferred_run, event.timestamp, RunState.SUCCEEDED))


def _is_last(event: dg.EventLogRecord, deferred_run: DeferredRun) -> bool:
    """Whether an event reports the asset and partition of a run that are reported last."""
    last = deferred_run.last_asset_partition
    return last is None or (event.asset_key, event.partition_key) == last


def _state_in(event: dg.EventLogRecord) -> RunState:
    observation = event.event_log_entry.asset_observation
    stored_state = observation.metadata.get("dagster_runs/state") if observation is not None else None
    try:
        return RunState(stored_state.value) if stored_state is not None else RunState.UNKNOWN
    except ValueError:
        return RunState.UNKNOWN


def _longest_timeout(assets: Iterable[WatchedAsset]) -> float:
    return max(asset.remote.options.timeout or asset.remote.run_class.default_timeout for asset in assets)


def _is_same(known: DeferredRun | None, record: LedgerEntry) -> bool:
    """Whether an entry is a known run's entry on another of its assets, or one that changes nothing."""
    if known is None:
        return False
    same = (known.record.dagster_run_id, known.record.deadline) == (record.dagster_run_id, record.deadline)
    return same or known.phase in (Phase.SUCCEEDED, Phase.MATERIALIZED) or known.is_materialized
