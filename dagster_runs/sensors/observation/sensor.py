"""A tick of the observation sensor: runs that were started elsewhere, from the first listing to the outcome.

Dagster stores a tick's events before its cursor. So before an outcome is reported, the event log is checked for it.
After a lost tick, nothing is reported twice.
"""

import threading
from collections.abc import Sequence

import dagster as dg

from dagster_runs.sensors import limits
from dagster_runs.sensors.observation.cursor import ResourceCursor, as_text, from_text
from dagster_runs.sensors.observation.observer import ResourceMemory, ResourceObserver
from dagster_runs.sensors.observation.outcomes import ObservationOutput, ObservedOutcomes
from dagster_runs.sensors.observation.ownership import Ownership
from dagster_runs.sensors.outages import Alarm, OutageLog, OutageTracker
from dagster_runs.sensors.registry import WatchedAsset, check_defined
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.sensors.tick import STILL_RUNNING
from dagster_runs.sensors.vendor_resources import VendorResources, initialized
from dagster_runs.transport.clock import current_clock


class Observation:
    """An observation sensor's ticks.

    Args:
        assets: The assets that runs started elsewhere materialize.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
    """

    def __init__(self, assets: Sequence[WatchedAsset], *, follow_up: FollowUp | None) -> None:
        self._assets = {asset.keys[0].to_user_string(): asset for asset in assets}
        self._follow_up = follow_up
        self._ticks = 0
        self._busy = threading.Lock()
        self._memories: dict[str, ResourceMemory] = {}
        self._alarm = Alarm()
        self._resource_log = OutageLog()
        self._failed_cursors: tuple[str | None, str] | None = None
        """If the last tick failed: the cursor that Dagster has kept, and the new one that it did not receive."""

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Evaluates the sensor once."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(STILL_RUNNING)
        try:
            with initialized(self._assets.values(), context) as vendors:
                return self._tick(context, vendors)
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources) -> dg.SensorResult:
        check_defined(self._assets.values(), context.repository_def)
        over = "The resource %r can be used again, after %.0f s"
        self._resource_log.update(context.log, vendors.problems, over=over, errors=vendors.errors)
        self._alarm.check_before_reporting(self._problems(vendors))
        clock = current_clock()
        until = clock.monotonic() + limits.OBSERVE_UNTIL
        has_failed = self._failed_cursors is not None and self._failed_cursors[0] == context.cursor
        cursors = from_text(
            self._failed_cursors[1] if self._failed_cursors is not None and has_failed else context.cursor
        )
        output = ObservationOutput()
        by_resource: dict[str, dict[str, WatchedAsset]] = {}
        for name, asset in self._assets.items():
            by_resource.setdefault(asset.remote.resource_key, {})[name] = asset
        # Each resource comes first in turn, so that a slow one does not take the others' time in each tick.
        turn = self._ticks % len(by_resource)
        self._ticks += 1
        in_turn = [*by_resource.items()]
        for key, assets in in_turn[turn:] + in_turn[:turn]:
            one = cursors.setdefault(key, ResourceCursor(clock.wall()))
            if clock.monotonic() > until:
                continue
            resource = vendors.ready.get(key)
            if resource is None:
                output.problems.append(vendors.problems[key])
                continue
            memory = self._memories.setdefault(key, ResourceMemory(OutageTracker(key)))
            ownership = Ownership(assets, resource, context.instance)
            outcomes = ObservedOutcomes(resource, one.pending, output, context, self._follow_up)
            ResourceObserver(
                key, assets, resource, one, memory, ownership, outcomes, output, context.log, until
            ).observe()
        waiting = sum(len(one.pending) for one in cursors.values())
        summary = f"{output.runs} reported, {waiting} pending"
        cursor = as_text(cursors)
        self._failed_cursors = (context.cursor, cursor)
        is_idle = not (output.evaluations or output.events or output.requests)
        self._alarm.check_after_reporting(self._problems(vendors), is_idle=is_idle)
        self._failed_cursors = None
        return dg.SensorResult(
            asset_events=[*output.evaluations, *output.events],
            run_requests=output.requests,
            skip_reason=None if output.requests else ". ".join([summary, *output.problems]),
            cursor=cursor,
        )

    def _problems(self, vendors: VendorResources) -> list[str]:
        """Returns what a user must solve: unusable resources, and credentials that a vendor refuses."""
        refusals = [memory.outages.refusal for memory in self._memories.values()]
        return [*vendors.problems.values(), *(refusal for refusal in refusals if refusal is not None)]
