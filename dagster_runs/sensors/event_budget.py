"""How much a tick may report: Dagster stores its events one by one in the same tick, as fast as its storage is."""

from collections.abc import Sequence

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition

STORING = 10.0
"""Seconds of a tick that storing its events may take."""
FIRST_EVENTS = 250
"""While nobody knows how fast the storage is."""
_MIN_EVENTS, _MAX_EVENTS = 40, 10_000
_TELLS = 10
"""Events from which on the time that they took tells something."""
_MAX_TOLD = 100
"""Runs of which the time is taken: enough to tell, and few enough to be read in each tick."""


class EventBudget:
    """What a tick may report, from how long the last one's events took to be stored.

    Attributes:
        max_events: Events that a tick reports; those of one run are not torn apart.
    """

    def __init__(self) -> None:
        self.max_events = FIRST_EVENTS
        self._told: Sequence[tuple[AssetPartition, int]] = ()

    def remember(self, told: Sequence[tuple[AssetPartition, int]]) -> None:
        """Remember what the tick reports.

        Args:
            told: For each run the place that is reported last, and the number of events up to it.
        """
        self._told = told[-_MAX_TOLD:]

    def learn(self, instance: dg.DagsterInstance) -> None:
        """Take in how long it took. To be called once Dagster has stored it."""
        if not self._told:
            return
        told, self._told = self._told, ()
        (first, before), (last, after) = told[0], told[-1]
        if after - before < _TELLS:
            return
        # Runs of an asset without partitions are all told of the same place.
        since = sum(asset_partition == first for asset_partition, _ in told)
        began, ended = _stored_at(first, instance, since), _stored_at(last, instance, 1)
        if began is None or ended is None:
            return
        self.adapt(after - before, ended - began)

    def adapt(self, events: int, seconds: float) -> None:
        """Report as much as is stored in time, going by so many events that took so long."""
        affordable = STORING * events / max(seconds, 0.001)
        # Not everything at once: a storage may be quick for a moment.
        self.max_events = int(max(_MIN_EVENTS, min(_MAX_EVENTS, affordable, 2 * self.max_events)))


def _stored_at(asset_partition: AssetPartition, instance: dg.DagsterInstance, which: int) -> float | None:
    """When the place's newest report was stored, or the one so many before it, counted from 1."""
    key, partition = asset_partition
    wanted = dg.AssetRecordsFilter(key, [partition] if partition is not None else None)
    newest = instance.fetch_materializations(wanted, limit=which).records
    return newest[-1].timestamp if len(newest) == which else None
