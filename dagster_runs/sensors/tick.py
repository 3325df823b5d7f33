"""What the ticks of both sensors have in common: one tick at a time, the vendors' resources, and the limited output."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import partition_of
from dagster_runs.sensors import limits
from dagster_runs.sensors.outages import Alarm, OutageLog
from dagster_runs.sensors.registry import WatchedAsset, check_defined
from dagster_runs.sensors.run_outcome import AssetEvent
from dagster_runs.sensors.vendor_resources import VendorResources, initialized
from dagster_runs.transport.clock import current_clock

_STILL_RUNNING = "The last tick of this sensor is still running"
"""Dagster begins the next tick when one has taken too long, and ignores the result of the slow one."""


@dataclass(frozen=True)
class TickTimes:
    """Until when each part of a tick may take, in monotonic seconds.

    Attributes:
        begun: When the tick began.
        seconds: The maximum number of seconds that the tick takes.
    """

    begun: float
    seconds: float = limits.TICK_SECONDS

    def until(self, share: float) -> float:
        """Returns when this share of the tick's time has passed.

        Args:
            share: One of the limits whose names end in ``_SHARE``.
        """
        return self.begun + share * self.seconds

    @property
    def ends_at(self) -> float:
        """When the tick must have ended."""
        return self.until(1.0)


class SensorTicks(ABC):
    """The ticks of one sensor in this process.

    Args:
        assets: The assets whose runs the sensor reports.
        tick_seconds: The maximum number of seconds that a tick takes.
    """

    def __init__(self, assets: Sequence[WatchedAsset], tick_seconds: float) -> None:
        self._assets = assets
        self._tick_seconds = tick_seconds
        self._alarm = Alarm()
        self._busy = threading.Lock()
        self._resource_log = OutageLog()

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Evaluates the sensor once."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(_STILL_RUNNING)
        times = TickTimes(current_clock().monotonic(), self._tick_seconds)
        try:
            check_defined(self._assets, context.repository_def)
            with initialized(self._assets, context) as vendors:
                over = "The resource %r can be used again, after %.0f s"
                self._resource_log.update(context.log, vendors.problems, over=over, errors=vendors.errors)
                return self._tick(context, vendors, times)
        finally:
            self._busy.release()

    @abstractmethod
    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources, times: TickTimes) -> dg.SensorResult:
        """Evaluates the sensor with the resources that can be used."""


@dataclass
class TickOutput:
    """What a tick returns to Dagster.

    Attributes:
        until: Monotonic seconds after which at most one more run of each kind is reported.
        evaluations: Check evaluations of stored materializations. They are stored before all other events, which may
            belong to later runs.
        events: Other events to be stored.
        requests: Dagster runs to be launched.
        runless_evaluations: Checks and partitions for which ``evaluations`` has an evaluation.
        done: What the tick has done about single runs, for its text.
        was_stored: Asks Dagster whether it has stored the last reported run; ``None`` without events.
    """

    until: float
    evaluations: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    runless_evaluations: set[tuple[dg.AssetCheckKey, str | None]] = field(default_factory=set)
    done: list[str] = field(default_factory=list)
    was_stored: Callable[[dg.DagsterInstance], bool] | None = None
    _sizes: dict[str, list[int]] = field(default_factory=dict)

    def evaluate(self, evaluation: dg.AssetCheckEvaluation) -> None:
        """Adds a check evaluation."""
        self.evaluations.append(evaluation)
        self.runless_evaluations.add((evaluation.asset_check_key, partition_of(evaluation)))

    @property
    def all_events(self) -> list[AssetEvent]:
        """All events, in the order in which Dagster stores them."""
        return [*self.evaluations, *self.events]

    @property
    def is_empty(self) -> bool:
        """Whether the tick has nothing to return."""
        return not (self.evaluations or self.events or self.requests)

    @property
    def is_late(self) -> bool:
        """Whether the rest is left to the next tick."""
        return current_clock().monotonic() > self.until

    @property
    def size(self) -> int:
        """The number of bytes of the events and requests, as Dagster sends them to the daemon."""
        lists: dict[str, Sequence[Any]] = {
            "evaluations": self.evaluations,
            "events": self.events,
            "requests": self.requests,
        }
        for name, items in lists.items():
            sizes = self._sizes.setdefault(name, [])
            sizes += map(_size_of, items[len(sizes) :])
        return sum(map(sum, self._sizes.values()))

    @property
    def is_full(self) -> bool:
        """Whether the largest possible event would make the output larger than Dagster can send to the daemon."""
        return self.size > limits.MAX_TICK_BYTES - limits.MAX_EVENT_BYTES

    @property
    def has_room_for_events(self) -> bool:
        """Whether further successes may be reported in this tick."""
        taken = min(len(self.requests) * limits.EVENTS_PER_REQUEST, limits.MAX_TICK_EVENTS // 2)
        return len(self.evaluations) + len(self.events) + taken < limits.MAX_TICK_EVENTS and not self.is_full

    @property
    def has_room_for_requests(self) -> bool:
        """Whether further Dagster runs may be requested in this tick."""
        return len(self.requests) < limits.MAX_TICK_REQUESTS and not self.is_full


def _size_of(item: Any) -> int:
    try:
        return len(dg.serialize_value(item))
    except Exception:  # noqa: BLE001 - of any type: Dagster rejects the tick's output, with a better message
        return 0
