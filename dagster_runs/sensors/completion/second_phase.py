"""The second phase of reporting: evaluations, each naming the materialization that the first phase stored.

A tick returns events, and Dagster stores them after the tick. So one tick reports a run's materializations, and a later
one reads their storage ids and reports the evaluations. After a lost tick, the event log shows which of them are
missing.

A partition's first evaluation is among the events that a tick returns. The tick itself stores any further one (see
`report_evaluations`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import dagster as dg

from dagster_runs.dagster_private import (
    is_partitioned,
    newest_evaluations,
    partition_of,
    report_evaluation,
    run_evaluations,
    runs_of_check,
)
from dagster_runs.remote_run.execution.evaluations import (
    AssetPartition,
    RunAndPartition,
    evaluation_target,
    materializations_of,
    stored_evaluations,
)
from dagster_runs.remote_run.execution.provenance import predates_two_phases
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.registry import WatchedAsset

_NO_RUN = ""
"""Dagster's run id for events that are reported without a run."""
StoredEvaluations = set[tuple[dg.AssetCheckKey, int]]


class SecondPhase:
    """The stored materializations and evaluations of some reported runs, read once per asset.

    Args:
        deferred_runs: Runs whose materializations are stored.
        instance: The Dagster instance.
        asset_partitions_of: Returns the assets and partitions of a run that matter; all of them by default.
    """

    def __init__(
        self,
        deferred_runs: Iterable[DeferredRun],
        instance: dg.DagsterInstance,
        asset_partitions_of: Callable[[DeferredRun], Sequence[AssetPartition]] = lambda one: one.asset_partitions,
    ) -> None:
        self._instance = instance
        self._asset_partitions_of = asset_partitions_of
        self._by_asset = group_by(deferred_runs, lambda one: one.asset)
        self._materialized: dict[dg.AssetKey, dict[RunAndPartition, dg.EventLogRecord]] = {}
        self._evaluated: dict[WatchedAsset, StoredEvaluations] = {}
        self._by_run: dict[str, StoredEvaluations] = {}

    def judged(self, deferred_run: DeferredRun) -> Mapping[AssetPartition, dg.EventLogRecord]:
        """Returns the stored materializations of a run, without those that were wiped."""
        found = {
            (key, partition): self._materializations(deferred_run.asset, key).get((deferred_run.run_id, partition))
            for key, partition in self._asset_partitions_of(deferred_run)
        }
        return {asset_partition: record for asset_partition, record in found.items() if record is not None}

    def stored(self, deferred_run: DeferredRun) -> StoredEvaluations:
        """Returns the evaluations that are already stored; empty if this process has reported the run's first phase."""
        if not deferred_run.may_be_evaluated:
            return set()
        of_run: StoredEvaluations = set()
        if _has_partitions(deferred_run):
            # Some are evaluations of its Dagster run; see `report_evaluations`.
            dagster_run_id = deferred_run.record.dagster_run_id
            if dagster_run_id not in self._by_run:
                self._by_run[dagster_run_id] = set(
                    map(evaluation_target, run_evaluations(self._instance, dagster_run_id))
                )
            of_run = self._by_run[dagster_run_id]
        if deferred_run.asset not in self._evaluated:
            same_asset = self._by_asset[deferred_run.asset]
            times = [record.timestamp for one in same_asset for record in self.judged(one).values()]
            since = min(times, default=0.0) - MAX_HOST_CLOCK_SKEW
            checks = deferred_run.asset.check_keys if times else ()
            self._evaluated[deferred_run.asset] = stored_evaluations(self._instance, checks, since)
        return of_run | self._evaluated[deferred_run.asset] if of_run else self._evaluated[deferred_run.asset]

    def is_complete(self, deferred_run: DeferredRun) -> bool:
        """Whether each declared check has an evaluation for each materialization that it evaluates.

        Earlier versions reported evaluations that do not name a materialization. They count for a check without
        partitions.
        """
        judged, last_of = self.judged(deferred_run), dict(deferred_run.asset_partitions)
        if judged and not _has_partitions(deferred_run) and all(map(predates_two_phases, judged.values())):
            return True
        wanted = {
            (spec.key, record.storage_id)
            for spec in deferred_run.asset.definition.check_specs
            for (key, partition), record in judged.items()
            if spec.asset_key == key and (is_partitioned(spec) or partition == last_of[key])
        }
        return bool(wanted) and wanted <= self.stored(deferred_run)

    def _materializations(self, asset: WatchedAsset, key: dg.AssetKey) -> Mapping[RunAndPartition, dg.EventLogRecord]:
        if key not in self._materialized:
            same_asset = self._by_asset[asset]
            wanted = {
                (one.run_id, partition)
                for one in same_asset
                for of, partition in self._asset_partitions_of(one)
                if of == key
            }
            self._materialized[key] = materializations_of(self._instance, key, wanted)
        return self._materialized[key]


