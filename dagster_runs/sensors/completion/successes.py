"""Reports the deferred runs that succeeded: their materializations in one tick, their evaluations in a later one."""

from functools import partial

from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import is_reported
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.schedule_cache import PollScheduleCache
from dagster_runs.sensors.completion.second_phase import SecondPhase, is_superseded, report_evaluations
from dagster_runs.transport.clock import current_clock


class Successes:
    """Reports the runs that succeeded.

    Args:
        schedules: Learns how long each run took.
        follow_ups: Requests what the user wants after each run.
    """

    def __init__(self, schedules: PollScheduleCache, follow_ups: FollowUps) -> None:
        self._schedules = schedules
        self._follow_ups = follow_ups

    def evaluate(self, tick: TickContext) -> None:
        """Reports the evaluations of runs whose materializations an earlier tick has reported."""
        output, log = tick.output, tick.context.log
        waiting = [one for one in tick.deferred_runs if _awaits_evaluation(one) and tick.has_resource(one)]
        phase = SecondPhase(waiting, tick.context.instance)
        clock = current_clock()
        half = (clock.monotonic() + output.until) / 2

        def has_time() -> bool:
            return clock.monotonic() < half

        for count, deferred_run in enumerate(waiting):
            if count and not (has_time() and output.has_room_for_events and self._follow_ups.has_room(output)):
                break
            judged = phase.judged(deferred_run)
            if len(judged) < len(deferred_run.asset_partitions):
                log.warning("Materializations of %s were wiped before their checks could be reported", deferred_run)
            outcome = tick.outcome_of(deferred_run, deferred_run.asset_partitions)
            try:
                found = outcome.evaluations(judged, phase.stored(deferred_run))
            except Exception:  # the vendor's code returned something that Dagster rejects
                log.exception("Could not report the checks of %s", deferred_run)
                found = []
            if not report_evaluations(found, deferred_run, tick, has_time):
                deferred_run.may_be_evaluated = True  # the next tick reads which of them are stored
                break
            deferred_run.phase = Phase.DONE
            self._follow_ups.request(deferred_run, tick)

    def materialize(self, tick: TickContext) -> None:
        """Reports the materializations of runs that have succeeded.

        Each asset and partition gets one run at a time: otherwise an earlier run's evaluation would count for a later
        materialization.
        """
        output = tick.output
        unevaluated = {pair for one in tick.deferred_runs if one.is_unevaluated for pair in one.asset_partitions}
        succeeded = [one for one in tick.in_phase(Phase.SUCCEEDED) if not one.is_materialized]
        for count, deferred_run in enumerate(succeeded):
            if count and not output.has_room_for_events:
                break
            if not unevaluated.isdisjoint(deferred_run.asset_partitions):
                continue
            if not deferred_run.is_superseded and is_superseded(deferred_run, tick):
                deferred_run.is_superseded, deferred_run.phase = True, Phase.NEEDS_DAGSTER_RUN
                continue
            outcome = tick.outcome_of(deferred_run, tick.reported.unreported(deferred_run))
            try:
                output.events += outcome.materializations(tick.context.instance, output.all_events)
            except Exception:  # the vendor's code returned something that Dagster rejects, which a step reports best
                tick.context.log.exception(
                    "Could not convert the result of %s to Dagster events; requesting a Dagster run", deferred_run
                )
                deferred_run.phase = Phase.NEEDS_DAGSTER_RUN
                continue
            if outcome.asset_partitions:
                output.was_stored = partial(is_reported, deferred_run, outcome.asset_partitions[-1])
            self._schedules.add_duration(deferred_run)
            deferred_run.is_materialized = True
            deferred_run.may_be_evaluated = len(outcome.asset_partitions) < len(deferred_run.asset_partitions)
            deferred_run.phase = Phase.MATERIALIZED
            unevaluated.update(deferred_run.asset_partitions)
            if output.is_late:
                break


def _awaits_evaluation(deferred_run: DeferredRun) -> bool:
    """Whether its materializations are stored and its result is known. Includes runs that another process reported."""
    is_complete = deferred_run.phase is Phase.SUCCEEDED and deferred_run.is_materialized
    return deferred_run.phase is Phase.MATERIALIZED or is_complete
