"""The deferred runs that are going, as Dagster's event log has them.

The event log is the truth. This table is a copy in the code server's memory, brought up to date at each tick by what
was written since, and made anew where nobody can be sure of it: in a new process, or after a tick that got lost.
"""

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.event_log import is_attached, observed_run, published_run
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import RunAge
from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.requested_runs import ReportedEnd
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock, machine_time

Key = tuple[dg.AssetKey, str]
"""A definition's first asset, and the vendor's id of the run."""


class DeferredRunIndex:
    """The runs on their way, of some assets.

    Args:
        assets: Whose runs.
        instance: Where the event log is.
        low_watermark: Id in the event log after which to begin; 0 to begin as long ago as a run may have been started.

    Attributes:
        is_complete: Whether all were read that there are. Until then none may be reported: it may have been already.
        reported: Those that the first reading found to be reported already, with the time in epoch seconds, and how
            they ended.
        to_verify: Those in `reported` whose evaluations are not verified yet.
    """

    def __init__(self, assets: Sequence[WatchedAsset], instance: dg.DagsterInstance, low_watermark: int = 0) -> None:
        self.is_complete = False
        self.reported: deque[tuple[DeferredRun, float, RunState]] = deque()
        self.to_verify: list[DeferredRun] = []
        self._assets = assets
        self._instance = instance
        oldest = current_clock().wall() - _longest_timeout(assets) - limits.LOOKBACK_MARGIN
        self._since = None if low_watermark else machine_time(oldest)
        self._from = self._newest = low_watermark
        self._active: dict[Key, DeferredRun] = {}
        self._noted: dict[Key, ReportedEnd] = {}
        self._runs: WeakValueDictionary[tuple[type[RemoteRun[Any]], str], RemoteRun[Any]] = WeakValueDictionary()
        self._seen: set[int] = set()
        self._passes: deque[tuple[float, int]] = deque()
        self._pass: Iterator[None] | None = None

    def __iter__(self) -> Iterator[DeferredRun]:
        """All of them."""
        return iter(self._active.values())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._active)

    def drop(self, deferred_runs: Iterable[DeferredRun]) -> None:
        """Forget those that nothing more is to be done about."""
        for deferred_run in deferred_runs:
            self._active.pop((deferred_run.asset.keys[0], deferred_run.run_id), None)

    def reported_ends(self, most: int) -> dict[DeferredRun, ReportedEnd]:
        """Those whose end a Dagster run has published that may not have ended yet; others have their turn next time."""
        some = list(self._noted.items())[:most]
        for key, _ in some:
            self._noted[key] = self._noted.pop(key)
        return {end.deferred_run: end for _, end in some}

    def settle(self, deferred_run: DeferredRun) -> None:
        """Forget the published end of a run, as its Dagster run has ended."""
        self._noted.pop((deferred_run.asset.keys[0], deferred_run.run_id), None)

    @property
    def low_watermark(self) -> int:
        """The id after which another process has to read to know those that something is to be done about."""
        # Not the first of them alone: an entry with a smaller id may be about to become visible.
        undone = [
            *(deferred_run for deferred_run in self if deferred_run.phase is not Phase.DONE),
            *(deferred_run for deferred_run, _, _ in self.reported),
            *(end.deferred_run for end in self._noted.values()),
        ]
        return min([self._from, *(deferred_run.storage_id - 1 for deferred_run in undone)])

    def catch_up(self, until: float) -> None:
        """Read what was written since the last time.

        Args:
            until: Monotonic seconds after which to stop; the next call goes on there.
        """
        clock = current_clock()
        self._pass = self._pass or self._reading()
        for _ in self._pass:
            if clock.monotonic() > until:
                return
        self._pass = None

    def _reading(self) -> Iterator[None]:
        """One pass over the event log, a page at a time."""
        wanted = [(asset, key) for asset in self._assets for key in asset.keys]
        long_ago = machine_time(current_clock().wall() - limits.REREAD_BY_TIMESTAMP)
        settled: list[int] = []
        first_unsettled = math.inf
        for asset, key in wanted:
            for page in self._pages(self._instance.fetch_observations, key):
                for event in page:
                    if event.timestamp > long_ago:
                        first_unsettled = min(first_unsettled, event.storage_id)
                    else:
                        settled.append(event.storage_id)
                    self._take_in(asset, event)
                yield
        if not self.is_complete:
            # After the entries, since a run is published after it was noted.
            for asset, key in self._with_reports(wanted):
                for page in self._pages(self._instance.fetch_materializations, key):
                    for event in page:
                        self._mark_reported(asset, event)
                    yield
            self.is_complete = True
        self._from = max([self._from, *(storage_id for storage_id in settled if storage_id < first_unsettled)])
        self._settle(current_clock().monotonic())

    def _pages(
        self, fetch: Callable[..., dg.EventRecordsResult], key: dg.AssetKey
    ) -> Iterator[Sequence[dg.EventLogRecord]]:
        wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=self._since, after_storage_id=self._from or None)
        cursor: str | None = None
        while True:
            page = fetch(wanted, limit=limits.RECORDS_PER_PAGE, cursor=cursor, ascending=True)
            yield page.records
            if not page.has_more:
                return
            cursor = page.cursor

    def _with_reports(
        self, wanted: Sequence[tuple[WatchedAsset, dg.AssetKey]]
    ) -> Iterator[tuple[WatchedAsset, dg.AssetKey]]:
        """Those that may have published a run which we take for going; one query tells it of all.

        Dagster notes an asset's last materialization only after it has stored it. So one may be missed here that was
        stored just before the daemon was killed; then this is seen before the run is reported.
        """
        active = {deferred_run.asset for deferred_run in self}
        concerned = {key: asset for asset, key in wanted if asset in active}
        keys = list(concerned)
        for first in range(0, len(keys), limits.RECORDS_PER_PAGE):
            for record in self._instance.get_asset_records(keys[first : first + limits.RECORDS_PER_PAGE]):
                last = record.asset_entry.last_materialization_record
                if last is not None and last.storage_id > self._from:
                    yield concerned[record.asset_entry.asset_key], record.asset_entry.asset_key

    def _settle(self, now: float) -> None:
        """The next pass begins where one ended that lies far enough back."""
        self._passes.append((now, self._newest))
        while self._passes[0][0] <= now - limits.REREAD_SECONDS:
            self._from = max(self._from, self._passes.popleft()[1])
        self._seen = {storage_id for storage_id in self._seen if storage_id > self._from}

    def _take_in(self, asset: WatchedAsset, event: dg.EventLogRecord) -> None:
        if event.storage_id in self._seen:
            return
        self._seen.add(event.storage_id)
        self._newest = max(self._newest, event.storage_id)
        record = LedgerEntry.from_event(event)
        if record is None and not event.run_id:
            told = (asset.keys[0], observed_run(event) or "")  # its end was told without a step
            ended = self._active.pop(told, None)
            self._noted.pop(told, None)
            if ended is not None and not self.is_complete:
                self.reported.append((ended, event.timestamp, _state_in(event)))
        if record is None or record.run_id is None:
            return
        key = (asset.keys[0], record.run_id)
        known = self._active.get(key)
        if record.kind in (EntryKind.ENDED, EntryKind.GONE):
            self._note_end(key, record)
        elif record.kind is EntryKind.CANCEL_REQUESTED and known is not None:
            known.is_cancel_requested = True
        elif record.kind is EntryKind.STARTED and record.deferred_payload is not None and not _is_same(known, record):
            self._active[key] = self._deferred_run(asset, record, event)
            self._noted.pop(key, None)

    def _note_end(self, key: Key, record: LedgerEntry) -> None:
        """It is reported once the Dagster run that has noted it has ended: alerts fire only then."""
        earlier = self._noted.get(key)
        deferred_run = self._active.pop(key, earlier.deferred_run if earlier is not None else None)
        if deferred_run is not None:
            self._noted[key] = ReportedEnd(deferred_run, record.dagster_run_id, record.at)

    def _deferred_run(self, asset: WatchedAsset, record: LedgerEntry, event: dg.EventLogRecord) -> DeferredRun:
        return DeferredRun(
            asset=asset,
            record=record,
            storage_id=event.storage_id,
            run=self._run(asset.remote.run_class, (record.deferred_payload or {}).get("run") or {}),
            age=RunAge(record.at),
            # Of one that was started before this process began nobody knows how it stands.
            polled_at=record.at if self.is_complete else 0.0,
            known_active_until=record.at,
            # Of one that was found, or attached to, the entry is younger than the run.
            last_individual_update=0.0 if is_attached(event) else record.at,
            # Where somebody made another kind of run of the asset since, the vendor's answers would mean nothing.
            phase=Phase.ACTIVE if record.run_class_name == asset.remote.run_class.__name__ else Phase.NEEDS_DAGSTER_RUN,
            may_be_reported=not self.is_complete or is_attached(event),
        )

    def _run(self, run_class: type[RemoteRun[Any]], fields: Mapping[str, Any]) -> RemoteRun[Any]:
        """One object for all runs of the same fields: there may be thousands."""
        written = json.dumps(fields, sort_keys=True)
        run = self._runs.get((run_class, written))
        if run is None:
            run = self._runs[run_class, written] = run_class.from_payload(fields)
        return run

    def _mark_reported(self, asset: WatchedAsset, event: dg.EventLogRecord) -> None:
        run_id = published_run(event)
        deferred_run = self._active.get((asset.keys[0], run_id or ""))
        # Where a run fills several, the last one of them is reported last.
        if deferred_run is not None and (event.asset_key, event.partition_key) == deferred_run.asset_partitions[-1]:
            if not deferred_run.is_materialized:
                self.to_verify.append(deferred_run)
            deferred_run.is_materialized = deferred_run.may_be_evaluated = True
            self.reported.append((deferred_run, event.timestamp, RunState.SUCCEEDED))


def _state_in(event: dg.EventLogRecord) -> RunState:
    observation = event.event_log_entry.asset_observation
    kept = observation.metadata.get("dagster_runs/state") if observation is not None else None
    try:
        return RunState(kept.value) if kept is not None else RunState.UNKNOWN
    except ValueError:
        return RunState.UNKNOWN


def _longest_timeout(assets: Iterable[WatchedAsset]) -> float:
    return max(asset.remote.options.timeout or asset.remote.run_class.default_timeout for asset in assets)


def _is_same(known: DeferredRun | None, record: LedgerEntry) -> bool:
    """Whether it is the entry that we have, from another asset that the run fills, or one that changes nothing."""
    if known is None:
        return False
    same = (known.record.dagster_run_id, known.record.deadline) == (record.dagster_run_id, record.deadline)
    return same or known.phase in (Phase.SUCCEEDED, Phase.MATERIALIZED) or known.is_materialized
