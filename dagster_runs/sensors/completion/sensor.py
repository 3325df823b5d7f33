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

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors.completion import requested_runs
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.cursor import Cursor
from dagster_runs.sensors.completion.dedupe import ReportedRuns
from dagster_runs.sensors.completion.deferred_run import Phase
from dagster_runs.sensors.completion.failures import Failures
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.poller import ResourcePoller
from dagster_runs.sensors.completion.schedule_cache import PollScheduleCache
from dagster_runs.sensors.completion.second_phase import drop_evaluated
from dagster_runs.sensors.completion.successes import Successes
from dagster_runs.sensors.completion.wiped import WipedRuns
from dagster_runs.sensors.event_budget import EventBudget
from dagster_runs.sensors.outages import Alarm, LastingProblem, OutageLog
from dagster_runs.sensors.registry import WatchedAsset, check_defined
from dagster_runs.sensors.tick import EVENTS_FOR_A_REQUEST, STILL_AT_WORK, TickOutput
from dagster_runs.sensors.vendor_resources import VendorResources, initialized
from dagster_runs.transport.clock import current_clock

READING = 12.0
"""Seconds from the beginning of a tick in which to read the event log; Dagster ends a tick after 60."""
PACING = 14.0
"""Seconds from the beginning of a tick in which to read how long earlier runs took."""
LOOKING = 18.0
"""Seconds from the beginning of a tick in which looks may begin."""
REPORTING = 24.0
"""Seconds from the beginning of a tick in which to report; what is left is for Dagster, to store it."""
MAX_EVENTS = 1000
"""That a tick reports, however fast the storage is."""
MAX_REQUESTS = 25
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
        self._deferred_runs: DeferredRunIndex | None = None
        self._tick_id = ""
        self._was_stored: Callable[[dg.DagsterInstance], bool] | None = None
        self._watches = {asset.remote.resource_key: ResourcePoller(asset.remote.resource_key) for asset in assets}
        self._looking: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._watches), thread_name_prefix="dagster_runs_watch")
        self._paces = PollScheduleCache()
        self._storing = EventBudget()
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
            self._deferred_runs, self._was_stored = None, was_stored  # it is unknown how far the tick came
            raise
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources) -> dg.SensorResult:
        check_defined(self._assets, context.repository_def)
        clock = current_clock()
        begun = clock.monotonic()
        before = Cursor.from_text(context.cursor)
        deferred_runs = self._known(before, context.instance)
        deferred_runs.catch_up(begun + READING)
        if not deferred_runs.is_known:
            return dg.SensorResult(
                skip_reason="Reading which runs are going; the next tick goes on", cursor=context.cursor
            )
        deferred_runs.to_verify = drop_evaluated(
            deferred_runs.to_verify, context.instance, has_time=lambda: clock.monotonic() < begun + READING
        )
        self._look(deferred_runs, vendors.ready, context.instance, begun)
        self._resource_log.update(context.log, vendors.problems, over="The resource %r can be used again, after %.0f s")
        for watch in self._watches.values():
            watch.tell(context.log)
        self._wiped.warn(deferred_runs, context.instance, context.log)
        refused = [watch.refused for watch in self._watches.values() if watch.refused is not None]
        problems = [*vendors.problems.values(), *refused]
        self._alarm.check_before_reporting([*problems, *self._failures.problems().values()])
        max_events = min(MAX_EVENTS, self._storing.max_events)
        max_requests = max(1, min(MAX_REQUESTS, max_events // EVENTS_FOR_A_REQUEST))
        report = TickOutput(max_events, max_requests, begun + REPORTING)
        self._was_stored = None
        self._follow_ups.request_again(deferred_runs, report, context)
        unheard = {key for key, watch in self._watches.items() if watch.is_unavailable or key in vendors.problems}
        _give_up_overdue(deferred_runs, clock.wall(), unheard)
        self._drop_lost_results(deferred_runs, report, context)
        requested_runs.drop_timed_out(deferred_runs, context.instance, clock.wall())
        tick = TickContext(deferred_runs, ReportedRuns(deferred_runs, context.instance), vendors.ready, report, context)
        self._failures.request(tick)
        self._successes.evaluate(tick)
        self._successes.materialize(tick)
        problems += self._failures.log_problems(context.log).values()
        self._alarm.check_after_reporting(problems, is_idle=not report.events and not report.requests)
        self._was_stored = report.was_stored
        self._storing.remember(report.told)
        self._tick_id = uuid4().hex
        at = (
            before.written_at if deferred_runs.published else 0.0
        ) or clock.wall()  # what a lost tick left undone is of that time
        cursor = Cursor(self._tick_id, deferred_runs.low_watermark, at).as_text()
        return dg.SensorResult(
            asset_events=report.events,
            run_requests=report.requests,
            # Dagster shows it for every tick that requests no run.
            skip_reason=None if report.requests else self._how_it_stands(deferred_runs, vendors),
            cursor=cursor,
        )

    def _known(self, cursor: Cursor, instance: dg.DagsterInstance) -> DeferredRunIndex:
        """The table; made anew unless the last tick of this process is the last that Dagster knows of."""
        is_last = cursor.tick_id == self._tick_id
        if is_last and self._was_stored is not None and not self._was_stored(instance):
            # A person has tried the sensor out in the UI, and kept the cursor: Dagster then stores no events.
            self._deferred_runs, self._was_stored = self._anew(cursor, instance, 0), None
        elif self._deferred_runs is None or not is_last:
            self._deferred_runs = self._anew(cursor, instance, cursor.low_watermark)
            self._tick_id, self._was_stored = cursor.tick_id, None
        else:
            # That Dagster has the last tick's cursor says that it has stored its events.
            self._storing.learn(instance)
            self._deferred_runs.drop(
                [deferred_run for deferred_run in self._deferred_runs if deferred_run.phase is Phase.DONE]
            )
        return self._deferred_runs

    def _anew(self, cursor: Cursor, instance: dg.DagsterInstance, low_watermark: int) -> DeferredRunIndex:
        self._follow_ups.start_over(cursor.written_at)
        return DeferredRunIndex(self._assets, instance, low_watermark)

    def _look(
        self,
        deferred_runs: DeferredRunIndex,
        resources: Mapping[str, RemoteRunResource],
        instance: dg.DagsterInstance,
        begun: float,
    ) -> None:
        """Look at what is due, all resources at the same time."""
        clock = current_clock()
        pacing, until = begun + PACING, begun + LOOKING
        _take_over(deferred_runs)
        soon = clock.wall() + self._interval / 2
        pending: list[Future[None]] = []
        for key, resource in resources.items():
            looking = self._looking.get(key)
            if looking is not None and not looking.done():
                continue  # a vendor that is slow beyond all measure
            active = [
                deferred_run
                for deferred_run in deferred_runs
                if deferred_run.phase is Phase.ACTIVE and deferred_run.asset.remote.resource_key == key
            ]
            due = [
                deferred_run
                for deferred_run in active
                if deferred_run.is_due(self._paces.of(deferred_run, resource, instance, pacing), soon)
            ]
            # Those whose time is over come first: a good end that is not seen now would cost a Dagster run.
            due.sort(key=lambda deferred_run: (soon < deferred_run.deadline, deferred_run.polled_at))
            if not active:
                self._watches[key].rest()
            elif due:
                was_silent = self._watches[key].is_unresponsive
                self._looking[key] = self._pool.submit(self._watches[key].poll, due, active, resource, until)
                if not was_silent:  # else all other vendors' ends would be told as late, as long as it hangs
                    pending.append(self._looking[key])
        wait(pending, timeout=max(1.0, until - clock.monotonic() + 1))
        for key in [key for key, look in self._looking.items() if look.done()]:
            self._looking.pop(key).result()  # an error of ours is to fail the tick, and no other one
        _take_over(deferred_runs)

    def _drop_lost_results(
        self, deferred_runs: DeferredRunIndex, report: TickOutput, context: dg.SensorEvaluationContext
    ) -> None:
        """No step can add to a run that is materialized: only its evaluations are missing, and with them its result."""
        for deferred_run in deferred_runs:
            if deferred_run.phase is Phase.NEEDS_DAGSTER_RUN and deferred_run.is_materialized:
                deferred_run.phase = Phase.DONE
                context.log.warning(
                    "The checks of %s run %s were not reported before this process began, and its result can no longer "
                    "be fetched: its materialization keeps no check results",
                    deferred_run.run.vendor,
                    deferred_run.run_id,
                )
                self._follow_ups.request(deferred_run, report, context, state=RunState.SUCCEEDED)

    def _how_it_stands(self, deferred_runs: DeferredRunIndex, vendors: VendorResources) -> str:
        count = {phase: sum(deferred_run.phase is phase for deferred_run in deferred_runs) for phase in Phase}
        said = [f"{count[Phase.DONE]} reported, {len(deferred_runs) - count[Phase.DONE]} in flight"]
        problems_text = [trouble for watch in self._watches.values() for trouble in watch.problems_text]
        return ". ".join([*said, *vendors.problems.values(), *problems_text])


def _take_over(deferred_runs: DeferredRunIndex) -> None:
    for deferred_run in deferred_runs:
        deferred_run.take_over()


def _give_up_overdue(deferred_runs: DeferredRunIndex, now: float, unheard: Collection[str]) -> None:
    """Leave to a step those whose time is over, once the vendor told how they stand then, or does not for too long."""
    for deferred_run in deferred_runs:
        if deferred_run.phase is not Phase.ACTIVE or now < deferred_run.deadline:
            continue
        deferred_run.overdue_since = deferred_run.overdue_since or now
        was_tried = deferred_run.polled_at >= deferred_run.deadline or deferred_run.asset.remote.resource_key in unheard
        patience = _UNHEARD if was_tried else _AT_LAST
        if deferred_run.is_materialized:
            # It has ended in time. What is missing are its checks, and no step could report them.
            if now - deferred_run.deadline >= _CHECKS_WITHIN and deferred_run.polled_at:
                deferred_run.phase = Phase.NEEDS_DAGSTER_RUN
            continue
        # What a look has shown since counts at the next tick.
        is_over = deferred_run.last_response_at >= deferred_run.deadline or now - deferred_run.overdue_since >= patience
        if is_over and deferred_run.shown is None:
            deferred_run.phase = Phase.NEEDS_DAGSTER_RUN
