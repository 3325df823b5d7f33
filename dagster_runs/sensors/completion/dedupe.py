"""Finds the runs that have already been reported: by a lost tick, or by a step of another Dagster run."""

from collections.abc import Iterable, Iterator

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.remote_run.execution.event_log import events, reported_run, reports_of_run
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.transport.clock import machine_time


class ReportedRuns:
    """The runs that have already been reported, for one tick.

    An asset's materializations are read once, at the first query about one of its runs.

    Args:
        deferred_runs: All deferred runs.
        instance: The Dagster instance.
    """

    def __init__(self, deferred_runs: Iterable[DeferredRun], instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._runs_by_asset: dict[dg.AssetKey, list[DeferredRun]] = {}
        self._found: dict[dg.AssetKey, set[tuple[str, str | None]]] = {}
        for deferred_run in deferred_runs:
            if deferred_run.may_be_reported and deferred_run.phase not in (Phase.ACTIVE, Phase.DONE):
                for key in deferred_run.keys:
                    self._runs_by_asset.setdefault(key, []).append(deferred_run)

    def unreported(self, deferred_run: DeferredRun) -> list[AssetPartition]:
        """Returns the run's assets and partitions for which it has not been reported."""
        if not deferred_run.may_be_reported:
            return deferred_run.asset_partitions
        return [
            (key, partition)
            for key, partition in deferred_run.asset_partitions
            if (deferred_run.run_id, partition) not in self._reported_for(key)
        ]

    def _reported_for(self, key: dg.AssetKey) -> set[tuple[str, str | None]]:
        if key not in self._found:
            deferred_runs = self._runs_by_asset[key]
            run_ids = {deferred_run.run_id for deferred_run in deferred_runs}
            found = self._materializations(key, deferred_runs)
            reported = ((reported_run(event) or "", event.partition_key) for event in found)
            self._found[key] = {(run_id, partition) for run_id, partition in reported if run_id in run_ids}
        return self._found[key]

    def _materializations(self, key: dg.AssetKey, deferred_runs: list[DeferredRun]) -> Iterator[dg.EventLogRecord]:
        since = min(map(_since, deferred_runs))
        partitions = list(dict.fromkeys(partition for one in deferred_runs for partition in one.partitions))
        parts: list[list[str] | None] = [None]
        if all(one.partitions for one in deferred_runs):
            size = limits.PARTITIONS_PER_QUERY
            parts = [partitions[first : first + size] for first in range(0, len(partitions), size)]
        for part in parts:
            wanted = dg.AssetRecordsFilter(key, part, after_timestamp=since)
            yield from events(self._instance.fetch_materializations, wanted)


def is_reported(deferred_run: DeferredRun, asset_partition: AssetPartition, instance: dg.DagsterInstance) -> bool:
    """Whether a run has been reported for one of its assets and partitions, or the asset was wiped since."""
    key, partition = asset_partition
    wanted = dg.AssetRecordsFilter(
        key, [partition] if partition is not None else None, after_timestamp=_since(deferred_run)
    )
    if any(reports_of_run(instance, wanted, deferred_run.run_id)):
        return True
    entries = (dg.AssetRecordsFilter(one, storage_ids=[deferred_run.storage_id]) for one in deferred_run.asset.keys)
    return not any(instance.fetch_observations(entry, limit=1).records for entry in entries)


def _since(deferred_run: DeferredRun) -> float:
    # The time of the run's start counts, because the entry may be one that attached to it, which can be later than the
    # report.
    return machine_time(deferred_run.record.at - MAX_HOST_CLOCK_SKEW)
