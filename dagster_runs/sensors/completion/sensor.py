"""The ticks of the completion sensor, which poll active deferred runs and report their outcomes to Dagster.

A tick refreshes the index of deferred runs from the event log, polls the runs that are due, decides what to do about
each, and reports. A success is reported in two phases: the materializations in one tick, and the check evaluations that
name them in a later one (see `second_phase`).

Dagster stores a tick's events before its cursor. If a tick is lost in between, the old cursor remains, and its tick id
differs from the last one that was returned. The index is then rebuilt from the event log, which has everything that was
stored. So each outcome is reported once.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

import dagster as dg

from dagster_runs.remote_run.run_summary import in_words
from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion import requested_runs
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.cursor import Cursor
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import ReportedRuns
from dagster_runs.sensors.completion.failures import Failures
from dagster_runs.sensors.completion.follow_ups import FollowUps
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.polling import Polling
from dagster_runs.sensors.completion.queue import Queue
from dagster_runs.sensors.completion.schedule_cache import PollScheduleCache
from dagster_runs.sensors.completion.second_phase import drop_evaluated
from dagster_runs.sensors.completion.step_runs import unrecorded_ends
from dagster_runs.sensors.completion.successes import Successes
from dagster_runs.sensors.completion.wiped import WipedRuns
from dagster_runs.sensors.outages import LastingProblem
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.tick import SensorTicks, TickOutput, TickTimes
from dagster_runs.sensors.tick_summary import asset_names, counts_of, first_tick, listed, tick_summary
from dagster_runs.sensors.vendor_resources import VendorResources
from dagster_runs.transport.clock import current_clock


class Completion(SensorTicks):
    """The ticks of a completion sensor.

    Args:
        assets: The assets whose deferred runs it finishes.
        follow_up: What the user wants after each finished run.
        jobs: The jobs that the sensor may request, by name.
        default_jobs: For each asset, the job that reports the outcomes of runs which other jobs deferred.
        interval: Seconds between two ticks.
        continue_run: Whether Dagster runs of ``jobs`` are continued after a deferred run.
        tick_seconds: The maximum number of seconds that a tick takes.
    """

    def __init__(
        self,
        assets: Sequence[WatchedAsset],
        *,
        follow_up: Any,
        jobs: Mapping[str, Any],
        default_jobs: Mapping[WatchedAsset, str],
        interval: float,
        continue_run: bool = False,
        tick_seconds: float = limits.TICK_SECONDS,
    ) -> None:
        super().__init__(assets, tick_seconds)
        self._index: DeferredRunIndex | None = None
        self._tick_id = ""
        self._was_stored: Callable[[dg.DagsterInstance], bool] | None = None
        self._wiped = WipedRuns()
        schedules = PollScheduleCache()
        self._polling = Polling(dict.fromkeys(asset.remote.resource_key for asset in assets), interval, schedules)
        self._follow_ups = FollowUps(follow_up, default_jobs, jobs if continue_run else {})
        self._successes = Successes(schedules, self._follow_ups)
        self._failures = Failures(jobs, default_jobs, self._follow_ups)
        self._queue = Queue(assets, jobs, default_jobs)

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources, times: TickTimes) -> dg.SensorResult:
        was_stored = self._was_stored
        try:
            return self._refresh_poll_and_report(context, vendors, times)
        except LastingProblem:
            raise  # nothing was returned to Dagster, and the index is up to date
        except BaseException:
            self._index, self._was_stored = None, was_stored  # it is unknown how far the tick got
            raise

    def _refresh_poll_and_report(
        self, context: dg.SensorEvaluationContext, vendors: VendorResources, times: TickTimes
    ) -> dg.SensorResult:
        cursor = Cursor.from_text(context.cursor)
        index = self._refresh(cursor, context.instance, times.until(limits.TICK_READ_SHARE))
        if not index.is_complete:
            return dg.SensorResult(
                skip_reason="Reading which deferred runs are active; the next tick continues", cursor=context.cursor
            )
        self._polling.poll(index, vendors.ready, context.instance, times)
        self._polling.log_outages(context.log)
        self._wiped.warn(index, context.instance, context.log, times.until(limits.TICK_WIPE_CHECK_SHARE))
        problems = [*vendors.problems.values(), *self._polling.credential_problems]
        self._alarm.check_before_reporting([*problems, *self._failures.problems().values()])
        output = TickOutput(times.until(limits.TICK_REPORT_SHARE))
        tick = TickContext(index, ReportedRuns(index, context.instance), vendors.ready, output, context)
        self._decide(tick, vendors)
        self._failures.request(tick)
        self._successes.evaluate(tick)
        self._successes.materialize(tick)
        next_tick_id = uuid4().hex
        self._queue.admit(tick, next_tick_id)
        output.events += islice(unrecorded_ends(index), limits.MAX_TICK_EVENTS)
        problems += self._failures.log_problems(context.log).values()
        self._alarm.check_after_reporting(problems, is_idle=output.is_empty)
        return self._sensor_result(tick, cursor, vendors, next_tick_id)

    def _refresh(self, cursor: Cursor, instance: dg.DagsterInstance, until: float) -> DeferredRunIndex:
        """Updates the index. Rebuilds it unless this process's last tick is the last one that Dagster stored."""
        is_last = cursor.tick_id == self._tick_id
        index = self._index
        self._queue.begin_tick(instance, is_new_index=index is None or not is_last)
        if is_last and self._was_stored is not None and not self._was_stored(instance):
            # A user has tested the sensor in the UI and kept the cursor. Dagster then stores no events.
            index, self._was_stored = self._rebuild(cursor, instance, 0), None
        elif index is None or not is_last:
            index = self._rebuild(cursor, instance, cursor.low_watermark)
            self._tick_id, self._was_stored = cursor.tick_id, None
        else:
            # Dagster has the last tick's cursor, so it has stored the last tick's events.
            index.drop([deferred_run for deferred_run in index if deferred_run.phase is Phase.DONE])
        self._index = index
        index.catch_up(until)
        if index.is_complete:
            clock = current_clock()
            index.to_verify = drop_evaluated(index.to_verify, instance, has_time=lambda: clock.monotonic() < until)
        return index

    def _rebuild(self, cursor: Cursor, instance: dg.DagsterInstance, low_watermark: int) -> DeferredRunIndex:
        self._follow_ups.reset(cursor.written_at)
        return DeferredRunIndex(self._assets, instance, low_watermark)

    def _decide(self, tick: TickContext, vendors: VendorResources) -> None:
        """Decides what the last polls did not: which runs are overdue, and which another process has reported."""
        self._was_stored = None
        self._follow_ups.request_again(tick)
        self._polling.escalate_overdue(tick.deferred_runs, vendors.problems)
        self._drop_lost_results(tick)
        now, output = current_clock().wall(), tick.output
        requested_runs.drop_timed_out(tick.deferred_runs, tick.context.instance, now, lambda: not output.is_late)

    def _sensor_result(
        self, tick: TickContext, before: Cursor, vendors: VendorResources, tick_id: str
    ) -> dg.SensorResult:
        """Returns the tick's output for Dagster, with the cursor."""
        output, index = tick.output, tick.deferred_runs
        if output.requests:
            tick.context.log.info("%s", self._summary(tick, vendors))
        self._was_stored = output.was_stored
        self._tick_id = tick_id
        # Work that a lost tick has left undone dates from the time of its cursor.
        written_at = (before.written_at if index.reported else 0.0) or current_clock().wall()
        return dg.SensorResult(
            asset_events=output.all_events,
            run_requests=output.requests,
            # Dagster shows this for every tick that requests no run.
            skip_reason=None if output.requests else self._summary(tick, vendors),
            cursor=Cursor(self._tick_id, index.low_watermark, written_at).as_text(),
        )

    def _drop_lost_results(self, tick: TickContext) -> None:
        """Gives up the check evaluations of a materialized run whose result can no longer be fetched.

        Once a run is materialized, a step cannot add check results to it.
        """
        for deferred_run in tick.deferred_runs:
            if deferred_run.phase is Phase.NEEDS_DAGSTER_RUN and deferred_run.is_materialized:
                deferred_run.phase = Phase.DONE
                tick.context.log.warning(
                    "The checks of %s were not reported before this process began, and its result can no longer be "
                    "fetched. Its materialization has no check results",
                    deferred_run,
                )
                self._follow_ups.request(deferred_run, tick, state=RunState.SUCCEEDED)

    def _summary(self, tick: TickContext, vendors: VendorResources) -> str:
        index, now = tick.deferred_runs, current_clock().wall()
        left = [deferred_run for deferred_run in index if deferred_run.phase is not Phase.DONE]
        reported = len(index) - len(left)
        in_flight = f"{len(left)} in flight" + (f", {self._queue.summary}" if self._queue.summary else "")
        is_idle = not (reported or left or self._queue.summary or tick.output.done)
        counts = counts_of(reported, in_flight, idle="No deferred run is in flight", is_idle=is_idle)
        active = [deferred_run for deferred_run in left if not deferred_run.last_status.state.is_final]
        active.sort(key=lambda deferred_run: deferred_run.record.at)
        names = asset_names([key for asset in self._assets for key in asset.keys])
        return tick_summary(
            counts,
            {
                "This tick": listed(tick.output.done),
                "In flight": listed(active, lambda one: f"{one.phrase} for {in_words(now - one.record.at)}"),
                "Queued": listed(self._queue.waiting, lambda one: one.phrase),
            },
            [*vendors.problems.values(), *self._polling.problems],
            first=first_tick(tick.context, f"reports how deferred runs of {names} end"),
        )
