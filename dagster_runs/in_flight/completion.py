"""The completion sensor's work: from the deferred runs that are going to what Dagster is told of their ends.

Dagster stores a tick's events, then its cursor, then launches its runs. A tick that gets lost on the way leaves the old
cursor behind: its token is not the one that was handed out last, so the table of runs is made anew from the event log,
in which everything that was stored is seen. Hence each end is told once.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dagster as dg

from dagster_runs.in_flight import requests
from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.finished import AssetEvent, Ended, FinishedRun, Place
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.paces import Paces
from dagster_runs.in_flight.watching import Watch
from dagster_runs.remote_run.ledger import publications
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock, machine_time

READING = 15.0
"""Seconds of a tick in which to read the event log; Dagster ends a tick after 60."""
LOOKING = 15.0
"""Seconds of a tick in which looks may begin."""
MOST_EVENTS = 1000
"""That a tick reports: Dagster stores them one by one, in the same tick."""
MOST_REQUESTS = 25
"""Runs that a tick requests: Dagster launches them one by one."""
_UNHEARD = 600.0
"""Seconds beyond its deadline after which a run that cannot be looked at is left to a step all the same."""
_LATELY = 600.0
"""Seconds before the last cursor for which follow-up jobs are requested anew, after a tick that got lost."""


@dataclass(frozen=True)
class Cursor:
    """What the sensor keeps between ticks: enough to make the table of runs anew.

    Attributes:
        token: Of the tick that wrote it.
        read_from: Id in the event log after which all runs are found that are going.
        at: Epoch seconds.
    """

    token: str = ""
    read_from: int = 0
    at: float = 0.0

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """As a tick wrote it; whatever else stands there begins anew."""
        try:
            kept = json.loads(text or "{}")
            return cls(str(kept["token"]), int(kept["read_from"]), float(kept["at"]))
        except (ValueError, TypeError, KeyError):
            return cls()

    def as_text(self) -> str:
        """For Dagster to keep."""
        return json.dumps({"token": self.token, "read_from": self.read_from, "at": self.at})


class Completion:
    """A completion sensor's memory, and its ticks.

    Args:
        assets: The assets whose deferred runs it finishes.
        follow_up: What the user wants after each finished run.
        jobs: The jobs that the sensor may request, by name.
        default_job: The one that publishes the ends of runs that other jobs deferred.
        interval: Seconds between two ticks.
    """

    def __init__(
        self,
        assets: Sequence[WatchedAsset],
        *,
        follow_up: Any,
        jobs: Mapping[str, Any],
        default_job: str,
        interval: float,
    ) -> None:
        self._assets = assets
        self._follow_up = follow_up
        self._jobs = jobs
        self._default_job = default_job
        self._interval = interval
        self._busy = threading.Lock()
        self._flights: Flights | None = None
        self._token = ""
        self._watches = {asset.remote.resource_key: Watch(asset.remote.resource_key) for asset in assets}
        self._looking: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._watches), thread_name_prefix="dagster_runs_watch")
        self._paces = Paces()

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """One evaluation of the sensor."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason("The last tick of this sensor is still at work")
        try:
            return self._tick(context)
        except BaseException:
            self._flights = None  # nobody can tell how far it came
            raise
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult:
        clock = current_clock()
        before = Cursor.of(context.cursor)
        flights = self._known(before, context.instance)
        flights.catch_up(clock.monotonic() + READING)
        if not flights.is_known:
            return dg.SensorResult(
                skip_reason="Reading which runs are going; the next tick goes on", cursor=context.cursor
            )
        resources = {asset.remote.resource_key: asset.remote.resource_in(context.resources) for asset in self._assets}
        self._look(flights, resources, context.instance)
        for watch in self._watches.values():
            watch.tell(context.log)
        report = _Report()
        self._follow_again(flights, before, report, context)
        self._report(flights, resources, report, context)
        self._token = uuid4().hex
        cursor = Cursor(self._token, flights.read_from, clock.wall()).as_text()
        return dg.SensorResult(
            asset_events=report.events,
            run_requests=report.requests,
            # Dagster shows it for every tick that requests no run.
            skip_reason=None if report.requests else self._how_it_stands(flights),
            cursor=cursor,
        )

    def _known(self, cursor: Cursor, instance: dg.DagsterInstance) -> Flights:
        """The table; made anew unless the last tick of this process is the last that Dagster knows of."""
        if self._flights is None or cursor.token != self._token:
            self._flights = Flights(self._assets, instance, cursor.read_from)
            self._token = cursor.token
        else:
            # That Dagster has the last tick's cursor says that it has stored its events.
            self._flights.drop([flight for flight in self._flights if flight.phase is Phase.OVER])
        return self._flights

    def _look(self, flights: Flights, resources: Mapping[str, RemoteRunResource], instance: dg.DagsterInstance) -> None:
        """Look at what is due, all resources at the same time."""
        clock = current_clock()
        until, soon = clock.monotonic() + LOOKING, clock.wall() + self._interval / 2
        for key, resource in resources.items():
            looking = self._looking.get(key)
            if looking is not None and not looking.done():
                continue  # a vendor that is slow beyond all measure
            going = [flight for flight in flights if flight.asset.remote.resource_key == key]
            due = [flight for flight in going if flight.is_due(self._paces.of(flight, resource, instance), soon)]
            due.sort(key=lambda flight: flight.looked_at)
            if due:
                going = [flight for flight in going if flight.phase is Phase.GOING]
                self._looking[key] = self._pool.submit(self._watches[key].look, due, going, resource, until)
        wait(self._looking.values(), timeout=LOOKING + 1)
        for look in self._looking.values():
            if look.done():
                look.result()  # an error of ours is to fail the tick

    def _report(
        self,
        flights: Flights,
        resources: Mapping[str, RemoteRunResource],
        report: "_Report",
        context: dg.SensorEvaluationContext,
    ) -> None:
        now = current_clock().wall()
        for flight in flights:
            if report.is_full:
                return
            if flight.phase is Phase.SUCCEEDED:
                ended = _ended(flight, resources[flight.asset.remote.resource_key], context.instance)
                report.events += ended.as_success() if ended.places else ()
                self._paces.learn(flight)
            elif flight.phase is Phase.NEEDS_STEP or (flight.phase is Phase.GOING and _is_overdue(flight, now)):
                request = requests.to_publish(flight, context.instance, self._jobs, self._default_job)
                report.requests.append(request)
            else:
                continue
            flight.phase = Phase.OVER
            self._follow(flight, report, context)

    def _follow(self, flight: Flight, report: "_Report", context: dg.SensorEvaluationContext) -> None:
        if self._follow_up is None:
            return
        state = _seen(flight).state
        finished = FinishedRun(flight.run_id, flight.run.vendor, state, tuple(flight.keys), tuple(flight.partitions))
        report.requests += requests.to_follow_up(self._follow_up, finished, context.log)

    def _follow_again(
        self, flights: Flights, before: Cursor, report: "_Report", context: dg.SensorEvaluationContext
    ) -> None:
        """Request what follows those that a lost tick may have reported without its requests. Dagster drops doubles."""
        for flight, at in flights.published:
            if at >= machine_time(before.at - _LATELY):
                flight.status = RunStatus(RunState.SUCCEEDED, "")
                self._follow(flight, report, context)
        flights.published.clear()

    def _how_it_stands(self, flights: Flights) -> str:
        count = {phase: sum(flight.phase is phase for flight in flights) for phase in Phase}
        reported, going = count[Phase.OVER], len(flights) - count[Phase.OVER]
        said = [f"{reported} reported, {going} in flight"]
        return ". ".join([*said, *(watch.trouble for watch in self._watches.values() if watch.trouble is not None)])


