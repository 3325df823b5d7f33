"""The output of a tick: what it returns to Dagster, within the limits of time and number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.sensors import limits
from dagster_runs.sensors.run_outcome import AssetEvent, RunOutcome
from dagster_runs.transport.clock import current_clock

STILL_RUNNING = "The last tick of this sensor is still running"
"""Dagster begins the next tick when one has taken too long, and ignores the result of the slow one."""
_MAX_BUDGET = 10_000
_MAX_MEASURED_RUNS = 100
"""The maximum number of runs to measure: enough to determine the speed, and few enough to be read in each tick."""


@dataclass
class TickOutput:
    """What a tick returns to Dagster.

    Attributes:
        max_events: The maximum number of events.
        max_requests: The maximum number of run requests.
        until: Monotonic seconds after which at most one more run of each kind is reported.
        events: Events to be stored.
        requests: Dagster runs to be launched.
        reported: For each reported run, the asset and partition that comes last, and the number of events up to it.
        runless_evaluations: Checks and partitions for which ``events`` has an evaluation without a Dagster run.
        was_stored: Asks Dagster whether it has stored the last reported run; ``None`` without events.
    """

    max_events: int
    max_requests: int
    until: float
    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    reported: list[tuple[AssetPartition, int]] = field(default_factory=list)
    runless_evaluations: set[tuple[dg.AssetCheckKey, str]] = field(default_factory=set)
    was_stored: Callable[[dg.DagsterInstance], bool] | None = None

    def add_materializations(self, outcome: RunOutcome, instance: dg.DagsterInstance) -> None:
        """Adds the materializations of a run that succeeded, if they were not reported yet."""
        if outcome.asset_partitions:
            self.events += outcome.materializations(instance, self.events)
            self.reported.append((outcome.asset_partitions[-1], len(self.events)))

    @property
    def is_empty(self) -> bool:
        """Whether the tick has nothing to return."""
        return not self.events and not self.requests

    @property
    def is_late(self) -> bool:
        """Whether the rest is left to the next tick."""
        return current_clock().monotonic() > self.until

    @property
    def has_room_for_events(self) -> bool:
        """Whether further successes may be reported in this tick."""
        taken = min(len(self.requests) * limits.EVENTS_PER_REQUEST, self.max_events // 2)
        return len(self.events) + taken < self.max_events

    @property
    def has_room_for_requests(self) -> bool:
        """Whether further Dagster runs may be requested in this tick."""
        return len(self.requests) < self.max_requests


class EventBudget:
    """The number of events a tick may report, based on the time that it took to store the events of the last tick.

    Attributes:
        max_events: The number of events that a tick reports. The events of one run stay together.
    """

    def __init__(self) -> None:
        self.max_events = limits.FIRST_TICK_EVENTS
        self._reported: Sequence[tuple[AssetPartition, int]] = ()

    def remember(self, reported: Sequence[tuple[AssetPartition, int]]) -> None:
        """Remembers what the tick reports.

        Args:
            reported: For each run, the asset and partition that is reported last, and the number of events up to it.
        """
        self._reported = reported[-_MAX_MEASURED_RUNS:]

    def learn(self, instance: dg.DagsterInstance) -> None:
        """Measures how long it took to store the last tick's events. Call it once Dagster has stored them."""
        if not self._reported:
            return
        reported, self._reported = self._reported, ()
        (first, before), (last, after) = reported[0], reported[-1]
        if after - before < limits.MIN_MEASURED_EVENTS:
            return
        # All runs of an asset without partitions are reported for the same asset and partition.
        since = sum(asset_partition == first for asset_partition, _ in reported)
        began, ended = _stored_at(first, instance, since), _stored_at(last, instance, 1)
        if began is None or ended is None:
            return
        self.adapt(after - before, ended - began)

    def adapt(self, events: int, seconds: float) -> None:
        """Sets the number of events that can be stored in time, given how long this number of events took."""
        affordable = limits.STORE_SECONDS * events / max(seconds, 0.001)
        # At most twice as many as before, because a storage may be fast only for a moment.
        self.max_events = int(max(limits.MIN_TICK_EVENTS, min(_MAX_BUDGET, affordable, 2 * self.max_events)))


def _stored_at(asset_partition: AssetPartition, instance: dg.DagsterInstance, which: int) -> float | None:
    """Returns when a report of an asset and partition was stored. ``which`` counts from 1 for the newest."""
    key, partition = asset_partition
    wanted = dg.AssetRecordsFilter(key, [partition] if partition is not None else None)
    newest = instance.fetch_materializations(wanted, limit=which).records
    return newest[-1].timestamp if len(newest) == which else None
