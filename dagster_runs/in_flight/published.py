"""Which of the runs that a tick tells of have been reported already: by a lost tick, or by a step of another run."""

from collections.abc import Iterable, Iterator

import dagster as dg

from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.remote_run.contract import CLOCKS_OF_MACHINES_DIFFER
from dagster_runs.remote_run.evaluations import Place
from dagster_runs.remote_run.ledger import events, publications, published_run
from dagster_runs.transport.clock import machine_time

_AT_ONCE = 500
"""Partitions of which one query asks."""


class Published:
    """What one tick has to know. An asset's materializations are read once, when the first of its runs is asked for.

    Args:
        flights: All that are going.
        instance: Where the event log is.
    """

    def __init__(self, flights: Iterable[Flight], instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._concerned: dict[dg.AssetKey, list[Flight]] = {}
        self._found: dict[dg.AssetKey, set[tuple[str, str | None]]] = {}
        for flight in flights:
            if flight.may_be_published and flight.phase not in (Phase.GOING, Phase.OVER):
                for key in flight.keys:
                    self._concerned.setdefault(key, []).append(flight)

    def left(self, flight: Flight) -> list[Place]:
        """The run's assets and partitions for which it has not been reported."""
        if not flight.may_be_published:
            return flight.places
        return [(key, partition) for key, partition in flight.places if (flight.run_id, partition) not in self._of(key)]

    def _of(self, key: dg.AssetKey) -> set[tuple[str, str | None]]:
        if key not in self._found:
            flights = self._concerned[key]
            run_ids = {flight.run_id for flight in flights}
            found = self._materializations(key, flights)
            told = ((published_run(event) or "", event.partition_key) for event in found)
            self._found[key] = {(run_id, partition) for run_id, partition in told if run_id in run_ids}
        return self._found[key]

    def _materializations(self, key: dg.AssetKey, flights: list[Flight]) -> Iterator[dg.EventLogRecord]:
        since = min(_since(flight) for flight in flights)
        partitions = list(dict.fromkeys(partition for flight in flights for partition in flight.partitions))
        if not all(flight.partitions for flight in flights):
            yield from events(self._instance.fetch_materializations, dg.AssetRecordsFilter(key, after_timestamp=since))
            return
        for first in range(0, len(partitions), _AT_ONCE):
            wanted = dg.AssetRecordsFilter(key, partitions[first : first + _AT_ONCE], after_timestamp=since)
            yield from events(self._instance.fetch_materializations, wanted)


def is_published(flight: Flight, place: Place, instance: dg.DagsterInstance) -> bool:
    """Whether one run has been reported for one of its assets and partitions, or the asset was wiped since."""
    key, partition = place
    wanted = dg.AssetRecordsFilter(key, [partition] if partition is not None else None, after_timestamp=_since(flight))
    if any(publications(instance, wanted, flight.run_id)):
        return True
    entries = (dg.AssetRecordsFilter(one, storage_ids=[flight.storage_id]) for one in flight.asset.keys)
    return not any(instance.fetch_observations(entry, limit=1).records for entry in entries)


def _since(flight: Flight) -> float:
    # By the time of its start, not by the entry, which may be one of attaching to it: later than the report.
    return machine_time(flight.record.at - CLOCKS_OF_MACHINES_DIFFER)
