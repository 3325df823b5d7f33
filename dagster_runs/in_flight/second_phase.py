"""The second phase of an end's report: evaluations, each naming the materialization that the first phase has stored.

A tick returns events, and Dagster stores them after it. So a tick reports a run's materializations, and a later one
reads their storage ids and reports the evaluations. After a lost tick the event log tells which of them are missing.

Evaluations of partitions are not among the events that a tick returns: the tick stores them itself (see
`report_partitioned`), as many as it has time for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import dagster as dg

from dagster_runs.dagster_private import report_evaluation
from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.remote_run.contract import CLOCKS_OF_MACHINES_DIFFER
from dagster_runs.remote_run.evaluations import (
    Place,
    RunAndPartition,
    judged_by,
    materializations_of,
    stored_evaluations,
)

StoredEvaluations = set[tuple[dg.AssetCheckKey, int]]


class SecondPhase:
    """What the event log has of some reported runs, read once for each asset.

    Args:
        flights: Runs whose materializations are stored.
        instance: Where the event log is.
    """

    def __init__(self, flights: Iterable[Flight], instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._by_asset: dict[WatchedAsset, list[Flight]] = {}
        self._materialized: dict[dg.AssetKey, dict[RunAndPartition, dg.EventLogRecord]] = {}
        self._evaluated: dict[WatchedAsset, StoredEvaluations] = {}
        for flight in flights:
            self._by_asset.setdefault(flight.asset, []).append(flight)

    def judged(self, flight: Flight) -> Mapping[Place, dg.EventLogRecord]:
        """The stored materializations of a run; those that were wiped are missing."""
        found = {
            (key, partition): self._materializations(flight.asset, key).get((flight.run_id, partition))
            for key, partition in flight.places
        }
        return {place: record for place, record in found.items() if record is not None}

    def stored(self, flight: Flight) -> StoredEvaluations:
        """The evaluations that are stored already; none of a run whose first phase this process has reported."""
        if not flight.may_be_published:
            return set()
        if flight.asset not in self._evaluated:
            alike = self._by_asset[flight.asset]
            times = [record.timestamp for one in alike for record in self.judged(one).values()]
            since = min(times, default=0.0) - CLOCKS_OF_MACHINES_DIFFER
            checks = flight.asset.check_keys if times else ()
            self._evaluated[flight.asset] = stored_evaluations(self._instance, checks, since)
        return self._evaluated[flight.asset]

    def is_complete(self, flight: Flight) -> bool:
        """Whether each declared check has an evaluation for each materialization."""
        stored, specs = self.stored(flight), flight.asset.definition.check_specs
        judged = self.judged(flight)
        return all(
            (spec.key, record.storage_id) in stored
            for (key, _), record in judged.items()
            for spec in specs
            if spec.asset_key == key
        )

    def _materializations(self, asset: WatchedAsset, key: dg.AssetKey) -> Mapping[RunAndPartition, dg.EventLogRecord]:
        if key not in self._materialized:
            alike = self._by_asset[asset]
            wanted = {(one.run_id, partition) for one in alike for of, partition in one.places if of == key}
            after = min(one.materialized_after or 0 for one in alike)
            self._materialized[key] = materializations_of(self._instance, key, wanted, after=after)
        return self._materialized[key]


def leave_out_evaluated(
    flights: Sequence[Flight], instance: dg.DagsterInstance, *, has_time: Callable[[], bool]
) -> list[Flight]:
    """Of runs that another process has reported, leave out those whose second phase is complete.

    Args:
        flights: The runs.
        instance: Where the event log is.
        has_time: Whether there is time for another asset.

    Returns:
        Those for which there was no time.
    """
    by_asset: dict[WatchedAsset, list[Flight]] = {}
    for flight in flights:
        by_asset.setdefault(flight.asset, []).append(flight)
    left: list[Flight] = []
    for of_asset in by_asset.values():
        if not has_time():
            left += of_asset
            continue
        phase = SecondPhase(of_asset, instance)
        for flight in of_asset:
            if flight.phase is Phase.GOING and phase.is_complete(flight):
                flight.phase = Phase.OVER
    return left


def report_partitioned(
    evaluations: Iterable[dg.AssetCheckEvaluation],
    dagster_run_id: str,
    instance: dg.DagsterInstance,
    has_time: Callable[[], bool],
) -> bool:
    """Store evaluations of partitions at once, as those of the Dagster run that started the remote run.

    Dagster stores no second evaluation of a partition without a run (see `report_evaluation`).

    Args:
        evaluations: The evaluations.
        dagster_run_id: The Dagster run. Where it was deleted, nothing can be stored.
        instance: Where the event log is.
        has_time: Whether there is time for another one. The first one is stored in any case.

    Returns:
        Whether all were stored.
    """
    run = instance.get_run_by_id(dagster_run_id)
    if run is None:
        return True
    for number, one in enumerate(evaluations):
        if number and not has_time():
            return False
        report_evaluation(instance, one, run)
    return True


def is_evaluated(last: dg.AssetCheckEvaluation, instance: dg.DagsterInstance) -> bool:
    """Whether an evaluation that a tick returned was stored."""
    target = last.target_materialization_data
    since = target.timestamp - CLOCKS_OF_MACHINES_DIFFER if target is not None else 0.0
    return judged_by(last) in stored_evaluations(instance, [last.asset_check_key], since)
