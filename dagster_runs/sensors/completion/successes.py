"""Reports the deferred runs that succeeded: their materializations in one tick, their evaluations in a later one.

A run with many partitions may need several ticks for each. This process remembers which of them it has reported. After
a lost tick, the event log shows which of them are stored.
"""

from collections.abc import Callable
from functools import partial
from operator import attrgetter

import dagster as dg

from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import is_reported
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.schedule_cache import PollScheduleCache
from dagster_runs.sensors.completion.second_phase import SecondPhase, is_about, is_superseded, report_evaluations
from dagster_runs.sensors.completion.suites import evaluate_suite
from dagster_runs.sensors.run_outcome import AssetEvent
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
        waiting = [one for one in tick.deferred_runs if _awaits_evaluation(one) and tick.has_resource(one)]
        waiting.sort(key=lambda one: one.evaluated > 0)  # a run with many partitions delays no others
        waiting = waiting[: limits.MAX_TICK_EVENTS]  # each of them needs a record of its materialization
        next_to_evaluate = attrgetter("next_to_evaluate")
        phase = SecondPhase(waiting, tick.context.instance, next_to_evaluate)
        clock = current_clock()
        half = (clock.monotonic() + output.until) / 2

        def has_time() -> bool:
            return clock.monotonic() < half

        def has_room(reported: int) -> bool:
            return (reported < limits.MIN_STORED_EVALUATIONS or has_time()) and output.has_room_for_events

        for count, deferred_run in enumerate(waiting):
            if output.is_full or (
                count and not (has_time() and output.has_room_for_events and self._follow_ups.has_room(output))
            ):
                break
            is_evaluated = self._evaluate(deferred_run, tick, phase, has_room)
            while is_evaluated is None and has_time() and output.has_room_for_events:
                of_run = SecondPhase([deferred_run], tick.context.instance, next_to_evaluate)
                is_evaluated = self._evaluate(deferred_run, tick, of_run, has_room)
            if is_evaluated:
                deferred_run.phase = Phase.DONE
                output.done.append(f"{deferred_run.phrase}, checks reported")
                self._follow_ups.request(deferred_run, tick)

    def _evaluate(
        self, deferred_run: DeferredRun, tick: TickContext, phase: SecondPhase, has_room: Callable[[int], bool]
    ) -> bool | None:
        """Reports the evaluations of a run's next partitions, or as many of them as this tick has room for.

        Returns:
            Whether all evaluations of the run are reported; ``None`` if not, but those of the next partitions are.
        """
        if deferred_run.asset.suite is not None:
            return evaluate_suite(deferred_run, deferred_run.asset.suite, tick, phase, has_room)
        wanted, judged, log = deferred_run.next_to_evaluate, phase.judged(deferred_run), tick.context.log
        if len(judged) < len(wanted):
            log.warning("Materializations of %s were wiped before their checks could be reported", deferred_run)
        outcome = tick.outcome_of(deferred_run, wanted)
        try:
            found = outcome.evaluations(judged, phase.stored(deferred_run))
        except Exception:  # the vendor's code returned something that Dagster rejects
            log.exception("Could not report the checks of %s", deferred_run)
            found = []
        next_one = report_evaluations(found, deferred_run, tick, has_room)
        if next_one is not None:
            [first] = [pair for pair, record in judged.items() if is_about(next_one, record)]
            deferred_run.evaluated += wanted.index(first)
            return False
        deferred_run.evaluated += len(wanted)
        return None if deferred_run.next_to_evaluate else True

    def materialize(self, tick: TickContext) -> None:
        """Reports the materializations of runs that have succeeded.

        Each asset and partition gets one run at a time: otherwise an earlier run's evaluation would count for a later
        materialization.
        """
        output = tick.output
        unevaluated = {pair for one in tick.deferred_runs if one.is_unevaluated for pair in one.asset_partitions}
        now = current_clock().wall()
        succeeded = [one for one in tick.in_phase(Phase.SUCCEEDED) if not one.is_materialized]
        succeeded = [one for one in succeeded if not one.may_be_timed_out(now)]  # the next tick checks these
        # The one that finished last has made the newest data. A run with many partitions delays no others.
        succeeded.sort(key=lambda one: (one.unmaterialized is not None, _finished_at(one)))
        for count, deferred_run in enumerate(succeeded):
            if output.is_full or (count and not output.has_room_for_events):
                break
            if deferred_run.unmaterialized is None:
                if not unevaluated.isdisjoint(deferred_run.asset_partitions):
                    continue
                superseded = False if deferred_run.is_superseded else is_superseded(deferred_run, tick)
                if superseded is None:
                    break
                if superseded:
                    deferred_run.is_superseded, deferred_run.phase = True, Phase.NEEDS_DAGSTER_RUN
                    continue
            try:
                self._materialize(deferred_run, tick)
            except Exception:  # the vendor's code returned something that Dagster rejects, which a step reports best
                tick.context.log.exception(
                    "Could not convert the result of %s to Dagster events; requesting a Dagster run", deferred_run
                )
                deferred_run.phase = Phase.NEEDS_DAGSTER_RUN
                continue
            unevaluated.update(deferred_run.asset_partitions)
            if output.is_late:
                break

    def _materialize(self, deferred_run: DeferredRun, tick: TickContext) -> None:
        """Reports the materializations of a run, or as many of them as this tick has room for, but at least one."""
        output, wanted = tick.output, deferred_run.unmaterialized
        if wanted is None:
            wanted = tick.reported.unreported(deferred_run)
            deferred_run.may_be_evaluated = len(wanted) < len(deferred_run.asset_partitions)
        outcome = tick.outcome_of(deferred_run, wanted)
        reported, pending = 0, list[AssetEvent]()
        for event in outcome.materializations(tick.context.instance, output.all_events):
            pending.append(event)
            if not isinstance(event, dg.AssetMaterialization):
                continue  # an evaluation that comes before it
            output.events += pending
            output.was_stored = partial(is_reported, deferred_run, wanted[reported])
            reported, pending = reported + 1, []
            if output.is_late or not output.has_room_for_events:
                break
        deferred_run.unmaterialized = wanted[reported:]
        if not deferred_run.unmaterialized:
            self._schedules.add_duration(deferred_run)
            output.done.append(f"{deferred_run.phrase}, materialized")
            deferred_run.is_materialized = True
            deferred_run.phase = Phase.MATERIALIZED


def _finished_at(deferred_run: DeferredRun) -> float:
    end = deferred_run.last_status.finished_at
    return deferred_run.record.at if end is None else end.timestamp()


def _awaits_evaluation(deferred_run: DeferredRun) -> bool:
    """Whether its materializations are stored and its result is known. Includes runs that another process reported."""
    is_complete = deferred_run.phase is Phase.SUCCEEDED and deferred_run.is_materialized
    return deferred_run.phase is Phase.MATERIALIZED or is_complete
