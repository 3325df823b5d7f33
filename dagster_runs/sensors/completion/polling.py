"""Polls the deferred runs that are due, for all resources at the same time, and applies the results."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import Empty

import dagster as dg

from dagster_runs.remote_run.execution.poll_schedule import PollSchedule
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase, phase_when_overdue
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.poller import ResourcePoller
from dagster_runs.sensors.completion.schedule_cache import PollScheduleCache
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.outages import OutageTracker
from dagster_runs.sensors.tick import TickTimes
from dagster_runs.transport.clock import current_clock


class PolledResource:
    """One resource: its poller, its round in progress, and its outages.

    Args:
        key: The resource's key.
    """

    def __init__(self, key: str) -> None:
        self.poller = ResourcePoller(key)
        self.outages = OutageTracker(key)
        self.round: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a round of an earlier tick is still in progress."""
        return self.round is not None and not self.round.done()

    def finish_round(self) -> None:
        """Forgets a round that has ended. An error of ours in it fails this tick."""
        if self.round is not None and self.round.done():
            ended, self.round = self.round, None
            ended.result()

    def apply_updates(self) -> None:
        """Applies what was learned since the last call."""
        while True:
            try:
                update = self.poller.updates.get_nowait()
            except Empty:
                return
            update.apply(self.outages)


class Polling:
    """Polls deferred runs, from tick to tick.

    Args:
        resource_keys: The resources whose runs are polled.
        interval: Seconds between two ticks.
        schedules: When to poll each asset's runs.
    """

    def __init__(self, resource_keys: Iterable[str], interval: float, schedules: PollScheduleCache) -> None:
        self._interval = interval
        self._schedules = schedules
        self._resources = {key: PolledResource(key) for key in resource_keys}
        self._rounds = ThreadPoolExecutor(len(self._resources), thread_name_prefix="dagster_runs_poller")

    def poll(
        self,
        deferred_runs: Iterable[DeferredRun],
        resources: Mapping[str, RemoteRunResource],
        instance: dg.DagsterInstance,
        times: TickTimes,
    ) -> None:
        """Polls the runs that are due.

        Args:
            deferred_runs: All deferred runs.
            resources: The usable resources, by key.
            instance: The Dagster instance.
            times: Until when the parts of the tick may take.
        """
        clock = current_clock()
        until = times.until(limits.TICK_POLL_SHARE)
        self._finish_rounds()
        self._apply_updates()
        soon = clock.wall() + self._interval / 2
        active = group_by(
            (one for one in deferred_runs if one.phase is Phase.ACTIVE), lambda one: one.asset.remote.resource_key
        )
        pending: list[Future[None]] = []
        for key, resource in resources.items():
            polled = self._resources[key]
            if polled.is_busy:
                continue  # the vendor is slower than a tick
            some = active.get(key, [])
            due = [one for one in some if one.is_due(self._schedule(one, resource, instance, times), soon)]
            # Runs that are past their deadline come first: missing a success now would cost a Dagster run.
            due.sort(key=lambda one: (soon < one.deadline, one.polled_at))
            if not some:
                polled.outages.set_idle()
            elif due:
                polled.round = self._rounds.submit(polled.poller.poll, due, some, resource, until)
                if not polled.outages.is_unresponsive:  # an unresponsive vendor must not delay the others in each tick
                    pending.append(polled.round)
        wait(pending, timeout=max(limits.MIN_WAIT_SECONDS, times.until(limits.TICK_WAIT_SHARE) - clock.monotonic()))
        self._finish_rounds()
        self._apply_updates()

    def escalate_overdue(self, deferred_runs: Iterable[DeferredRun], unusable: Iterable[str]) -> None:
        """Leaves overdue runs to a Dagster run, once the vendor has responded or has not responded for too long.

        Args:
            deferred_runs: All deferred runs.
            unusable: The keys of the resources that cannot be used.
        """
        now = current_clock().wall()
        unavailable = {key for key, polled in self._resources.items() if polled.outages.is_unavailable} | set(unusable)
        for one in deferred_runs:
            if one.phase is not Phase.ACTIVE or now < one.deadline:
                continue
            one.overdue_since = one.overdue_since or now
            one.phase = phase_when_overdue(
                overdue_for=now - one.deadline,
                seen_overdue_for=now - one.overdue_since,
                was_polled=one.polled_at >= one.deadline or one.asset.remote.resource_key in unavailable,
                has_response=one.last_response_at >= one.deadline,
                is_materialized=one.is_materialized,
                was_ever_polled=one.polled_at > 0,
            )

    def log_outages(self, log: logging.Logger) -> None:
        """Logs the outages that have begun and those that have ended."""
        for polled in self._resources.values():
            polled.outages.log_outage(log)

    @property
    def problems(self) -> list[str]:
        """The current problems."""
        return [problem for polled in self._resources.values() for problem in polled.outages.problems]

    @property
    def credential_problems(self) -> list[str]:
        """The errors of vendors that have been refusing our credentials for a while."""
        return [problem for polled in self._resources.values() for problem in polled.outages.credential_problems]

    def _finish_rounds(self) -> None:
        for polled in self._resources.values():
            polled.finish_round()

    def _apply_updates(self) -> None:
        for polled in self._resources.values():
            polled.apply_updates()

    def _schedule(
        self, deferred_run: DeferredRun, resource: RemoteRunResource, instance: dg.DagsterInstance, times: TickTimes
    ) -> PollSchedule:
        return self._schedules.of(deferred_run, resource, instance, times.until(limits.TICK_SCHEDULES_SHARE))
