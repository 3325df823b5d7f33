"""Requests Dagster runs to report the deferred runs that did not succeed, so that alerts and retries work as usual.

If no Dagster run can report a run, the sensor reports it itself.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition, newest_materializations
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion import asset_requests
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Action, Phase, RequestedRun, action_for_requested_runs
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.requested_runs import ReportedEnd, requested_run_state, requested_runs
from dagster_runs.sensors.completion.second_phase import report_evaluations
from dagster_runs.sensors.launch_validation import RequestPreparationError
from dagster_runs.sensors.outages import OutageLog
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock


class Failures:
    """Requests the Dagster runs that report failures, and watches each one until it has finished.

    Args:
        jobs: The jobs that the sensor may request, by name.
        default_jobs: For each asset, the job that reports runs which other jobs deferred.
        follow_ups: Requests what the user wants after each run.
    """

    def __init__(
        self, jobs: Mapping[str, Any], default_jobs: Mapping[WatchedAsset, str], follow_ups: FollowUps
    ) -> None:
        self._jobs = jobs
        self._default_jobs = default_jobs
        self._follow_ups = follow_ups
        self._unprepared: dict[DeferredRun, RequestPreparationError] = {}
        self._log = OutageLog()
        self._turn = 0
        self._began_at: dict[str, float] = {}

    def request(self, tick: TickContext) -> None:
        """Requests Dagster runs, and decides what to do about those that were requested before."""
        output = tick.output
        # Requests take time, like events, so half of the time is left for the runs that succeeded: a thousand failures
        # at one vendor must not delay the successes of others.
        has_successes = tick.in_phase(Phase.SUCCEEDED) or tick.in_phase(Phase.MATERIALIZED)
        share = 2 if has_successes else 1
        most, max_reported = max(1, limits.MAX_TICK_REQUESTS // share), limits.MAX_TICK_EVENTS // share // 2
        before = len(output.requests)
        reportable = self._find_reportable(tick, most=most, max_reported=max_reported)
        reported = tick.deferred_runs.reported_ends(limits.RUNS_PER_QUERY)
        wanted = [*reportable, *self._requested_in_turn(tick.deferred_runs), *reported]
        for deferred_run, runs in requested_runs(wanted, tick.context.instance).items():
            requested = len(output.requests) - before
            has_room = not requested or (requested < most and not output.is_late)
            self._handle_outcome(tick, deferred_run, runs, reported.get(deferred_run), has_room=has_room)

    def _handle_outcome(
        self,
        tick: TickContext,
        deferred_run: DeferredRun,
        runs: Sequence[dg.RunRecord],
        reported: ReportedEnd | None,
        *,
        has_room: bool,
    ) -> None:
        """Decides what to do about one outcome, and does it.

        Args:
            tick: The tick.
            deferred_run: The deferred run.
            runs: The Dagster runs that were requested for its outcome.
            reported: The entry with which a Dagster run has recorded its outcome.
            has_room: Whether another Dagster run may be requested in this tick.
        """
        now = current_clock().wall()
        states = {run.dagster_run.run_id: self._state_of(run, deferred_run, reported, now) for run in runs}
        is_by_another = reported is not None and reported.dagster_run_id not in states
        can_request = tick.has_resource(deferred_run)
        action = action_for_requested_runs(
            [*states.values()], is_reported_by_another=is_by_another, can_request=can_request
        )
        if action is Action.FINISH:
            self._finish(tick, deferred_run)
            has_succeeded = deferred_run.last_status.state is RunState.SUCCEEDED
            if has_succeeded and any(run.dagster_run.is_success for run in runs):
                self._follow_ups.proceed(deferred_run, tick)
            for run_id in states:
                self._began_at.pop(run_id, None)
        elif action is Action.WAIT:
            deferred_run.phase = Phase.RUN_REQUESTED
        elif action is Action.GIVE_UP:
            self._finish(tick, deferred_run)
            tick.context.log.error(
                "The outcome of %s is not reported: each of %d Dagster runs for it failed before it began or never "
                "finished",
                deferred_run,
                len(states),
            )
        elif has_room:
            died = [run_id for run_id, state in states.items() if state is RequestedRun.DIED]
            self._request(tick, deferred_run, died, attempt=len(states), is_reported=reported is not None)

    def _finish(self, tick: TickContext, deferred_run: DeferredRun) -> None:
        deferred_run.phase = Phase.DONE
        tick.deferred_runs.remove_reported_end(deferred_run)
        tick.output.done.append(f"{deferred_run.phrase}{_known_problem_of(deferred_run)}, reported by a Dagster run")

    def problems(self) -> dict[str, str]:
        """Returns a message for each run whose Dagster run could not be prepared in the last tick, by run."""
        return {
            name: f"{name} is not reported yet: its Dagster run cannot be prepared: {error}. The next tick tries again"
            for name, error in self._errors().items()
        }

    def log_problems(self, log: logging.Logger) -> dict[str, str]:
        """Logs each of the `problems` once, with its traceback, and returns them."""
        problems, causes = self.problems(), {name: one.__cause__ or one for name, one in self._errors().items()}
        self._log.update(log, problems, over="%s is no longer delayed, after %.0f s", errors=causes)
        return problems

    def _errors(self) -> dict[str, RequestPreparationError]:
        return {
            f"The outcome of {one} of {', '.join(key.to_user_string() for key in one.keys)}": error
            for one, error in self._unprepared.items()
        }

    def _find_reportable(self, tick: TickContext, *, most: int, max_reported: int) -> list[DeferredRun]:
        """Returns the runs to report with a Dagster run; reports the others directly."""
        output, reportable = tick.output, list[DeferredRun]()
        before = len(output.requests)
        # Without its resource, Dagster would reject a run, and the whole tick with it. Runs whose Dagster run could not
        # be prepared because of an error in code come last, so that they do not delay the others.
        candidates = tick.in_phase(Phase.NEEDS_DAGSTER_RUN)
        self._unprepared = {one: self._unprepared[one] for one in candidates if one in self._unprepared}
        for deferred_run in sorted(candidates, key=lambda deferred_run: deferred_run in self._unprepared):
            self._unprepared.pop(deferred_run, None)
            try:
                asset_requests.check_partitions(deferred_run, tick.context.instance)
                reportable.append(deferred_run)
            except RequestPreparationError as error:
                self._unprepared[deferred_run] = error
            except asset_requests.CannotRequestRun as why:
                self._report_without_step(tick, deferred_run, why=why)
            is_full = len(reportable) >= most or len(output.requests) - before >= most
            if is_full or len(output.all_events) >= max_reported or output.is_late:
                break
        return reportable

    def _request(
        self, tick: TickContext, deferred_run: DeferredRun, died: Sequence[str], *, attempt: int, is_reported: bool
    ) -> None:
        """Requests the Dagster run that reports the outcome of a deferred run.

        Args:
            tick: The tick.
            deferred_run: The deferred run.
            died: The ids of the Dagster runs for the same outcome whose workers have died.
            attempt: The number of Dagster runs that were requested for it before.
            is_reported: Whether one of these has recorded the outcome.
        """
        try:
            request = asset_requests.report_request(
                deferred_run,
                tick.context,
                self._jobs,
                self._default_jobs[deferred_run.asset],
                attempt=attempt,
                replaces=died,
            )
        except RequestPreparationError as error:
            self._unprepared[deferred_run] = error
            return
        except asset_requests.CannotRequestRun as why:
            if not is_reported:
                self._report_without_step(tick, deferred_run, why=why)
                return
            # The outcome is in the event log, but no Dagster run has failed because of it.
            tick.deferred_runs.remove_reported_end(deferred_run)
            tick.context.log.warning("%s: no Dagster run can fail for its outcome. %s", deferred_run, why)
            return
        deferred_run.phase = Phase.RUN_REQUESTED
        tick.output.requests.append(request)
        problem = _known_problem_of(deferred_run)
        if not problem and not deferred_run.last_status.state.is_final:
            problem = " cannot be interpreted"
        tick.output.done.append(f"{deferred_run.phrase}{problem}, a Dagster run of {request.job_name} reports it")
        if died:
            tick.context.log.warning(
                "Dagster run %s should have reported the outcome of %s but never finished: its worker may have died. "
                "Requesting another Dagster run to report the outcome",
                died[-1],
                deferred_run,
            )
        if not attempt:
            self._follow_ups.request(deferred_run, tick, is_reported=False)

    def _state_of(
        self, run: dg.RunRecord, deferred_run: DeferredRun, reported: ReportedEnd | None, now: float
    ) -> RequestedRun:
        run_id = run.dagster_run.run_id
        begun_for = now - self._began_at.setdefault(run_id, now) if run.start_time is not None else 0.0
        return requested_run_state(run, deferred_run, reported, now, begun_for)

    def _requested_in_turn(self, deferred_runs: DeferredRunIndex) -> list[DeferredRun]:
        """Returns as many runs with a requested Dagster run as one query covers. Later ticks check the others."""
        requested = [deferred_run for deferred_run in deferred_runs if deferred_run.phase is Phase.RUN_REQUESTED]
        first = self._turn % len(requested) if requested else 0
        self._turn += limits.RUNS_PER_QUERY
        return (requested[first:] + requested[:first])[: limits.RUNS_PER_QUERY]

    def _report_without_step(
        self, tick: TickContext, deferred_run: DeferredRun, *, why: asset_requests.CannotRequestRun
    ) -> None:
        """Reports a run that no Dagster run can report. Requesting one would fail the tick."""
        if deferred_run.is_superseded:
            deferred_run.phase = Phase.SUCCEEDED
            return
        if not tick.has_resource(deferred_run):
            return  # the run's URL is part of what is reported; the next tick tries again
        remaining = [pair for pair in tick.reported.unreported(deferred_run) if pair not in deferred_run.observed]
        while remaining:
            part, remaining = remaining[: limits.EVALUATED_AT_ONCE], remaining[limits.EVALUATED_AT_ONCE :]
            self._report_part(tick, deferred_run, part)
            deferred_run.observed.update(part)
            if remaining and (tick.output.is_late or not tick.output.has_room_for_events):
                return  # the next tick continues
        status = deferred_run.last_status.vendor_status
        ended = f"ended with status {status}" if status else "exceeded its deadline"
        tick.context.log.warning("%s %s. %s, so no Dagster run reports it", deferred_run, ended, why)
        problem = _known_problem_of(deferred_run)
        tick.output.done.append(f"{deferred_run.phrase}{problem}, reported without a Dagster run")
        deferred_run.phase = Phase.DONE
        self._follow_ups.request(deferred_run, tick)

    def _report_part(
        self, tick: TickContext, deferred_run: DeferredRun, asset_partitions: Sequence[AssetPartition]
    ) -> None:
        """Reports the failure of a run for some of its assets and partitions."""
        newest = newest_materializations(tick.context.instance, asset_partitions)
        outcome = tick.outcome_of(deferred_run, asset_partitions, newest)
        try:
            events = outcome.as_failure()
        except Exception:  # the vendor's code failed, but it is still known that the run has finished
            tick.context.log.exception(
                "Could not convert the result of %s to Dagster events; reporting the failure without it", deferred_run
            )
            events = replace(outcome, result=RunResult(), has_current_run_class=False).as_failure()
        evaluated = [one for one in events if isinstance(one, dg.AssetCheckEvaluation)]
        report_evaluations(evaluated, deferred_run, tick)
        tick.output.events += [one for one in events if not isinstance(one, dg.AssetCheckEvaluation)]


def _known_problem_of(deferred_run: DeferredRun) -> str:
    """Returns what is wrong with a run that has not ended, as far as the sensor knows; otherwise an empty text."""
    if deferred_run.last_status.state.is_final:
        return ""
    if deferred_run.not_found_since is not None:
        return f" is unknown to {deferred_run.run.vendor}"
    return " exceeded its deadline" if deferred_run.overdue_since is not None else ""
