"""The remote runs that steps of backfills wait for, and the starts whose outcome is not recorded.

The completion sensor does not poll these runs, but they count as in flight. If the Dagster run of such a step ends
without reporting the remote run, nothing waits for it anymore: it is an orphan, unless the Dagster run is re-executed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import dagster as dg

from dagster_runs.remote_run.execution.event_log import reports_of_run
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.reexecution import is_active, will_be_retried
from dagster_runs.remote_run.execution.request_queue import SEVERAL_PARTITIONS, overlap, partitions_of
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock, machine_time


class StepRuns:
    """Forgets what ended Dagster runs have started, and logs a warning for each orphan and each uncertain start."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def forget_ended(self, tick: TickContext) -> set[str]:
        """Updates the index. Returns the ids of the Dagster runs that are active.

        A start whose outcome is unknown counts until its timeout, because its run may be in flight.

        Args:
            tick: The tick.
        """
        index, instance = tick.deferred_runs, tick.context.instance
        starting = starts_in_progress(index)
        runs = dagster_runs_of(index, instance)
        for key, (asset, entry, _) in list(index.polled.items()):
            run = runs.get(entry.dagster_run_id)
            if run is None or run.is_finished:
                is_orphan = run is not None and is_orphaned(run, asset, entry, instance)
                # An orphan takes its slot until its deadline: it may be active, and a re-execution may attach to it.
                if not is_orphan or current_clock().wall() >= (entry.deadline or 0.0):
                    del index.polled[key]
                if run is not None and is_orphan and not will_be_retried(run):
                    self._warn(
                        tick,
                        entry,
                        f"{entry.target} run {entry.run_id} is an orphan: Dagster run {run.run_id}, which waited for "
                        f"it, ended with status {run.status.value}. Re-execute that Dagster run from failure to attach "
                        "to the remote run, or cancel it at the vendor",
                    )
        for asset, entry in starting:
            run = runs.get(entry.dagster_run_id)
            if run is None or run.is_finished:
                until = entry.at + (asset.remote.options.timeout or asset.remote.run_class.default_timeout)
                if current_clock().wall() >= until or is_repeated(entry, index, asset, instance):
                    index.queues[asset].starting.pop(entry.correlation_id, None)
                else:
                    self._warn(
                        tick,
                        entry,
                        f"It is unknown whether Dagster run {entry.dagster_run_id} started a run of {entry.target}. "
                        "It counts as in flight until its timeout",
                    )
        return {run_id for run_id, run in runs.items() if is_active(run)}

    def _warn(self, tick: TickContext, entry: LedgerEntry, message: str) -> None:
        if entry.correlation_id not in self._warned:
            self._warned.add(entry.correlation_id)
            tick.context.log.warning("%s", message)


def starts_in_progress(index: DeferredRunIndex) -> list[tuple[WatchedAsset, LedgerEntry]]:
    """Returns the starts whose outcome is not recorded, each with its asset."""
    return [(asset, one.entry) for asset, queue in index.queues.items() for one in queue.starting.values()]


def dagster_runs_of(index: DeferredRunIndex, instance: dg.DagsterInstance) -> Mapping[str, dg.DagsterRun]:
    """Returns the Dagster runs of all steps that wait for a run or have recorded a start, by id."""
    run_ids = {entry.dagster_run_id for _, entry in starts_in_progress(index)}
    return _runs(run_ids | {entry.dagster_run_id for _, entry, _ in index.polled.values()}, instance)


def running(run_ids: Iterable[str], instance: dg.DagsterInstance) -> set[str]:
    """Returns those of some Dagster runs that have not finished, or that the daemon will retry."""
    return {run_id for run_id, run in _runs(run_ids, instance).items() if is_active(run)}


def _runs(run_ids: Iterable[str], instance: dg.DagsterInstance) -> Mapping[str, dg.DagsterRun]:
    wanted = sorted(run_ids)
    found: dict[str, dg.DagsterRun] = {}
    for first in range(0, len(wanted), limits.RUNS_PER_QUERY):
        part = wanted[first : first + limits.RUNS_PER_QUERY]
        found.update((run.run_id, run) for run in instance.get_runs(dg.RunsFilter(run_ids=part)))
    return found


def is_orphaned(run: dg.DagsterRun, asset: WatchedAsset, entry: LedgerEntry, instance: dg.DagsterInstance) -> bool:
    """Whether the Dagster run of a step that waited for a remote run has ended without reporting the remote run."""
    if run.is_success:
        return False
    since = machine_time(entry.at - MAX_HOST_CLOCK_SKEW)
    wanted = dg.AssetRecordsFilter(asset.keys[0], after_timestamp=since)
    return not any(reports_of_run(instance, wanted, entry.run_id or ""))


def is_repeated(entry: LedgerEntry, index: DeferredRunIndex, asset: WatchedAsset, instance: dg.DagsterInstance) -> bool:
    """Whether a newer start of the same partitions exists, so that the outcome of this one is no longer of interest."""
    definition = asset.definition.partitions_def
    mine = partitions_of(entry, definition, instance)
    newer = [one.entry for one in index.queues[asset].starting.values() if one.entry.at > entry.at]
    newer += [one.record for one in index if one.asset is asset and one.record.at > entry.at]
    newer += [one for owner, one, _ in index.polled.values() if owner is asset and one.at > entry.at]
    return any(overlap(mine, partitions_of(one, definition, instance)) for one in newer)


def unrecorded_ends(index: DeferredRunIndex) -> Iterator[dg.AssetObservation]:
    """Yields ledger entries for runs that need no further action, and whose end neither a step nor a result shows.

    Their report was terminated or given up, or their cancellation was confirmed late. Without an entry, steps would
    treat them as runs in flight until their deadline.
    """
    for one in index:
        if one.phase is Phase.DONE and not one.is_materialized:
            entry = replace(
                one.record,
                kind=EntryKind.ENDED,
                at=current_clock().wall(),
                dagster_run_id="",
                deferred_payload=None,
                provenance=None,
                queue=None,
            )
            yield dg.AssetObservation(
                (one.keys or one.asset.keys)[0],
                description=f"{one} is no longer polled",
                partition=SEVERAL_PARTITIONS if len(one.partitions) > 1 else one.partition,
                tags=entry.to_tags(),
            )
