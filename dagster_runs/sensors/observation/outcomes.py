"""Reports the outcomes of observed runs: materializations and evaluations in two ticks, or a failure in one.

Before anything is reported, the event log is checked, so that a lost tick leads to no duplicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition, newest_materializations, stored_evaluations
from dagster_runs.remote_run.execution.event_log import events, observed_run, publications, published_run
from dagster_runs.remote_run.execution.provenance import current_provenance, is_reported_in_one_phase
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, RunResult
from dagster_runs.sensors import limits, run_requests
from dagster_runs.sensors.observation.cursor import PendingRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.run_outcome import AssetEvent, FinishedRun, RunOutcome
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.transport.clock import machine_time
from dagster_runs.transport.errors import VendorError


@dataclass
class ObservationOutput:
    """The output of a tick of the observation sensor."""

    evaluations: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    """Evaluations of stored materializations. They precede all other events, which may belong to later runs."""
    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    runs: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the rest must be left to the next tick."""
        return (
            len(self.evaluations) + len(self.events) >= limits.MAX_OBSERVED_EVENTS
            or len(self.requests) >= limits.MAX_OBSERVED_REQUESTS
        )


@dataclass(frozen=True)
class ObservedOutcomes:
    """Reports the finished runs of one resource.

    Attributes:
        resource: The resource.
        pending: All runs of the resource that are not reported yet, by id.
        output: The output of the tick.
        context: The sensor's context.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
    """

    resource: RemoteRunResource
    pending: Mapping[str, PendingRun]
    output: ObservationOutput
    context: dg.SensorEvaluationContext
    follow_up: FollowUp | None

    def report(self, asset: WatchedAsset, run_id: str, pending_run: PendingRun, status: RunStatus) -> bool:
        """Reports the outcome of a run, or the next part of it.

        Returns:
            Whether nothing is left to report.
        """
        run = asset.fixed_run
        if status.state is RunState.SUCCEEDED:
            is_complete = self._report_success(asset, run_id, pending_run, status)
        else:
            is_complete = True
            self._report_failure(asset, run_id, pending_run, status)
        if is_complete and self.follow_up is not None:
            finished = FinishedRun(run_id, run.vendor, status.state, asset.keys)
            self.output.requests += run_requests.to_follow_up(self.follow_up, finished, self.context)
        return is_complete

    def _report_success(self, asset: WatchedAsset, run_id: str, pending_run: PendingRun, status: RunStatus) -> bool:
        """Reports materializations, or in a later tick the evaluations. Returns whether everything is reported."""
        instance, since = self.context.instance, machine_time(pending_run.created_at - limits.LISTED_LATE)
        judged: dict[AssetPartition, dg.EventLogRecord] = {}
        for key in asset.keys:
            wanted = dg.AssetRecordsFilter(key, after_timestamp=since)
            found = next(publications(instance, wanted, run_id), None)
            if found is not None:
                judged[key, None] = found
        missing = [(key, None) for key in asset.keys if (key, None) not in judged]
        if judged and not missing and all(map(is_reported_in_one_phase, judged.values())):
            return True
        if not missing:
            times = [record.timestamp for record in judged.values()]
            stored = stored_evaluations(instance, asset.check_keys, min(times) - MAX_HOST_CLOCK_SKEW)
            outcome = self._outcome(asset, [*judged], run_id, pending_run, status, is_materialized=True)
            self.output.evaluations += outcome.evaluations(judged, stored)
            pending_run.is_materialized = False
            return True
        # One run at a time: otherwise an earlier run's evaluation would count for this run's materialization.
        if not self._has_unevaluated(asset, run_id, pending_run):
            outcome = self._outcome(asset, missing, run_id, pending_run, status)
            self.output.events += outcome.materializations(instance, [*self.output.evaluations, *self.output.events])
            self.output.runs += 1
            pending_run.is_materialized = True
        return False

    def _has_unevaluated(self, asset: WatchedAsset, run_id: str, pending_run: PendingRun) -> bool:
        """Whether another run of the asset is materialized, but its evaluations are not reported."""
        others = {
            other: one for other, one in self.pending.items() if other != run_id and one.asset == pending_run.asset
        }
        if any(one.is_materialized for one in others.values()):
            return True
        # The cursor does not contain what a lost tick has reported.
        newest = newest_materializations(self.context.instance, [(key, None) for key in asset.keys])
        return any(published_run(record) in others for record in newest.values())

    def _report_failure(self, asset: WatchedAsset, run_id: str, pending_run: PendingRun, status: RunStatus) -> None:
        instance = self.context.instance
        asset_partitions: list[AssetPartition] = [
            (key, None) for key in asset.keys if not _is_reported(instance, key, run_id, pending_run.created_at)
        ]
        if asset_partitions:
            newest = newest_materializations(instance, asset_partitions)
            self.output.events += self._outcome(
                asset, asset_partitions, run_id, pending_run, status, newest=newest
            ).as_failure()
            self.output.runs += 1

    def _outcome(
        self,
        asset: WatchedAsset,
        asset_partitions: Sequence[AssetPartition],
        run_id: str,
        pending_run: PendingRun,
        status: RunStatus,
        *,
        newest: Mapping[AssetPartition, dg.EventLogRecord] = MappingProxyType({}),
        is_materialized: bool = False,
    ) -> RunOutcome:
        return RunOutcome(
            asset=asset,
            asset_partitions=asset_partitions,
            run=asset.fixed_run,
            run_id=run_id,
            resource=self.resource,
            status=status,
            result=self._result(asset, run_id, status, is_materialized=is_materialized),
            more={"dagster_runs/observed": dg.MetadataValue.bool(True)},
            provenance=current_provenance(
                self.context.instance,
                asset.definition,
                asset.keys,
                default_code_version=run_id,
                # The time of the run's creation is the best estimate of when it read its inputs.
                before=machine_time(pending_run.created_at),
            ),
            newest=newest,
        )

    def _result(self, asset: WatchedAsset, run_id: str, status: RunStatus, *, is_materialized: bool) -> RunResult:
        try:
            return asset.fixed_run.fetch_result(self.resource, run_id, status, asset.remote.options.gate)
        except VendorError as error:
            if status.state is not RunState.SUCCEEDED:
                return RunResult()  # it is already known that the run did not succeed
            if not (is_materialized and error.is_permanent):
                raise
            # Later runs of the asset wait for the checks of this one.
            self.context.log.warning(
                "The result of %s run %s can no longer be fetched, so only its run_status is reported: %s",
                asset.fixed_run.vendor,
                run_id,
                error,
            )
            return RunResult()


def _is_reported(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, created_at: float) -> bool:
    wanted = dg.AssetRecordsFilter(key, after_timestamp=machine_time(created_at - limits.LISTED_LATE))
    if any(publications(instance, wanted, run_id)):
        return True
    return any(observed_run(event) == run_id for event in events(instance.fetch_observations, wanted))
