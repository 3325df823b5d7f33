"""The context of one tick of the completion sensor: what its parts read, and where they report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import ReportedRuns
from dagster_runs.sensors.completion.deferred_run import DeferredRun, RecordedRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.run_outcome import RunOutcome
from dagster_runs.sensors.tick import TickOutput


@dataclass(frozen=True)
class TickContext:
    """One tick, after its polls.

    Attributes:
        deferred_runs: All deferred runs.
        reported: The runs that have already been reported.
        resources: The usable resources, by key.
        output: The output of the tick.
        context: The sensor's context.
    """

    deferred_runs: DeferredRunIndex
    reported: ReportedRuns
    resources: Mapping[str, RemoteRunResource]
    output: TickOutput
    context: dg.SensorEvaluationContext

    def has_resource(self, deferred_run: RecordedRun) -> bool:
        """Whether the run's resource can be used."""
        return deferred_run.asset.remote.resource_key in self.resources

    def in_phase(self, phase: Phase) -> list[DeferredRun]:
        """Returns the runs in a phase whose resource can be used. The others wait until theirs can."""
        return [one for one in self.deferred_runs if one.phase is phase and self.has_resource(one)]

    def outcome_of(
        self,
        deferred_run: DeferredRun,
        asset_partitions: Sequence[AssetPartition],
        newest: Mapping[AssetPartition, dg.EventLogRecord] = MappingProxyType({}),
    ) -> RunOutcome:
        """Returns the outcome of a run, according to the last poll.

        Args:
            deferred_run: The run. Its resource must be usable.
            asset_partitions: The assets and partitions to report.
            newest: The newest materialization of each asset and partition, for a run that did not succeed.
        """
        return RunOutcome(
            asset=deferred_run.asset,
            asset_partitions=asset_partitions,
            run=deferred_run.run,
            run_id=deferred_run.run_id,
            resource=self.resources[deferred_run.asset.remote.resource_key],
            status=deferred_run.last_status,
            result=deferred_run.result,
            more={"dagster_runs/deferred_by": dg.MetadataValue.dagster_run(deferred_run.record.dagster_run_id)},
            provenance=deferred_run.provenance,
            newest=newest,
            last_of=dict(deferred_run.asset_partitions),
            has_current_run_class=deferred_run.has_current_run_class,
        )
