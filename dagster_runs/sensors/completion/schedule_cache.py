"""Caches the poll schedule of each asset, which is based on the durations of its earlier runs."""

from collections import deque

import dagster as dg

from dagster_runs.remote_run.execution.event_log import EARLIER_RUNS, earlier_durations
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock


class PollScheduleCache:
    """The poll schedule of each asset. It is read once, and then updated when runs finish."""

    def __init__(self) -> None:
        self._durations: dict[WatchedAsset, deque[float]] = {}
        self._schedules: dict[WatchedAsset, PollSchedule] = {}

    def of(
        self, deferred_run: DeferredRun, resource: RemoteRunResource, instance: dg.DagsterInstance, until: float
    ) -> PollSchedule:
        """Returns the schedule for a run.

        Args:
            deferred_run: The run.
            resource: Its resource.
            instance: The Dagster instance, whose event log has the asset's earlier runs.
            until: Monotonic seconds after which no more schedules are read, because each asset needs a query. The
                remaining assets use the schedule of a first run until the next tick.
        """
        asset = deferred_run.asset
        if asset not in self._schedules:
            if asset not in self._durations:
                if current_clock().monotonic() > until:
                    return PollSchedule.after((), longest=resource.poll_interval)
                self._durations[asset] = deque(earlier_durations(instance, asset.keys[0]), maxlen=EARLIER_RUNS)
            self._schedules[asset] = PollSchedule.after(tuple(self._durations[asset]), longest=resource.poll_interval)
        return self._schedules[asset]

    def add_duration(self, deferred_run: DeferredRun) -> None:
        """Adds the duration of a run that succeeded."""
        seconds = deferred_run.status.duration_seconds if deferred_run.status is not None else None
        if seconds is not None and deferred_run.asset in self._durations:
            self._durations[deferred_run.asset].append(seconds)
            self._schedules.pop(deferred_run.asset, None)