def drop_evaluated(
    deferred_runs: Sequence[DeferredRun], instance: dg.DagsterInstance, *, has_time: Callable[[], bool]
) -> list[DeferredRun]:
    """Marks runs as DONE if another process reported them and all their evaluations are stored.

    Args:
        deferred_runs: The runs.
        instance: The Dagster instance.
        has_time: Whether there is time for another asset.

    Returns:
        The runs for which there was no time.
    """
    phase = SecondPhase(deferred_runs, instance)
    remaining: list[DeferredRun] = []
    # Sorted by asset, because each asset needs its own queries.
    for deferred_run in sorted(deferred_runs, key=lambda deferred_run: deferred_run.asset.keys[0].to_user_string()):
        if not has_time():
            remaining.append(deferred_run)
        elif not deferred_run.has_current_run_class or (
            deferred_run.phase is Phase.ACTIVE and phase.is_complete(deferred_run)
        ):
            deferred_run.phase = Phase.DONE  # with another run class, its checks are unknown
    return remaining


def report_evaluations(
    evaluations: Sequence[dg.AssetCheckEvaluation],
    deferred_run: DeferredRun,
    tick: TickContext,
    has_room: Callable[[int], bool] = lambda reported: True,
) -> dg.AssetCheckEvaluation | None:
    """Reports evaluations, together with the events that the tick returns if Dagster stores them that way.

    For each partition, Dagster stores only one evaluation without a run and never a second one (see
    `report_evaluation`). So the tick returns the first one of each partition, and immediately stores all others as
    evaluations of the Dagster run that started the remote run.

    Args:
        evaluations: The evaluations.
        deferred_run: The run.
        tick: The tick.
        has_room: Whether there is room for another materialization's evaluations, after this number of evaluations.
            Those of the first materialization are always reported, so that each tick makes progress.

    Returns:
        The first evaluation for which there was no room; ``None`` if all were reported.
    """
    instance, output = tick.context.instance, tick.output
    dagster_run: dg.DagsterRun | None = None
    for reported, one in enumerate(evaluations):
        is_next = reported > 0 and evaluation_target(one)[1] != evaluation_target(evaluations[reported - 1])[1]
        if is_next and not has_room(reported):
            return one
        check, partition = one.asset_check_key, partition_of(one)
        is_first = partition is None or (
            (check, partition) not in output.runless_evaluations
            and _NO_RUN not in runs_of_check(instance, check, partition)
        )
        if is_first:
            output.evaluate(one)
            if one.target_materialization_data is not None:
                output.was_stored = partial(is_evaluated, one)
            continue
        dagster_run = dagster_run or instance.get_run_by_id(deferred_run.record.dagster_run_id)
        if dagster_run is None:
            tick.context.log.warning(
                "The checks of %s cannot be reported for %s, as Dagster run %s, which started it, was deleted",
                deferred_run,
                partition,
                deferred_run.record.dagster_run_id,
            )
            return None
        report_evaluation(instance, one, dagster_run)
    return None


def is_about(evaluation: dg.AssetCheckEvaluation, record: dg.EventLogRecord) -> bool:
    """Whether an evaluation judges this materialization."""
    return evaluation_target(evaluation)[1] == record.storage_id


def is_superseded(deferred_run: DeferredRun, tick: TickContext) -> bool | None:
    """Whether Dagster would ignore the run's evaluation of a partition, so that a Dagster run must report the outcome.

    If a partition already has an evaluation without a run, a further one replaces the plan of its Dagster run. Dagster
    uses the newest plan. If that belongs to a later Dagster run, the requested one plans the checks again.

    Returns:
        ``None`` if there was no time for all partitions. The next tick continues there.
    """
    specs = [spec for spec in deferred_run.asset.definition.check_specs if is_partitioned(spec)]
    first = {spec.asset_key: spec.key for spec in reversed(specs)}
    done = deferred_run.not_superseded
    for number, (key, partition) in enumerate(deferred_run.asset_partitions[done:], done):
        if number > done and tick.output.is_late:
            deferred_run.not_superseded = number
            return None
        if key in first and partition is not None:
            if (first[key], partition) in tick.output.runless_evaluations:
                return True
            runs = runs_of_check(tick.context.instance, first[key], partition)
            if _NO_RUN in runs and runs[0] != deferred_run.record.dagster_run_id:
                return True
    return False


def _has_partitions(deferred_run: DeferredRun) -> bool:
    return any(map(is_partitioned, deferred_run.asset.definition.check_specs))


def is_evaluated(last: dg.AssetCheckEvaluation, instance: dg.DagsterInstance) -> bool:
    """Whether an evaluation that a tick returned was stored, or the materialization that it judges was wiped since."""
    check, storage_id = evaluation_target(last)
    target = last.target_materialization_data
    since = target.timestamp - MAX_HOST_CLOCK_SKEW if target is not None else 0.0
    # The last tick reported it last, so it is one of the newest.
    if any(evaluation_target(one) == (check, storage_id) for one in newest_evaluations(instance, check, since)):
        return True
    wanted = dg.AssetRecordsFilter(check.asset_key, storage_ids=[storage_id])
    return not instance.fetch_materializations(wanted, limit=1).records
