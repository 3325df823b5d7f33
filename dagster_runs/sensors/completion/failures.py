"""Has Dagster runs publish the deferred runs that did not succeed, so that alerts and retries work as usual.

A run that no Dagster run can publish is reported by the sensor itself.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import newest_materializations
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors import run_requests
from dagster_runs.sensors.completion import requested_runs
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.deferred_run import DeferredRun, Phase
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.second_phase import report_evaluations
from dagster_runs.sensors.launch_validation import NotPrepared
from dagster_runs.sensors.outages import OutageLog
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock


class Failures:
    """Requests the Dagster runs that publish failures, and watches each until it has ended.

    Args:
        jobs: The jobs that the sensor may request, by name.
        default_jobs: For each asset, the job that publishes runs which other jobs deferred.
        follow_ups: Requests what the user wants after each run.
    """

    def __init__(
        self, jobs: Mapping[str, Any], default_jobs: Mapping[WatchedAsset, str], follow_ups: FollowUps
    ) -> None:
        self._jobs = jobs
        self._default_jobs = default_jobs
        self._follow_ups = follow_ups
        self._unprepared: dict[DeferredRun, NotPrepared] = {}
        self._log = OutageLog()
        self._turn = 0
        self._began_at: dict[str, float] = {}

    def request(self, tick: TickContext) -> None:
        """Request Dagster runs, and decide what to do about those that were requested before."""
        report = tick.report
        # They take time as events do, so half of it is left to what succeeded.
        share = 2 if any(deferred_run.phase is Phase.SUCCEEDED for deferred_run in tick.deferred_runs) else 1
        most, max_reported = max(1, report.max_requests // share), report.max_events // share // 2
        before = len(report.requests)
        needing = self._needing(tick, most=most, max_reported=max_reported)
        now = current_clock().wall()
        noted = tick.deferred_runs.noted(requested_runs.AT_ONCE)
        asked = [*needing, *self._requested_in_turn(tick.deferred_runs), *noted]
        for deferred_run, runs in requested_runs.requested_runs(asked, tick.context.instance).items():
            end = noted.get(deferred_run)
            died = [
                run for run in runs if requested_runs.has_died(run, deferred_run, end, now, self._seen_for(run, now))
            ]
            given_up = len(died) + sum(requested_runs.never_began(run) for run in runs)
            is_by_another = end is not None and end.dagster_run_id not in {run.dagster_run.run_id for run in runs}
            if is_by_another or any(requested_runs.is_over(run) for run in runs):
                deferred_run.phase = Phase.DONE
                tick.deferred_runs.settle(deferred_run)
                for run in runs:
                    self._began_at.pop(run.dagster_run.run_id, None)
            elif given_up < len(runs) or not tick.has_resource(deferred_run):
                deferred_run.phase = Phase.RUN_REQUESTED  # it waits in Dagster's queue
            elif given_up >= requested_runs.MAX_ATTEMPTS:
                deferred_run.phase = Phase.DONE
                tick.deferred_runs.settle(deferred_run)
                tick.context.log.error(
                    "The end of %s run %s is not published: each of %d Dagster runs for it was given up or never ended",
                    deferred_run.run.vendor,
                    deferred_run.run_id,
                    given_up,
                )
            elif len(report.requests) == before or (len(report.requests) - before < most and not report.is_late):
                try:
                    self._request_one(tick, deferred_run, died, given_up)
                except NotPrepared as error:
                    self._unprepared[deferred_run] = error
                except run_requests.CannotRequestRun as why:
                    if end is None:
                        self._tell_without_step(tick, deferred_run, why=why)
                        continue
                    # What was published is there; only no Dagster run has failed for it.
                    tick.deferred_runs.settle(deferred_run)
                    tick.context.log.warning(
                        "%s run %s: no Dagster run can fail for its end. %s",
                        deferred_run.run.vendor,
                        deferred_run.run_id,
                        why,
                    )

    def problems(self) -> dict[str, str]:
        """The messages for the runs whose Dagster run could not be prepared in the last tick, by which run it is."""
        ends = {_named(deferred_run): error for deferred_run, error in self._unprepared.items()}
        return {
            end: f"{end} is not published yet: its Dagster run cannot be prepared: {error}. The next tick tries again"
            for end, error in ends.items()
        }

    def log_problems(self, log: logging.Logger) -> dict[str, str]:
        """Log each of the `problems` once, with its traceback, and return them."""
        said = self.problems()
        causes = {_named(deferred_run): error.__cause__ or error for deferred_run, error in self._unprepared.items()}
        self._log.update(log, said, over="%s is no longer held up, after %.0f s", errors=causes)
        return said

    def _needing(self, tick: TickContext, *, most: int, max_reported: int) -> list[DeferredRun]:
        """Find the runs that a Dagster run can publish, and report those that none can."""
        report, needing = tick.report, list[DeferredRun]()
        before = len(report.requests)
        # Without its resource Dagster would refuse a run, and with it the whole tick. Those for which an error of code
        # kept a run from being prepared come last, so that they hold up no others.
        candidates = [
            deferred_run
            for deferred_run in tick.deferred_runs
            if deferred_run.phase is Phase.NEEDS_DAGSTER_RUN and tick.has_resource(deferred_run)
        ]
        self._unprepared = {
            deferred_run: self._unprepared[deferred_run]
            for deferred_run in candidates
            if deferred_run in self._unprepared
        }
        for deferred_run in sorted(candidates, key=lambda deferred_run: deferred_run in self._unprepared):
            self._unprepared.pop(deferred_run, None)
            try:
                run_requests.check_step(deferred_run, tick.context.instance)
                needing.append(deferred_run)
            except NotPrepared as error:
                self._unprepared[deferred_run] = error
            except run_requests.CannotRequestRun as why:
                self._tell_without_step(tick, deferred_run, why=why)
            is_full = len(needing) >= most or len(report.requests) - before >= most
            if is_full or len(report.events) >= max_reported or report.is_late:
                break
        return needing

    def _request_one(
        self, tick: TickContext, deferred_run: DeferredRun, died: Sequence[dg.RunRecord], given_up: int
    ) -> None:
        """Request the Dagster run that publishes a remote run.

        Raises:
            NoStep: There can be none.
            NotPrepared: An error of code kept it from being prepared.
        """
        default, dead = self._default_jobs[deferred_run.asset], [run.dagster_run.run_id for run in died]
        request = run_requests.to_publish(
            deferred_run, tick.context, self._jobs, default, attempt=given_up, instead_of=dead
        )
        deferred_run.phase = Phase.RUN_REQUESTED
        tick.report.requests.append(request)
        if dead:
            tick.context.log.warning(
                "Dagster run %s was to publish the end of %s run %s, and never ended: its worker may have died. "
                "Requesting another one, so that the end is published by a Dagster run that fails",
                dead[-1],
                deferred_run.run.vendor,
                deferred_run.run_id,
            )
        if not given_up:
            self._follow_ups.request(deferred_run, tick.report, tick.context)

    def _seen_for(self, run: dg.RunRecord, now: float) -> float:
        """Seconds for which this process has known that a Dagster run began."""
        return now - self._began_at.setdefault(run.dagster_run.run_id, now) if run.start_time is not None else 0.0

    def _requested_in_turn(self, deferred_runs: DeferredRunIndex) -> list[DeferredRun]:
        """As many runs whose Dagster run was requested as one query covers; later ticks take the others."""
        requested = [deferred_run for deferred_run in deferred_runs if deferred_run.phase is Phase.RUN_REQUESTED]
        first = self._turn % len(requested) if requested else 0
        self._turn += requested_runs.AT_ONCE
        return (requested[first:] + requested[:first])[: requested_runs.AT_ONCE]

    def _tell_without_step(
        self, tick: TickContext, deferred_run: DeferredRun, *, why: run_requests.CannotRequestRun
    ) -> None:
        """Report a run that no Dagster run can publish. Requesting one would fail the tick."""
        if deferred_run.is_superseded:
            deferred_run.phase = Phase.SUCCEEDED
            return
        if not tick.has_resource(deferred_run):
            return  # its address is part of what is reported; the next tick tries again
        asset_partitions = tick.published.unreported(deferred_run)
        ended = tick.ended(
            deferred_run, asset_partitions, newest_materializations(tick.context.instance, asset_partitions)
        )
        try:
            events = ended.as_failure()
        except Exception:  # the vendor's code failed; that the run ended is known
            tick.context.log.exception(
                "Could not convert the result of %s run %s to Dagster events; reporting the failure without it",
                deferred_run.run.vendor,
                deferred_run.run_id,
            )
            events = replace(ended, result=RunResult(), is_of_kind=False).as_failure()
        evaluated = [one for one in events if isinstance(one, dg.AssetCheckEvaluation)]
        report_evaluations(evaluated, deferred_run, tick, lambda: True)
        tick.report.events += [one for one in events if not isinstance(one, dg.AssetCheckEvaluation)]
        tick.context.log.warning(
            "%s run %s ended %s. %s, so no Dagster run tells of it",
            deferred_run.run.vendor,
            deferred_run.run_id,
            deferred_run.last_status.vendor_status or "beyond its time",
            why,
        )
        deferred_run.phase = Phase.DONE
        self._follow_ups.request(deferred_run, tick.report, tick.context)


def _named(deferred_run: DeferredRun) -> str:
    of = ", ".join(key.to_user_string() for key in deferred_run.keys)
    return f"The end of {deferred_run.run.vendor} run {deferred_run.run_id} of {of}"
