"""The completion sensor's work: from the deferred runs that are going to what Dagster is told of their ends.

A success is reported in two phases: its materializations in one tick, and the evaluations that name them in a later
one (see `second_phase`).

Dagster stores a tick's events, then its cursor, then launches its runs. A tick that gets lost on the way leaves the old
cursor behind: its token is not the one that was handed out last, so the table of runs is made anew from the event log,
in which everything that was stored is seen. Hence each end is told once.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import dagster as dg

from dagster_runs.dagster_private import partition_of
from dagster_runs.in_flight import publishing, requests
from dagster_runs.in_flight.cursor import Cursor
from dagster_runs.in_flight.definition import WatchedAsset, check_defined
from dagster_runs.in_flight.finished import Ended, FinishedRun
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.outages import Alarm, LastingProblem, OutageLog
from dagster_runs.in_flight.paces import Paces
from dagster_runs.in_flight.published import Published, is_published
from dagster_runs.in_flight.refusing import NotPrepared
from dagster_runs.in_flight.report import EVENTS_FOR_A_REQUEST, STILL_AT_WORK, Report
from dagster_runs.in_flight.second_phase import SecondPhase, is_evaluated, leave_out_evaluated, report_partitioned
from dagster_runs.in_flight.storing import Storing
from dagster_runs.in_flight.vendor_resources import VendorResources, initialized
from dagster_runs.in_flight.watching import Watch
from dagster_runs.in_flight.wiped import WipedRuns
from dagster_runs.remote_run.contract import RunResult
from dagster_runs.remote_run.evaluations import Place, newest_materializations
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock, machine_time

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
_AT_LAST = 3600.0
"""Likewise, whatever it is that keeps it from being looked at."""
_LATELY = 600.0
"""Seconds before the last cursor for which follow-up jobs are requested anew, after a tick that got lost."""


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
        self._follow_up = follow_up
        self._jobs = jobs
        self._default_jobs = default_jobs
        self._interval = interval
        self._busy = threading.Lock()
        self._flights: Flights | None = None
        self._token = ""
        self._told_last: Callable[[dg.DagsterInstance], bool] | None = None
        self._follow_since = 0.0
        self._watches = {asset.remote.resource_key: Watch(asset.remote.resource_key) for asset in assets}
        self._looking: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._watches), thread_name_prefix="dagster_runs_watch")
        self._paces = Paces()
        self._storing = Storing()
        self._alarm = Alarm()
        self._resource_log = OutageLog()
        self._unprepared: dict[Flight, NotPrepared] = {}
        self._turn = 0
        self._wiped = WipedRuns()
        self._began_at: dict[str, float] = {}
        self._request_log = OutageLog()

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """One evaluation of the sensor."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(STILL_AT_WORK)
        told_last = self._told_last
        try:
            with initialized(self._assets, context) as vendors:
                return self._tick(context, vendors)
        except LastingProblem:
            raise  # nothing was handed over, and the table of runs is up to date
        except BaseException:
            self._flights, self._told_last = None, told_last  # nobody can tell how far it came
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
        resources = vendors.ready
        self._look(flights, resources, context.instance, begun)
        self._resource_log.update(context.log, vendors.problems, over="The resource %r can be used again, after %.0f s")
        for watch in self._watches.values():
            watch.tell(context.log)
        self._wiped.warn(flights, context.instance, context.log)
        refused = [watch.refused for watch in self._watches.values() if watch.refused is not None]
        problems = [*vendors.problems.values(), *refused]
        self._alarm.check_before_reporting([*problems, *self._unprepared_ends().values()])
        most_events = min(MOST_EVENTS, self._storing.most_events)
        most_requests = max(1, min(MOST_REQUESTS, most_events // EVENTS_FOR_A_REQUEST))
        report = Report(most_events, most_requests, begun + REPORTING)
        self._told_last = None
        self._follow_again(flights, report, context)
        unheard = {key for key, watch in self._watches.items() if watch.is_unheard or key in vendors.problems}
        _give_up_overdue(flights, clock.wall(), unheard)
        _leave_out_lost_results(flights, context)
        publishing.leave_out_timed_out(flights, context.instance, clock.wall())
        published = Published(flights, context.instance)
        self._request(flights, published, resources, report, context)
        self._evaluate(flights, resources, report, context)
        self._report(flights, published, resources, report, context)
        problems += self._log_unprepared(context.log).values()
        self._alarm.check_after_reporting(problems, is_idle=not report.events and not report.requests)
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
        if is_last and self._told_last is not None and not self._told_last(instance):
            # A person has tried the sensor out in the UI, and kept the cursor: Dagster then stores no events.
            self._flights, self._told_last = self._anew(cursor, instance, 0), None
        elif self._flights is None or not is_last:
            self._flights = self._anew(cursor, instance, cursor.read_from)
            self._token, self._told_last = cursor.token, None
        else:
            # That Dagster has the last tick's cursor says that it has stored its events.
            self._storing.learn(instance)
            self._flights.drop([flight for flight in self._flights if flight.phase is Phase.OVER])
        return self._flights

    def _anew(self, cursor: Cursor, instance: dg.DagsterInstance, read_from: int) -> Flights:
        # Without a cursor of ours no tick but the first of all can have got lost; or a person has taken it away.
        self._follow_since = machine_time((cursor.at or current_clock().wall()) - _LATELY)
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

    def _evaluate(
        self,
        flights: Flights,
        resources: Mapping[str, RemoteRunResource],
        report: Report,
        context: dg.SensorEvaluationContext,
    ) -> None:
        """Report the evaluations of runs whose materializations an earlier tick has reported."""
        waiting = [
            flight
            for flight in flights
            if flight.phase is Phase.MATERIALIZED and flight.asset.remote.resource_key in resources
        ]
        phase = SecondPhase(waiting, context.instance)
        clock = current_clock()
        half = (clock.monotonic() + report.until) / 2

        def has_time() -> bool:
            return clock.monotonic() < half

        for told, flight in enumerate(waiting):
            if told and not self._has_room(report):
                break
            judged = phase.judged(flight)
            if len(judged) < len(flight.places):
                context.log.warning(
                    "Materializations of %s run %s were wiped before their checks could be reported",
                    flight.run.vendor,
                    flight.run_id,
                )
            ended = _ended(flight, flight.places, resources[flight.asset.remote.resource_key])
            found = ended.evaluations(judged, phase.stored(flight))
            partitioned = [one for one in found if partition_of(one) is not None]
            if not report_partitioned(partitioned, flight.record.dagster_run_id, context.instance, has_time):
                flight.may_be_published = True  # the next tick reads which of them are stored
                break
            runless = [one for one in found if partition_of(one) is None]
            if runless:
                report.events += runless
                self._told_last = partial(is_evaluated, runless[-1])
            flight.phase = Phase.OVER
            self._follow(flight, report, context)
            if not has_time():
                break

    def _report(
        self,
        flights: Flights,
        published: Published,
        resources: Mapping[str, RemoteRunResource],
        report: Report,
        context: dg.SensorEvaluationContext,
    ) -> None:
        """Report the materializations of runs that have succeeded."""
        # Each kind has room of its own: a thousand failures at one vendor must not hold the others' successes back.
        unevaluated = {key for flight in flights if flight.phase is Phase.MATERIALIZED for key in flight.keys}
        # Those whose resource cannot be initialized wait until it can.
        succeeded = [
            flight
            for flight in flights
            if flight.phase is Phase.SUCCEEDED and flight.asset.remote.resource_key in resources
        ]
        for told, flight in enumerate(succeeded):
            if told and not report.has_room_for_events:
                break
            ended = _ended(flight, published.left(flight), resources[flight.asset.remote.resource_key])
            try:
                if ended.has_failed_checks and not flight.partitions and not unevaluated.isdisjoint(flight.keys):
                    continue  # an earlier run's evaluation would count for this run's materialization for a moment
                report.tell(ended, context.instance)
            except Exception:  # what a vendor's code brought is nothing that Dagster takes: a step shows it best
                context.log.exception("The end of %s run %s cannot be told", flight.run.vendor, flight.run_id)
                flight.phase = Phase.NEEDS_STEP
                continue
            if ended.places:
                self._told_last = partial(is_published, flight, ended.places[-1])
            self._paces.learn(flight)
            flight.materialized_after = flight.storage_id if flight.may_be_published else flights.newest
            flight.phase = Phase.MATERIALIZED
            unevaluated.update(flight.keys)
            if report.is_late:
                break

    def _has_room(self, report: Report) -> bool:
        return report.has_room_for_events and (self._follow_up is None or report.has_room_for_requests)

    def _request(
        self,
        flights: Flights,
        published: Published,
        resources: Mapping[str, RemoteRunResource],
        report: Report,
        context: dg.SensorEvaluationContext,
    ) -> None:
        """Have Dagster runs publish the other ends, and see to it that those which were requested begin."""
        instance = context.instance
        # They take time as events do, so half of it is left to what succeeded.
        share = 2 if any(flight.phase is Phase.SUCCEEDED for flight in flights) else 1
        most, most_told = max(1, report.most_requests // share), report.most_events // share // 2
        before = len(report.requests)
        needing = self._needing(flights, published, resources, report, context, most=most, most_told=most_told)
        now = current_clock().wall()
        noted = flights.noted(publishing.AT_ONCE)
        asked = [*needing, *self._requested_in_turn(flights), *noted]
        for flight, runs in publishing.requested_runs(asked, instance).items():
            end = noted.get(flight)
            died = [run for run in runs if publishing.has_died(run, flight, end, now, self._seen_for(run, now))]
            given_up = len(died) + sum(publishing.never_began(run) for run in runs)
            is_by_another = end is not None and end.dagster_run_id not in {run.dagster_run.run_id for run in runs}
            if is_by_another or any(publishing.is_over(run) for run in runs):
                flight.phase = Phase.OVER
                flights.settle(flight)
                for run in runs:
                    self._began_at.pop(run.dagster_run.run_id, None)
            elif given_up < len(runs) or flight.asset.remote.resource_key not in resources:
                flight.phase = Phase.REQUESTED  # it waits in Dagster's queue
            elif given_up >= publishing.MOST_ATTEMPTS:
                flight.phase = Phase.OVER
                flights.settle(flight)
                context.log.error(
                    "The end of %s run %s is not published: each of %d Dagster runs for it was given up or never ended",
                    flight.run.vendor,
                    flight.run_id,
                    given_up,
                )
            elif len(report.requests) == before or (len(report.requests) - before < most and not report.is_late):
                try:
                    self._request_one(flight, died, given_up, report, context)
                except NotPrepared as error:
                    self._unprepared[flight] = error
                except requests.NoStep as why:
                    if end is None:
                        self._tell_without_step(flight, published, resources, report, context, why=why)
                        continue
                    # What was published is there; only no Dagster run has failed for it.
                    flights.settle(flight)
                    context.log.warning(
                        "%s run %s: no Dagster run can fail for its end. %s", flight.run.vendor, flight.run_id, why
                    )

    def _needing(
        self,
        flights: Flights,
        published: Published,
        resources: Mapping[str, RemoteRunResource],
        report: Report,
        context: dg.SensorEvaluationContext,
        *,
        most: int,
        most_told: int,
    ) -> list[Flight]:
        """Those that a Dagster run can publish; reports those that none can."""
        before, needing = len(report.requests), list[Flight]()
        # Without its resource Dagster would refuse a run, and with it the whole tick. Those for which an error of code
        # kept a run from being prepared come last, so that they hold up no others.
        candidates = [
            flight
            for flight in flights
            if flight.phase is Phase.NEEDS_STEP and flight.asset.remote.resource_key in resources
        ]
        self._unprepared = {flight: self._unprepared[flight] for flight in candidates if flight in self._unprepared}
        for flight in sorted(candidates, key=lambda flight: flight in self._unprepared):
            self._unprepared.pop(flight, None)
            try:
                requests.check_step(flight, context.instance)
                needing.append(flight)
            except NotPrepared as error:
                self._unprepared[flight] = error
            except requests.NoStep as why:
                self._tell_without_step(flight, published, resources, report, context, why=why)
            is_full = len(needing) >= most or len(report.requests) - before >= most
            if is_full or len(report.events) >= most_told or report.is_late:
                break
        return needing

    def _request_one(
        self,
        flight: Flight,
        died: Sequence[dg.RunRecord],
        given_up: int,
        report: Report,
        context: dg.SensorEvaluationContext,
    ) -> None:
        """Request a Dagster run that publishes an end.

        Raises:
            NoStep: There can be none.
            NotPrepared: An error of code kept it from being prepared.
        """
        default, dead = self._default_jobs[flight.asset], [run.dagster_run.run_id for run in died]
        request = requests.to_publish(flight, context, self._jobs, default, attempt=given_up, instead_of=dead)
        flight.phase = Phase.REQUESTED
        report.requests.append(request)
        if dead:
            context.log.warning(
                "Dagster run %s was to publish the end of %s run %s, and never ended: its worker may have died. "
                "Requesting another one, so that the end is published by a Dagster run that fails",
                dead[-1],
                flight.run.vendor,
                flight.run_id,
            )
        if not given_up:
            self._follow(flight, report, context)

    def _seen_for(self, run: dg.RunRecord, now: float) -> float:
        """Seconds since when this process knows that a Dagster run has begun."""
        return now - self._began_at.setdefault(run.dagster_run.run_id, now) if run.start_time is not None else 0.0

    def _requested_in_turn(self, flights: Flights) -> list[Flight]:
        """Some of those whose Dagster run was requested: as many as one query asks about, others at the next tick."""
        requested = [flight for flight in flights if flight.phase is Phase.REQUESTED]
        first = self._turn % len(requested) if requested else 0
        self._turn += publishing.AT_ONCE
        return (requested[first:] + requested[:first])[: publishing.AT_ONCE]

    def _tell_without_step(
        self,
        flight: Flight,
        published: Published,
        resources: Mapping[str, RemoteRunResource],
        report: Report,
        context: dg.SensorEvaluationContext,
        *,
        why: requests.NoStep,
    ) -> None:
        """Tell an end that no step can publish: Dagster would refuse the tick."""
        resource = resources.get(flight.asset.remote.resource_key)
        if resource is None:
            return  # its address is part of what is reported; the next tick tries again
        places = published.left(flight)
        ended = _ended(flight, places, resource, newest_materializations(context.instance, places))
        try:
            events = ended.as_failure()
        except Exception:  # as of a good end; that it ended is known all the same
            context.log.exception("What %s run %s brought cannot be told", flight.run.vendor, flight.run_id)
            events = replace(ended, result=RunResult(), is_of_kind=False).as_failure()
        partitioned = [one for one in events if isinstance(one, dg.AssetCheckEvaluation) and partition_of(one)]
        report_partitioned(partitioned, flight.record.dagster_run_id, context.instance, lambda: not report.is_late)
        report.events += [one for one in events if one not in partitioned]
        context.log.warning(
            "%s run %s ended %s. %s, so no Dagster run tells of it",
            flight.run.vendor,
            flight.run_id,
            _seen(flight).word or "beyond its time",
            why,
        )
        flight.phase = Phase.OVER
        self._follow(flight, report, context)

    def _follow(
        self,
        flight: Flight,
        report: Report,
        context: dg.SensorEvaluationContext,
        *,
        shown: RunState | None = None,
    ) -> None:
        if self._follow_up is None:
            return
        shown = shown or _seen(flight).state
        state = shown if shown.is_final else RunState.UNKNOWN
        finished = FinishedRun(flight.run_id, flight.run.vendor, state, tuple(flight.keys), tuple(flight.partitions))
        report.requests += requests.to_follow_up(self._follow_up, finished, context)

    def _follow_again(self, flights: Flights, report: Report, context: dg.SensorEvaluationContext) -> None:
        """Request what follows those that a lost tick may have reported without its requests. Dagster drops doubles."""
        while flights.published:
            flight, at = flights.published.popleft()
            if at >= self._follow_since:
                self._follow(flight, report, context, shown=RunState.SUCCEEDED)
                if report.is_late or not report.has_room_for_requests:
                    return

    def _unprepared_ends(self) -> dict[str, str]:
        """The messages of those runs whose publishing Dagster run cannot be prepared, by which run it is."""
        ends = {f"The end of {one.run.vendor} run {one.run_id}": error for one, error in self._unprepared.items()}
        return {
            end: f"{end} is not published yet: its Dagster run cannot be prepared: {error}. The next tick tries again"
            for end, error in ends.items()
        }

    def _log_unprepared(self, log: logging.Logger) -> dict[str, str]:
        """The same; logs each once, with the traceback."""
        said = self._unprepared_ends()
        causes = {end: error.__cause__ or error for end, error in zip(said, self._unprepared.values(), strict=False)}
        self._request_log.update(log, said, over="%s is no longer held up, after %.0f s", errors=causes)
        return said

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
        # What a look has shown since counts at the next tick.
        is_over = flight.answered_at >= flight.deadline or now - flight.overdue_since >= patience
        if is_over and flight.shown is None:
            flight.phase = Phase.NEEDS_STEP


def _leave_out_lost_results(flights: Flights, context: dg.SensorEvaluationContext) -> None:
    """No step can add to a run that is materialized: only its evaluations are missing, and with them its result."""
    for flight in flights:
        if flight.phase is Phase.NEEDS_STEP and flight.materialized_after is not None:
            flight.phase = Phase.OVER
            context.log.warning(
                "The checks of %s run %s were not reported before this process began, and its result can no longer be "
                "fetched: its materialization keeps no check results",
                flight.run.vendor,
                flight.run_id,
            )


def _ended(
    flight: Flight,
    places: Sequence[Place],
    resource: RemoteRunResource,
    newest: Mapping[Place, dg.EventLogRecord] = MappingProxyType({}),
) -> Ended:
    more = {"dagster_runs/deferred_by": dg.MetadataValue.dagster_run(flight.record.dagster_run_id)}
    return Ended(
        asset=flight.asset,
        places=places,
        run=flight.run,
        run_id=flight.run_id,
        resource=resource,
        status=_seen(flight),
        result=flight.result,
        more=more,
        provenance=flight.provenance,
        newest=newest,
        is_of_kind=flight.is_of_kind,
    )


def _seen(flight: Flight) -> RunStatus:
    return flight.status or RunStatus(RunState.UNKNOWN, "")
