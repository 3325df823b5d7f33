"""Reports the deferred runs that succeeded: their materializations in one tick, their evaluations in a later one."""

from functools import partial

from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import is_published
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
        output = tick.output
        waiting = [
            deferred_run
            for deferred_run in tick.deferred_runs
            if _awaits_evaluation(deferred_run) and tick.has_resource(deferred_run)
        ]
        phase = SecondPhase(waiting, tick.context.instance)
        clock = current_clock()
        half = (clock.monotonic() + output.until) / 2

        def has_time() -> bool:
            return clock.monotonic() < half

        for count, deferred_run in enumerate(waiting):
            if count and not (output.has_room_for_events and self._follow_ups.has_room(output)):
                break
            judged = phase.judged(deferred_run)
            if len(judged) < len(deferred_run.asset_partitions):
                tick.context.log.warning(
                    "Materializations of %s run %s were wiped before their checks could be reported",
                    deferred_run.run.vendor,
                    deferred_run.run_id,
                )
            try:
                found = tick.outcome_of(deferred_run, deferred_run.asset_partitions).evaluations(
                    judged, phase.stored(deferred_run)
                )
            except Exception:  # the vendor's code returned something that Dagster rejects
                log = tick.context.log
                log.exception("Could not report the checks of %s run %s", deferred_run.run.vendor, deferred_run.run_id)
                found = []
            if not report_evaluations(found, deferred_run, tick, has_time):
                deferred_run.may_be_evaluated = True  # the next tick reads which of them are stored
                break
            deferred_run.phase = Phase.DONE
            self._follow_ups.request(deferred_run, output, tick.context)
            if not has_time():
                break

    def materialize(self, tick: TickContext) -> None:
        """Reports the materializations of runs that have succeeded."""
        # Successes and failures have separate budgets: a thousand failures at one vendor must not delay the successes
        # of others. Each asset and partition gets one run at a time: otherwise an earlier run's evaluation would count
        # for a later materialization.
        unevaluated = {
            asset_partition
            for deferred_run in tick.deferred_runs
            if deferred_run.is_unevaluated
            for asset_partition in deferred_run.asset_partitions
        }
        # Runs whose resource cannot be initialized wait until it can.
        succeeded = [
            deferred_run
            for deferred_run in tick.deferred_runs
            if deferred_run.phase is Phase.SUCCEEDED
            and not deferred_run.is_materialized
            and tick.has_resource(deferred_run)
        ]
        for count, deferred_run in enumerate(succeeded):
            if count and not tick.output.has_room_for_events:
                break
            if not unevaluated.isdisjoint(deferred_run.asset_partitions):
                continue
            if not deferred_run.is_superseded and is_superseded(deferred_run, tick):
                deferred_run.is_superseded, deferred_run.phase = True, Phase.NEEDS_DAGSTER_RUN
                continue
            outcome = tick.outcome_of(deferred_run, tick.reported.unreported(deferred_run))
            try:
                tick.output.add_materializations(outcome, tick.context.instance)
            except Exception:  # the vendor's code returned something that Dagster rejects, which a step reports best
                tick.context.log.exception(
                    "Could not convert the result of %s run %s to Dagster events; requesting a Dagster run",
                    deferred_run.run.vendor,
                    deferred_run.run_id,
                )
                deferred_run.phase = Phase.NEEDS_DAGSTER_RUN
                continue
            if outcome.asset_partitions:
                tick.output.was_stored = partial(is_published, deferred_run, outcome.asset_partitions[-1])
            self._schedules.learn(deferred_run)
            deferred_run.is_materialized, deferred_run.may_be_evaluated = (
                True,
                len(outcome.asset_partitions) < len(deferred_run.asset_partitions),
            )
            deferred_run.phase = Phase.MATERIALIZED
            unevaluated.update(deferred_run.asset_partitions)
            if tick.output.is_late:
                break


def _awaits_evaluation(deferred_run: DeferredRun) -> bool:
    """Whether its materializations are stored and its result is known. Includes runs that another process reported."""
    is_complete = deferred_run.phase is Phase.SUCCEEDED and deferred_run.is_materialized
    return deferred_run.phase is Phase.MATERIALIZED or is_complete
