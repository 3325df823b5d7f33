"""Reports the outcomes of observed runs: materializations and evaluations in two ticks, or a failure in one.

Before anything is reported, the event log is checked, so that a lost tick leads to no duplicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition, newest_materializations, stored_evaluations
from dagster_runs.remote_run.execution.event_log import (
    FINISHED_AT_KEY,
    OBSERVED_KEY,
    STARTED_AT_KEY,
    events,
    observed_run,
    reported_run,
    reports_of_run,
)
from dagster_runs.remote_run.execution.later_runs import has_later_materialization
from dagster_runs.remote_run.execution.provenance import current_provenance, predates_two_phases
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, RunResult
from dagster_runs.sensors import limits, run_requests
from dagster_runs.sensors.observation.cursor import PendingRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.run_outcome import FinishedRun, RunOutcome
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.sensors.table_suites import (
    completed,
    evaluated_by,
    evaluation_metadata,
    is_completed,
    missing_observations,
)
from dagster_runs.sensors.tick import TickOutput
from dagster_runs.sensors.tick_summary import describe
from dagster_runs.transport.clock import machine_time
from dagster_runs.transport.errors import VendorError


@dataclass
class ObservationOutput(TickOutput):
    """The output of a tick of the observation sensor.

    Attributes:
        runs: The number of runs that it reports.
        problems: What its summary mentions.
    """

    runs: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ObservedRun:
    """A finished run that was started elsewhere.

    Attributes:
        asset: The definition whose assets it materializes.
        run_id: The vendor's id of the run.
        pending: What the cursor has about it.
        status: The final status.
    """

    asset: WatchedAsset
    run_id: str
    pending: PendingRun
    status: RunStatus


@dataclass(frozen=True)
class ObservedOutcomes:
    """Reports the finished runs of one resource.

    Attributes:
        resource: The resource.
        pending: All runs of the resource that are not reported yet, by id.
        output: The output of the tick.
        context: The sensor's context.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
        results: The results of runs whose report is not complete, by id.
    """

    resource: RemoteRunResource
    pending: Mapping[str, PendingRun]
    output: ObservationOutput
    context: dg.SensorEvaluationContext
    follow_up: FollowUp | None
    results: dict[str, RunResult] = field(default_factory=dict)

    def report(self, observed: ObservedRun) -> bool:
        """Reports the outcome of a run, or the next part of it.

        Returns:
            Whether nothing is left to report.
        """
        asset, state = observed.asset, observed.status.state
        is_complete = True
        if state is RunState.SUCCEEDED:
            is_complete = self._report_success(observed)
        else:
            self._report_failure(observed)
        if is_complete and self.follow_up is not None:
            finished = FinishedRun(observed.run_id, asset.fixed_run.vendor, state, asset.keys)
            self.output.requests += run_requests.follow_up_requests(self.follow_up, finished, self.context)
        return is_complete

    def _report_success(self, observed: ObservedRun) -> bool:
        """Reports materializations, or in a later tick the evaluations. Returns whether everything is reported."""
        instance, asset, pending = self.context.instance, observed.asset, observed.pending
        since = machine_time(pending.created_at - limits.LISTED_LATE)
        judged: dict[AssetPartition, dg.EventLogRecord] = {}
        for key in asset.keys:
            wanted = dg.AssetRecordsFilter(key, after_timestamp=since)
            for record in islice(reports_of_run(instance, wanted, observed.run_id), 1):
                judged[key, None] = record
        missing = [(key, None) for key in asset.keys if (key, None) not in judged]
        if not missing and asset.suite is not None:
            is_complete = self._report_tables(observed, judged, since)
            pending.is_materialized = not is_complete
            return is_complete
        if not missing:
            if not all(map(predates_two_phases, judged.values())):
                stored_since = min(record.timestamp for record in judged.values()) - MAX_HOST_CLOCK_SKEW
                stored = stored_evaluations(instance, asset.check_keys, stored_since)
                outcome = self._outcome(observed, [*judged], is_materialized=True)
                for one in outcome.evaluations(judged, stored):
                    self.output.evaluate(one)
            pending.is_materialized = False
            return True
        if self._is_superseded(observed):
            self._report_superseded(observed)
            # The tables of a suite may have no later result. Their evaluations need an event that is stored already.
            newest = newest_materializations(instance, missing)
            return asset.suite is None or self._report_tables(observed, newest, since)
        # One run at a time: otherwise an earlier run's evaluation would count for this run's materialization.
        if not self._has_unevaluated(observed):
            outcome = self._outcome(observed, missing)
            self.output.events += outcome.materializations(instance, self.output.all_events)
            self._count(observed, "materialized")
            pending.is_materialized = True
        return False

    def _report_tables(
        self, observed: ObservedRun, judged: Mapping[AssetPartition, dg.EventLogRecord], since: float
    ) -> bool:
        """Reports the checks of the suite's asset and of the tables that were tested, unless they are reported already.

        Returns:
            Whether all of them are reported. Otherwise, the next tick reports the rest.
        """
        instance, suite, run_id = self.context.instance, observed.asset.suite, observed.run_id
        key = observed.asset.keys[0]
        if is_completed(suite, run_id, since, instance):
            return True
        outcome = self._outcome(observed, [*judged], is_materialized=True)
        stored_since = judged[key, None].timestamp - MAX_HOST_CLOCK_SKEW
        of_asset = stored_evaluations(instance, observed.asset.check_keys, stored_since)
        if not self._is_superseded(observed):
            for one in outcome.evaluations(judged, of_asset):
                self.output.evaluate(one)
        stored = evaluated_by(instance, suite.table_checks, run_id, since)
        report = suite.report_observed(
            instance,
            self._started_at(observed),
            judged[key, None],
            outcome.result,
            evaluation_metadata(outcome),
            reported=stored,
        )
        count = len(stored)
        for one in report.evaluations():
            if self.output.is_full:
                return False
            if one.asset_check_key in stored:
                self.output.events += missing_observations(report, one, instance, since)
                continue
            count += 1
            self.output.evaluate(one)
            self.output.events += report.observations_with(one)
        for message in report.messages:
            self.context.log.warning("%s", message)
        self.output.events.append(completed(suite, run_id, observed.status, report, count))
        return True

    def _started_at(self, observed: ObservedRun) -> float | None:
        """Returns when the run started, in epoch seconds by our clock; ``None`` if it is not known exactly enough."""
        client = self.resource.http()
        return client.by_our_clock(observed.status.started_at) if client.clock_ahead is not None else None

    def _has_unevaluated(self, observed: ObservedRun) -> bool:
        """Whether another run of the asset is materialized, but its evaluations are not reported."""
        asset, run_id = observed.pending.asset, observed.run_id
        others = {other: one for other, one in self.pending.items() if other != run_id and one.asset == asset}
        if any(one.is_materialized for one in others.values()):
            return True
        # The cursor does not reflect what a lost tick reported.
        newest = newest_materializations(self.context.instance, [(key, None) for key in observed.asset.keys])
        return any(reported_run(record) in others for record in newest.values())

    def _is_superseded(self, observed: ObservedRun) -> bool:
        """Whether a later run of Dagster is reported already, so that this run must not be the latest result.

        A run of a suite makes no data, so the one that started later has seen the newer data.
        """
        status, asset = observed.status, observed.asset
        is_suite = asset.suite is not None
        time, name = (status.started_at, STARTED_AT_KEY) if is_suite else (status.finished_at, FINISHED_AT_KEY)
        at = None if time is None else time.timestamp()
        return has_later_materialization(self.context.instance, asset.keys, observed.run_id, at, name)

    def _report_superseded(self, observed: ObservedRun) -> None:
        """Reports only an observation, unless the run is reported already."""
        found: list[AssetPartition] = [
            (key, None) for key in observed.asset.keys if not _is_reported(self.context.instance, key, observed)
        ]
        if found:
            self.output.events += self._outcome(observed, found).observations(_SUPERSEDED)
            self._count(observed, "not materialized, as a later run is")

    def _report_failure(self, observed: ObservedRun) -> None:
        """Reports a run that did not succeed, unless it is reported already."""
        instance = self.context.instance
        if self._is_superseded(observed):
            self._report_superseded(observed)
            return
        asset_partitions: list[AssetPartition] = [
            (key, None) for key in observed.asset.keys if not _is_reported(instance, key, observed)
        ]
        if asset_partitions:
            newest = newest_materializations(instance, asset_partitions)
            self.output.events += self._outcome(observed, asset_partitions, newest=newest).as_failure()
            self._count(observed, "reported as an observation")

    def _count(self, observed: ObservedRun, what: str) -> None:
        phrase = describe(observed.asset.keys, observed.asset.fixed_run, observed.run_id, observed.status)
        self.output.done.append(f"{phrase}, {what}")
        self.output.runs += 1

    def _outcome(
        self,
        observed: ObservedRun,
        asset_partitions: Sequence[AssetPartition],
        *,
        newest: Mapping[AssetPartition, dg.EventLogRecord] = MappingProxyType({}),
        is_materialized: bool = False,
    ) -> RunOutcome:
        asset = observed.asset
        return RunOutcome(
            asset=asset,
            asset_partitions=asset_partitions,
            run=asset.fixed_run,
            run_id=observed.run_id,
            resource=self.resource,
            status=observed.status,
            result=self._result(observed, is_materialized=is_materialized),
            more={OBSERVED_KEY: dg.MetadataValue.bool(True)},
            provenance=current_provenance(
                self.context.instance,
                asset.definition,
                asset.keys,
                default_code_version=observed.run_id,
                # The time of the run's creation is the best estimate of when it read its inputs.
                before=machine_time(observed.pending.created_at),
            ),
            newest=newest,
        )

    def _result(self, observed: ObservedRun, *, is_materialized: bool) -> RunResult:
        run, gate = observed.asset.fixed_run, observed.asset.remote.options.gate
        if observed.run_id in self.results:
            return self.results[observed.run_id]
        try:
            result = run.get_result(self.resource, observed.run_id, observed.status, gate)
            if result.tests or result.tables:  # takes many calls
                self.results[observed.run_id] = result
            return result
        except VendorError as error:
            if observed.status.state is not RunState.SUCCEEDED:
                return RunResult()  # it is already known that the run did not succeed
            if not (is_materialized and error.is_permanent):
                raise
            # Later runs of the asset wait for the checks of this one.
            self.context.log.warning(
                "The result of %s run %s can no longer be fetched, so only its run_status is reported: %s",
                run.vendor,
                observed.run_id,
                error,
            )
            return RunResult()


_SUPERSEDED = ". A later run is reported already, so this one has neither a materialization nor checks"


def _is_reported(instance: dg.DagsterInstance, key: dg.AssetKey, observed: ObservedRun) -> bool:
    since = machine_time(observed.pending.created_at - limits.LISTED_LATE)
    wanted = dg.AssetRecordsFilter(key, after_timestamp=since)
    if any(reports_of_run(instance, wanted, observed.run_id)):
        return True
    return any(observed_run(event) == observed.run_id for event in events(instance.fetch_observations, wanted))
