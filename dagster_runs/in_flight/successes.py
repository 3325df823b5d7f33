"""Reports the deferred runs that succeeded: their materializations in one tick, their evaluations in a later one."""

from functools import partial

from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.follow_ups import FollowUps
from dagster_runs.in_flight.paces import Paces
from dagster_runs.in_flight.published import is_published
from dagster_runs.in_flight.second_phase import SecondPhase, is_superseded, report_evaluations
from dagster_runs.in_flight.tick import Tick
from dagster_runs.transport.clock import current_clock


class Successes:
    """Reports the runs that succeeded.

    Args:
        paces: Learns how long each run took.
        follow_ups: Requests what the user wants after each run.
    """

    def __init__(self, paces: Paces, follow_ups: FollowUps) -> None:
        self._paces = paces
        self._follow_ups = follow_ups

    def evaluate(self, tick: Tick) -> None:
        """Report the evaluations of runs whose materializations an earlier tick has reported."""
        report = tick.report
        waiting = [flight for flight in tick.flights if _awaits_evaluation(flight) and tick.has_resource(flight)]
        phase = SecondPhase(waiting, tick.context.instance)
        clock = current_clock()
        half = (clock.monotonic() + report.until) / 2

        def has_time() -> bool:
            return clock.monotonic() < half

        for told, flight in enumerate(waiting):
            if told and not (report.has_room_for_events and self._follow_ups.has_room(report)):
                break
            judged = phase.judged(flight)
            if len(judged) < len(flight.places):
                tick.context.log.warning(
                    "Materializations of %s run %s were wiped before their checks could be reported",
                    flight.run.vendor,
                    flight.run_id,
                )
            try:
                found = tick.ended(flight, flight.places).evaluations(judged, phase.stored(flight))
            except Exception:  # what a vendor's code brought is nothing that Dagster takes
                log = tick.context.log
                log.exception("The checks of %s run %s cannot be reported", flight.run.vendor, flight.run_id)
                found = []
            if not report_evaluations(found, flight, tick, has_time):
                flight.may_be_evaluated = True  # the next tick reads which of them are stored
                break
            flight.phase = Phase.OVER
            self._follow_ups.request(flight, report, tick.context)
            if not has_time():
                break

    def materialize(self, tick: Tick) -> None:
        """Report the materializations of runs that have succeeded."""
        # Each kind has room of its own: a thousand failures at one vendor must not hold the others' successes back.
        # One after another in each place: else an earlier run's evaluation would count for a later materialization.
        unevaluated = {place for flight in tick.flights if flight.is_unevaluated for place in flight.places}
        # Those whose resource cannot be initialized wait until it can.
        succeeded = [
            flight
            for flight in tick.flights
            if flight.phase is Phase.SUCCEEDED and not flight.is_materialized and tick.has_resource(flight)
        ]
        for told, flight in enumerate(succeeded):
            if told and not tick.report.has_room_for_events:
                break
            if not unevaluated.isdisjoint(flight.places):
                continue
            if not flight.is_superseded and is_superseded(flight, tick):
                flight.is_superseded, flight.phase = True, Phase.NEEDS_STEP
                continue
            ended = tick.ended(flight, tick.published.left(flight))
            try:
                tick.report.tell(ended, tick.context.instance)
            except Exception:  # what a vendor's code brought is nothing that Dagster takes: a step shows it best
                tick.context.log.exception(
                    "Could not convert the result of %s run %s to Dagster events; requesting a Dagster run",
                    flight.run.vendor,
                    flight.run_id,
                )
                flight.phase = Phase.NEEDS_STEP
                continue
            if ended.places:
                tick.report.was_stored = partial(is_published, flight, ended.places[-1])
            self._paces.learn(flight)
            flight.is_materialized, flight.may_be_evaluated = True, len(ended.places) < len(flight.places)
            flight.phase = Phase.MATERIALIZED
            unevaluated.update(flight.places)
            if tick.report.is_late:
                break


def _awaits_evaluation(flight: Flight) -> bool:
    """Whether its materializations are stored, and its result is known: also of one that another process reported."""
    is_known = flight.phase is Phase.SUCCEEDED and flight.is_materialized
    return flight.phase is Phase.MATERIALIZED or is_known
