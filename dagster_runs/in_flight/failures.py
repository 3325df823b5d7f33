"""Has Dagster runs publish the deferred runs that did not succeed, so that alerts and retries work as usual.

A run that no Dagster run can publish is reported by the sensor itself.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_runs.in_flight import publishing, requests
from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.follow_ups import FollowUps
from dagster_runs.in_flight.outages import OutageLog
from dagster_runs.in_flight.refusing import NotPrepared
from dagster_runs.in_flight.second_phase import report_evaluations
from dagster_runs.in_flight.tick import Tick
from dagster_runs.remote_run.contract import RunResult
from dagster_runs.remote_run.evaluations import newest_materializations
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
        self._unprepared: dict[Flight, NotPrepared] = {}
        self._log = OutageLog()
        self._turn = 0
        self._began_at: dict[str, float] = {}

    def request(self, tick: Tick) -> None:
        """Request Dagster runs, and decide what to do about those that were requested before."""
        report = tick.report
        # They take time as events do, so half of it is left to what succeeded.
        share = 2 if any(flight.phase is Phase.SUCCEEDED for flight in tick.flights) else 1
        most, most_told = max(1, report.most_requests // share), report.most_events // share // 2
        before = len(report.requests)
        needing = self._needing(tick, most=most, most_told=most_told)
        now = current_clock().wall()
        noted = tick.flights.noted(publishing.AT_ONCE)
        asked = [*needing, *self._requested_in_turn(tick.flights), *noted]
        for flight, runs in publishing.requested_runs(asked, tick.context.instance).items():
            end = noted.get(flight)
            died = [run for run in runs if publishing.has_died(run, flight, end, now, self._seen_for(run, now))]
            given_up = len(died) + sum(publishing.never_began(run) for run in runs)
            is_by_another = end is not None and end.dagster_run_id not in {run.dagster_run.run_id for run in runs}
            if is_by_another or any(publishing.is_over(run) for run in runs):
                flight.phase = Phase.OVER
                tick.flights.settle(flight)
                for run in runs:
                    self._began_at.pop(run.dagster_run.run_id, None)
            elif given_up < len(runs) or not tick.has_resource(flight):
                flight.phase = Phase.REQUESTED  # it waits in Dagster's queue
            elif given_up >= publishing.MOST_ATTEMPTS:
                flight.phase = Phase.OVER
                tick.flights.settle(flight)
                tick.context.log.error(
                    "The end of %s run %s is not published: each of %d Dagster runs for it was given up or never ended",
                    flight.run.vendor,
                    flight.run_id,
                    given_up,
                )
            elif len(report.requests) == before or (len(report.requests) - before < most and not report.is_late):
                try:
                    self._request_one(tick, flight, died, given_up)
                except NotPrepared as error:
                    self._unprepared[flight] = error
                except requests.NoStep as why:
                    if end is None:
                        self._tell_without_step(tick, flight, why=why)
                        continue
                    # What was published is there; only no Dagster run has failed for it.
                    tick.flights.settle(flight)
                    tick.context.log.warning(
                        "%s run %s: no Dagster run can fail for its end. %s", flight.run.vendor, flight.run_id, why
                    )

    def problems(self) -> dict[str, str]:
        """The messages for the runs whose Dagster run could not be prepared in the last tick, by which run it is."""
        ends = {_named(flight): error for flight, error in self._unprepared.items()}
        return {
            end: f"{end} is not published yet: its Dagster run cannot be prepared: {error}. The next tick tries again"
            for end, error in ends.items()
        }

    def log_problems(self, log: logging.Logger) -> dict[str, str]:
        """Log each of the `problems` once, with its traceback, and return them."""
        said = self.problems()
        causes = {_named(flight): error.__cause__ or error for flight, error in self._unprepared.items()}
        self._log.update(log, said, over="%s is no longer held up, after %.0f s", errors=causes)
        return said

    def _needing(self, tick: Tick, *, most: int, most_told: int) -> list[Flight]:
        """Find the runs that a Dagster run can publish, and report those that none can."""
        report, needing = tick.report, list[Flight]()
        before = len(report.requests)
        # Without its resource Dagster would refuse a run, and with it the whole tick. Those for which an error of code
        # kept a run from being prepared come last, so that they hold up no others.
        candidates = [
            flight for flight in tick.flights if flight.phase is Phase.NEEDS_STEP and tick.has_resource(flight)
        ]
        self._unprepared = {flight: self._unprepared[flight] for flight in candidates if flight in self._unprepared}
        for flight in sorted(candidates, key=lambda flight: flight in self._unprepared):
            self._unprepared.pop(flight, None)
            try:
                requests.check_step(flight, tick.context.instance)
                needing.append(flight)
            except NotPrepared as error:
                self._unprepared[flight] = error
            except requests.NoStep as why:
                self._tell_without_step(tick, flight, why=why)
            is_full = len(needing) >= most or len(report.requests) - before >= most
            if is_full or len(report.events) >= most_told or report.is_late:
                break
        return needing

    def _request_one(self, tick: Tick, flight: Flight, died: Sequence[dg.RunRecord], given_up: int) -> None:
        """Request the Dagster run that publishes a remote run.

        Raises:
            NoStep: There can be none.
            NotPrepared: An error of code kept it from being prepared.
        """
        default, dead = self._default_jobs[flight.asset], [run.dagster_run.run_id for run in died]
        request = requests.to_publish(flight, tick.context, self._jobs, default, attempt=given_up, instead_of=dead)
        flight.phase = Phase.REQUESTED
        tick.report.requests.append(request)
        if dead:
            tick.context.log.warning(
                "Dagster run %s was to publish the end of %s run %s, and never ended: its worker may have died. "
                "Requesting another one, so that the end is published by a Dagster run that fails",
                dead[-1],
                flight.run.vendor,
                flight.run_id,
            )
        if not given_up:
            self._follow_ups.request(flight, tick.report, tick.context)

    def _seen_for(self, run: dg.RunRecord, now: float) -> float:
        """Seconds for which this process has known that a Dagster run began."""
        return now - self._began_at.setdefault(run.dagster_run.run_id, now) if run.start_time is not None else 0.0

    def _requested_in_turn(self, flights: Flights) -> list[Flight]:
        """As many runs whose Dagster run was requested as one query covers; later ticks take the others."""
        requested = [flight for flight in flights if flight.phase is Phase.REQUESTED]
        first = self._turn % len(requested) if requested else 0
        self._turn += publishing.AT_ONCE
        return (requested[first:] + requested[:first])[: publishing.AT_ONCE]

    def _tell_without_step(self, tick: Tick, flight: Flight, *, why: requests.NoStep) -> None:
        """Report a run that no Dagster run can publish. Requesting one would fail the tick."""
        if flight.is_superseded:
            flight.phase = Phase.SUCCEEDED
            return
        if not tick.has_resource(flight):
            return  # its address is part of what is reported; the next tick tries again
        places = tick.published.left(flight)
        ended = tick.ended(flight, places, newest_materializations(tick.context.instance, places))
        try:
            events = ended.as_failure()
        except Exception:  # the vendor's code failed; that the run ended is known
            tick.context.log.exception(
                "Could not convert the result of %s run %s to Dagster events; reporting the failure without it",
                flight.run.vendor,
                flight.run_id,
            )
            events = replace(ended, result=RunResult(), is_of_kind=False).as_failure()
        evaluated = [one for one in events if isinstance(one, dg.AssetCheckEvaluation)]
        report_evaluations(evaluated, flight, tick, lambda: True)
        tick.report.events += [one for one in events if not isinstance(one, dg.AssetCheckEvaluation)]
        tick.context.log.warning(
            "%s run %s ended %s. %s, so no Dagster run tells of it",
            flight.run.vendor,
            flight.run_id,
            flight.last_status.word or "beyond its time",
            why,
        )
        flight.phase = Phase.OVER
        self._follow_ups.request(flight, tick.report, tick.context)


def _named(flight: Flight) -> str:
    of = ", ".join(key.to_user_string() for key in flight.keys)
    return f"The end of {flight.run.vendor} run {flight.run_id} of {of}"
