"""What a tick tells Dagster, as far as there is room and time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.sensors.run_outcome import AssetEvent, RunOutcome
from dagster_runs.transport.clock import current_clock

EVENTS_FOR_A_REQUEST = 40
"""That Dagster stores in the time in which it launches a run."""
STILL_AT_WORK = "The last tick of this sensor is still at work"
"""Dagster begins the next one when a tick has taken too long, and reads no more what that one tells."""


@dataclass
class TickOutput:
    """What a tick tells Dagster.

    Attributes:
        until: Monotonic seconds after which no more than one further run of each kind is told of.
        told: For each run that is reported, the place that comes last, and the number of events up to it.
        without_run: Checks and partitions of which it has an evaluation.
        was_stored: Asks Dagster whether it has stored the last run of the report; ``None`` if that has no events.
    """

    max_events: int
    max_requests: int
    until: float
    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    told: list[tuple[AssetPartition, int]] = field(default_factory=list)
    without_run: set[tuple[dg.AssetCheckKey, str]] = field(default_factory=set)
    was_stored: Callable[[dg.DagsterInstance], bool] | None = None

    def tell(self, ended: RunOutcome, instance: dg.DagsterInstance) -> None:
        """Report the materializations of a good end, where they were not reported yet."""
        if ended.asset_partitions:
            self.events += ended.materializations(instance, self.events)
            self.told.append((ended.asset_partitions[-1], len(self.events)))

    @property
    def is_late(self) -> bool:
        """Whether the rest is left to the next tick."""
        return current_clock().monotonic() > self.until

    @property
    def has_room_for_events(self) -> bool:
        """Whether further successes may be told in this tick."""
        taken = min(len(self.requests) * EVENTS_FOR_A_REQUEST, self.max_events // 2)
        return len(self.events) + taken < self.max_events

    @property
    def has_room_for_requests(self) -> bool:
        """Whether further runs may be requested in this tick."""
        return len(self.requests) < self.max_requests
