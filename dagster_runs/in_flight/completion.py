"""The completion sensor's work: from the deferred runs that are going to what Dagster is told of their ends.

A success is reported in two phases: its materializations in one tick, and the evaluations that name them in a later
one (see `second_phase`).

Dagster stores a tick's events, then its cursor, then launches its runs. A tick that gets lost on the way leaves the old
cursor behind: its token is not the one that was handed out last, so the table of runs is made anew from the event log,
in which everything that was stored is seen. Hence each end is told once.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any
from uuid import uuid4

import dagster as dg

from dagster_runs.in_flight import publishing
from dagster_runs.in_flight.cursor import Cursor
from dagster_runs.in_flight.definition import WatchedAsset, check_defined
from dagster_runs.in_flight.failures import Failures
from dagster_runs.in_flight.flight import Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.follow_ups import FollowUps
from dagster_runs.in_flight.outages import Alarm, LastingProblem, OutageLog
from dagster_runs.in_flight.paces import Paces
from dagster_runs.in_flight.published import Published
from dagster_runs.in_flight.report import EVENTS_FOR_A_REQUEST, STILL_AT_WORK, Report
from dagster_runs.in_flight.second_phase import leave_out_evaluated
from dagster_runs.in_flight.storing import Storing
from dagster_runs.in_flight.successes import Successes
from dagster_runs.in_flight.tick import Tick
from dagster_runs.in_flight.vendor_resources import VendorResources, initialized
from dagster_runs.in_flight.watching import Watch
from dagster_runs.in_flight.wiped import WipedRuns
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState
from dagster_runs.transport.clock import current_clock

READING = 12.0
"""Seconds from the beginning of a tick in which to read the event log; Dagster ends a tick after 60."""
PACING = 14.0
"""Seconds from the beginning of a tick in which to read how long earlier runs took."""
LOOKING = 18.0
"""Seconds from the beginning of a tick in which looks may begin."""
REPORTING = 24.0
"""Seconds from the beginning of a tick in which to report; what is left is for Dagster, to store it."""
MOST_EVENTS = 1000
"""That a tick reports, however fast the storage is."""
MOST_REQUESTS = 25
"""Runs that a tick requests: Dagster launches them one by one."""
_UNHEARD = 600.0
"""Seconds of being seen beyond its deadline after which a run is left to a step, if looks at it get no answer."""
_CHECKS_WITHIN = 86_400.0
"""Seconds after its deadline for which a materialized run's result is fetched, to report its checks."""
_AT_LAST = 3600.0
"""The same limit if the run could not be polled at all."""


