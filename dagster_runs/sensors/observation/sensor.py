"""A tick of the observation sensor: runs that were started elsewhere, from the first listing to the outcome.

Dagster stores a tick's events before its cursor. So before an outcome is reported, the event log is checked for it.
After a lost tick, nothing is reported twice.
"""

from collections.abc import Sequence

import dagster as dg

from dagster_runs.sensors import limits
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.observation.cursor import ResourceCursor, as_text, from_text
from dagster_runs.sensors.observation.observed_asset import with_declared_checks
from dagster_runs.sensors.observation.observer import ResourceMemory, ResourceObserver
from dagster_runs.sensors.observation.outcomes import ObservationOutput, ObservedOutcomes
from dagster_runs.sensors.observation.ownership import Ownership
from dagster_runs.sensors.outages import OutageTracker
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.sensors.tick import SensorTicks, TickTimes
from dagster_runs.sensors.tick_summary import asset_names, counts_of, first_tick, listed, tick_summary
from dagster_runs.sensors.vendor_resources import VendorResources
from dagster_runs.transport.clock import current_clock


class Observation(SensorTicks):
    """The ticks of an observation sensor.

    Args:
        assets: The assets that runs started elsewhere materialize.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
        tick_seconds: The maximum number of seconds that a tick takes.
    """

    def __init__(
        self, assets: Sequence[WatchedAsset], *, follow_up: FollowUp | None, tick_seconds: float = limits.TICK_SECONDS
    ) -> None:
        super().__init__(assets, tick_seconds)
        self._by_resource = list(group_by(assets, lambda asset: asset.remote.resource_key).items())
        self._follow_up = follow_up
        self._ticks = 0
        self._memories: dict[str, ResourceMemory] = {}
        self._failed_cursors: tuple[str | None, str] | None = None
        """If the last tick failed: the cursor that Dagster has kept, and the new one that it did not receive."""

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources, times: TickTimes) -> dg.SensorResult:
        self._alarm.check_before_reporting(self._problems(vendors))
        clock = current_clock()
        failed = self._failed_cursors
        cursors = from_text(failed[1] if failed is not None and failed[0] == context.cursor else context.cursor)
        output = ObservationOutput(times.until(limits.OBSERVE_SHARE))
        # Each resource comes first in turn, so that a slow one does not take the others' time in each tick.
        turn = self._ticks % len(self._by_resource)
        self._ticks += 1
        for key, assets in self._by_resource[turn:] + self._by_resource[:turn]:
            cursor = cursors.setdefault(key, ResourceCursor(clock.wall()))
            if clock.monotonic() > times.until(limits.OBSERVE_BEGIN_SHARE):
                continue
            if key not in vendors.ready:
                output.problems.append(vendors.problems[key])
                continue
            resource = vendors.ready[key]
            memory = self._memories.setdefault(key, ResourceMemory(OutageTracker(key)))
            declared = (with_declared_checks(asset, context.repository_def) for asset in assets)
            by_name = {asset.keys[0].to_user_string(): asset for asset in declared}
            ownership = Ownership(by_name, resource, context.instance)
            outcomes = ObservedOutcomes(resource, cursor.pending, output, context, self._follow_up, memory.results)
            log = context.log
            ResourceObserver(key, by_name, resource, cursor, memory, ownership, outcomes, output, times, log).observe()
        pending = {run_id: one for cursor in cursors.values() for run_id, one in cursor.pending.items()}
        known = [run_id for run_id, one in pending.items() if one.asset]
        names = asset_names([key for asset in self._assets for key in asset.keys])
        is_idle = not (output.runs or pending or output.done)
        counts = counts_of(output.runs, f"{len(pending)} pending", idle="No new run to report", is_idle=is_idle)
        summary = tick_summary(
            counts,
            {
                "This tick": listed(output.done),
                "Pending": listed(known, lambda run_id: f"{pending[run_id].asset}: run {run_id}"),
            },
            output.problems,
            first=first_tick(context, f"reports runs of {names} that are started elsewhere"),
        )
        if output.requests:
            context.log.info("%s", summary)
        cursor_text = as_text(cursors)
        self._failed_cursors = (context.cursor, cursor_text)
        self._alarm.check_after_reporting(self._problems(vendors), is_idle=output.is_empty)
        self._failed_cursors = None
        return dg.SensorResult(
            asset_events=output.all_events,
            run_requests=output.requests,
            skip_reason=None if output.requests else summary,
            cursor=cursor_text,
        )

    def _problems(self, vendors: VendorResources) -> list[str]:
        """Returns what a user must solve: unusable resources, and credentials that a vendor refuses."""
        memories = self._memories.values()
        return [*vendors.problems.values(), *(one for memory in memories for one in memory.outages.credential_problems)]