@dataclass
class _Report:
    """What a tick tells Dagster."""

    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether the next tick is to tell the rest."""
        return len(self.events) >= MOST_EVENTS or len(self.requests) >= MOST_REQUESTS


def _is_overdue(flight: Flight, now: float) -> bool:
    looked = flight.looked_at >= flight.deadline
    return now >= flight.deadline and (looked or now >= flight.deadline + _UNHEARD)


def _ended(flight: Flight, resource: RemoteRunResource, instance: dg.DagsterInstance) -> Ended:
    places = [
        place for place in flight.places if not (flight.may_be_published and _is_published(flight, place, instance))
    ]
    more = {"dagster_runs/deferred_by": dg.MetadataValue.dagster_run(flight.record.dagster_run_id)}
    return Ended(flight.asset, places, flight.run, flight.run_id, resource, _seen(flight), flight.result, more)


def _seen(flight: Flight) -> RunStatus:
    return flight.status or RunStatus(RunState.UNKNOWN, "")


def _is_published(flight: Flight, place: Place, instance: dg.DagsterInstance) -> bool:
    key, partition = place
    wanted = dg.AssetRecordsFilter(
        key, [partition] if partition is not None else None, after_storage_id=flight.storage_id
    )
    return any(publications(instance, wanted, flight.run_id))
