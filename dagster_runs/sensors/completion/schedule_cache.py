"""The pace at which to look at each asset's runs, from how long its earlier ones took."""

from collections import deque

import dagster as dg

from dagster_runs.remote_run.execution.event_log import EARLIER_RUNS, earlier_durations
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock


class PollScheduleCache:
    """Each asset's pace: read once, then kept up to date by the runs that end."""

    def __init__(self) -> None:
        self._durations: dict[WatchedAsset, deque[float]] = {}
        self._schedules: dict[WatchedAsset, PollSchedule] = {}

    def of(
        self, deferred_run: DeferredRun, resource: RemoteRunResource, instance: dg.DagsterInstance, until: float
    ) -> PollSchedule:
        """The pace for a run.

        Args:
            deferred_run: The run.
            resource: Its resource.
            instance: Where the asset's earlier runs are known.
            until: Monotonic seconds after which no more are read: there is a query for each asset. Those left over have
                a first run's pace until the next tick.
        """
        asset = deferred_run.asset
        if asset not in self._schedules:
            if asset not in self._durations:
                if current_clock().monotonic() > until:
                    return PollSchedule.after((), longest=resource.poll_interval)
                self._durations[asset] = deque(earlier_durations(instance, asset.keys[0]), maxlen=EARLIER_RUNS)
            self._schedules[asset] = PollSchedule.after(tuple(self._durations[asset]), longest=resource.poll_interval)
        return self._schedules[asset]

    def learn(self, deferred_run: DeferredRun) -> None:
        """Take in how long a good run took."""
        seconds = deferred_run.status.duration_seconds if deferred_run.status is not None else None
        if seconds is not None and deferred_run.asset in self._durations:
            self._durations[deferred_run.asset].append(seconds)
            self._schedules.pop(deferred_run.asset, None)