class Completion:
    """A completion sensor's memory, and its ticks.

    Args:
        assets: The assets whose deferred runs it finishes.
        follow_up: What the user wants after each finished run.
        jobs: The jobs that the sensor may request, by name.
        default_jobs: For each asset the one that publishes the ends of runs that other jobs deferred.
        interval: Seconds between two ticks.
    """

    def __init__(
        self,
        assets: Sequence[WatchedAsset],
        *,
        follow_up: Any,
        jobs: Mapping[str, Any],
        default_jobs: Mapping[WatchedAsset, str],
        interval: float,
    ) -> None:
        self._assets = assets
        self._interval = interval
        self._busy = threading.Lock()
        self._flights: Flights | None = None
        self._token = ""
        self._was_stored: Callable[[dg.DagsterInstance], bool] | None = None
        self._watches = {asset.remote.resource_key: Watch(asset.remote.resource_key) for asset in assets}
        self._looking: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._watches), thread_name_prefix="dagster_runs_watch")
        self._paces = Paces()
        self._storing = Storing()
        self._alarm = Alarm()
        self._resource_log = OutageLog()
        self._wiped = WipedRuns()
        self._follow_ups = FollowUps(follow_up)
        self._successes = Successes(self._paces, self._follow_ups)
        self._failures = Failures(jobs, default_jobs, self._follow_ups)

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """One evaluation of the sensor."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(STILL_AT_WORK)
        was_stored = self._was_stored
        try:
            with initialized(self._assets, context) as vendors:
                return self._tick(context, vendors)
        except LastingProblem:
            raise  # nothing was handed over, and the table of runs is up to date
        except BaseException:
            self._flights, self._was_stored = None, was_stored  # it is unknown how far the tick came
            raise
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources) -> dg.SensorResult:
        check_defined(self._assets, context.repository_def)
        clock = current_clock()
        begun = clock.monotonic()
        before = Cursor.of(context.cursor)
        flights = self._known(before, context.instance)
        flights.catch_up(begun + READING)
        if not flights.is_known:
            return dg.SensorResult(
                skip_reason="Reading which runs are going; the next tick goes on", cursor=context.cursor
            )
        flights.to_verify = leave_out_evaluated(
            flights.to_verify, context.instance, has_time=lambda: clock.monotonic() < begun + READING
        )
        self._look(flights, vendors.ready, context.instance, begun)
        self._resource_log.update(context.log, vendors.problems, over="The resource %r can be used again, after %.0f s")
        for watch in self._watches.values():
            watch.tell(context.log)
        self._wiped.warn(flights, context.instance, context.log)
        refused = [watch.refused for watch in self._watches.values() if watch.refused is not None]
        problems = [*vendors.problems.values(), *refused]
        self._alarm.check_before_reporting([*problems, *self._failures.problems().values()])
        most_events = min(MOST_EVENTS, self._storing.most_events)
        most_requests = max(1, min(MOST_REQUESTS, most_events // EVENTS_FOR_A_REQUEST))
        report = Report(most_events, most_requests, begun + REPORTING)
        self._was_stored = None
        self._follow_ups.request_again(flights, report, context)
        unheard = {key for key, watch in self._watches.items() if watch.is_unheard or key in vendors.problems}
        _give_up_overdue(flights, clock.wall(), unheard)
        self._leave_out_lost_results(flights, report, context)
        publishing.leave_out_timed_out(flights, context.instance, clock.wall())
        tick = Tick(flights, Published(flights, context.instance), vendors.ready, report, context)
        self._failures.request(tick)
        self._successes.evaluate(tick)
        self._successes.materialize(tick)
        problems += self._failures.log_problems(context.log).values()
        self._alarm.check_after_reporting(problems, is_idle=not report.events and not report.requests)
        self._was_stored = report.was_stored
        self._storing.handed_over(report.told)
        self._token = uuid4().hex
        at = (before.at if flights.published else 0.0) or clock.wall()  # what a lost tick left undone is of that time
        cursor = Cursor(self._token, flights.read_from, at).as_text()
        return dg.SensorResult(
            asset_events=report.events,
            run_requests=report.requests,
            # Dagster shows it for every tick that requests no run.
            skip_reason=None if report.requests else self._how_it_stands(flights, vendors),
            cursor=cursor,
        )

    def _known(self, cursor: Cursor, instance: dg.DagsterInstance) -> Flights:
        """The table; made anew unless the last tick of this process is the last that Dagster knows of."""
        is_last = cursor.token == self._token
        if is_last and self._was_stored is not None and not self._was_stored(instance):
            # A person has tried the sensor out in the UI, and kept the cursor: Dagster then stores no events.
            self._flights, self._was_stored = self._anew(cursor, instance, 0), None
        elif self._flights is None or not is_last:
            self._flights = self._anew(cursor, instance, cursor.read_from)
            self._token, self._was_stored = cursor.token, None
        else:
            # That Dagster has the last tick's cursor says that it has stored its events.
            self._storing.learn(instance)
            self._flights.drop([flight for flight in self._flights if flight.phase is Phase.OVER])
        return self._flights

    def _anew(self, cursor: Cursor, instance: dg.DagsterInstance, read_from: int) -> Flights:
        self._follow_ups.start_over(cursor.at)
        return Flights(self._assets, instance, read_from)

    def _look(
        self,
        flights: Flights,
        resources: Mapping[str, RemoteRunResource],
        instance: dg.DagsterInstance,
        begun: float,
    ) -> None:
        """Look at what is due, all resources at the same time."""
        clock = current_clock()
        pacing, until = begun + PACING, begun + LOOKING
        _take_over(flights)
        soon = clock.wall() + self._interval / 2
        awaited: list[Future[None]] = []
        for key, resource in resources.items():
            looking = self._looking.get(key)
            if looking is not None and not looking.done():
                continue  # a vendor that is slow beyond all measure
            going = [
                flight for flight in flights if flight.phase is Phase.GOING and flight.asset.remote.resource_key == key
            ]
            due = [
                flight for flight in going if flight.is_due(self._paces.of(flight, resource, instance, pacing), soon)
            ]
            # Those whose time is over come first: a good end that is not seen now would cost a Dagster run.
            due.sort(key=lambda flight: (soon < flight.deadline, flight.looked_at))
            if not going:
                self._watches[key].rest()
            elif due:
                was_silent = self._watches[key].is_silent
                self._looking[key] = self._pool.submit(self._watches[key].look, due, going, resource, until)
                if not was_silent:  # else all other vendors' ends would be told as late, as long as it hangs
                    awaited.append(self._looking[key])
        wait(awaited, timeout=max(1.0, until - clock.monotonic() + 1))
        for key in [key for key, look in self._looking.items() if look.done()]:
            self._looking.pop(key).result()  # an error of ours is to fail the tick, and no other one
        _take_over(flights)

    def _leave_out_lost_results(self, flights: Flights, report: Report, context: dg.SensorEvaluationContext) -> None:
        """No step can add to a run that is materialized: only its evaluations are missing, and with them its result."""
        for flight in flights:
            if flight.phase is Phase.NEEDS_STEP and flight.is_materialized:
                flight.phase = Phase.OVER
                context.log.warning(
                    "The checks of %s run %s were not reported before this process began, and its result can no longer "
                    "be fetched: its materialization keeps no check results",
                    flight.run.vendor,
                    flight.run_id,
                )
                self._follow_ups.request(flight, report, context, state=RunState.SUCCEEDED)

    def _how_it_stands(self, flights: Flights, vendors: VendorResources) -> str:
        count = {phase: sum(flight.phase is phase for flight in flights) for phase in Phase}
        said = [f"{count[Phase.OVER]} reported, {len(flights) - count[Phase.OVER]} in flight"]
        troubles = [trouble for watch in self._watches.values() for trouble in watch.troubles]
        return ". ".join([*said, *vendors.problems.values(), *troubles])


def _take_over(flights: Flights) -> None:
    for flight in flights:
        flight.take_over()


def _give_up_overdue(flights: Flights, now: float, unheard: Collection[str]) -> None:
    """Leave to a step those whose time is over, once the vendor told how they stand then, or does not for too long."""
    for flight in flights:
        if flight.phase is not Phase.GOING or now < flight.deadline:
            continue
        flight.overdue_since = flight.overdue_since or now
        was_tried = flight.looked_at >= flight.deadline or flight.asset.remote.resource_key in unheard
        patience = _UNHEARD if was_tried else _AT_LAST
        if flight.is_materialized:
            # It has ended in time. What is missing are its checks, and no step could report them.
            if now - flight.deadline >= _CHECKS_WITHIN and flight.looked_at:
                flight.phase = Phase.NEEDS_STEP
            continue
        # What a look has shown since counts at the next tick.
        is_over = flight.answered_at >= flight.deadline or now - flight.overdue_since >= patience
        if is_over and flight.shown is None:
            flight.phase = Phase.NEEDS_STEP
