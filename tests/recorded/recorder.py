"""Records the state of a Dagster instance and of the sandbox after a scenario, as JSON."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.recorded import code_location
from tests.recorded.events import Json, pack_event, pack_run

_READ_FROM = "read_from"
"""The field of the completion sensor's cursor that holds a storage id."""
_PLANNED = ("queued_seconds", "running_seconds", "cancel_seconds", "outcome", "error")
"""The settings of a `Behavior` that scenarios use."""


class RecorderClock(SandboxClock):
    """A clock whose pauses take no real time. It may call a function in one of them.

    Attributes:
        scheduled: The number of the pause, counted from now, and the function to call in it; ``None`` for none.
    """

    scheduled: tuple[int, Callable[[], None]] | None = None

    def sleep(self, seconds: float) -> None:
        """Returns immediately, after the sandbox's time has advanced by these seconds."""
        super().sleep(seconds)
        if self.scheduled is None:
            return
        left, action = self.scheduled
        self.scheduled = (left - 1, action) if left > 1 else None
        if left == 1:
            action()


class Recorder:
    """Executes jobs and sensor ticks for a scenario, and records what they write.

    Args:
        sandbox: A sandbox without runs.
        instance: A Dagster instance without events.
        clock: The clock that the package uses.
    """

    def __init__(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: RecorderClock) -> None:
        self.sandbox = sandbox
        self.instance = instance
        self.clock = clock
        self.definitions = dg.Definitions()
        self._assets: Sequence[dg.AssetsDefinition] = ()
        self._sensor: dg.SensorDefinition | None = None
        self._cursor: str | None = None
        self._requested: list[str] = []
        self._snapshots: dict[str, Json] = {}

    def load(
        self, *assets: dg.AssetsDefinition, sensor: dg.SensorDefinition | None = None, jobs: Sequence[Any] = ()
    ) -> None:
        """Load a code location."""
        sensors = [sensor] if sensor is not None else []
        self._assets, self._sensor = assets, sensor
        self.definitions = code_location.location(assets, self.sandbox.url, sensors=sensors, jobs=jobs)

    def execute(
        self,
        assets_def: dg.AssetsDefinition | None = None,
        *,
        job: str | None = None,
        config: Json | None = None,
        days: tuple[str, str] | None = None,
        **options: Any,
    ) -> str:
        """Execute an asset's job, and return the id of the Dagster run.

        Args:
            assets_def: The asset; by default the first one.
            job: The name of the job to execute instead.
            config: The asset's config, as in the launchpad.
            days: The first and the last partition of a range.
            options: Passed to `execute_in_process`.
        """
        assets_def = assets_def or self._assets[0]
        if days is not None:
            ends = zip(("start", "end"), days, strict=True)
            options["tags"] = {f"dagster/asset_partition_range_{end}": day for end, day in ends}
        if config is not None:
            options["run_config"] = {"ops": {assets_def.op.name: {"config": config}}}
        done = self.definitions.resolve_job_def(job or code_location.job_name(assets_def)).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )
        return done.run_id

    def reexecute(self, parent: str) -> str:
        """Re-execute the first asset's job from failure, and return the new Dagster run's id."""
        job = self.definitions.resolve_job_def(code_location.job_name(self._assets[0]))
        return code_location.reexecute(job, self.instance, parent).run_id

    def die_at(self, pause: int) -> None:
        """Let the step's process die in a later pause, counted from now."""
        self.clock.scheduled = (pause, _die)

    def terminate_at(self, pause: int) -> None:
        """Terminate the Dagster run in a later pause, counted from now. No signal is sent."""

        def terminate() -> None:
            [run] = self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            self.instance.report_run_canceling(run)

        self.clock.scheduled = (pause, terminate)

    def tick(self, *, lost_as: str | None = None, lost_after: int | None = None, launch: bool = True) -> Any:
        """Evaluate the sensor, and do what Dagster's daemon does: store events, store the cursor, launch runs.

        Args:
            lost_as: The name of a snapshot to take before the cursor is stored, as if the daemon died there.
            lost_after: The daemon dies after it has stored this many events.
            launch: Whether requested Dagster runs are executed; otherwise they stay in the queue.
        """
        assert self._sensor is not None
        resources = code_location.resources_for(self._assets, self.sandbox.url)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self._cursor, resources=resources, definitions=self.definitions
        ) as context:
            data = self._sensor.evaluate_tick(context)
        for event in list(data.asset_events or [])[:lost_after]:
            self.instance.report_runless_asset_event(event)
        if lost_after is not None:
            return data
        if lost_as is not None:
            self.snapshot(lost_as)
        self._cursor = data.cursor
        for request in data.run_requests or []:
            self._launch(request, execute_now=launch)
        return data

    def ticks(self, count: int, *, every: float = 10.0) -> None:
        """Tick several times, with a pause before each tick."""
        for _ in range(count):
            self.clock.sleep(every)
            self.tick()

    def snapshot(self, name: str) -> None:
        """Record the state of Dagster and of the vendors under this name."""
        self._snapshots[name] = {
            "last_event": max(self._log(), default=0),
            "runs": self.instance.get_runs_count(),
            "wall": self.clock.wall(),
            "machine": time.time(),
            "cursor": self._cursor,
            "requested": list(self._requested),
            "remote_runs": [self._remote_run(run) for run in self.sandbox.runs()],
            "repeatable_starts": [
                {"path": one.path, "idempotency_key": one.headers["idempotency-key"], "body": one.body}
                for one in self.sandbox.requests()
                if one.started_run and "idempotency-key" in one.headers
            ],
        }

    def recorded(self) -> Json:
        """Everything that was written. Events are numbered again, because some are left out."""
        runs = list(reversed(self.instance.get_runs()))
        run_ids = [run.run_id for run in runs]
        ids: dict[int, int] = {}
        kept: list[Json] = []
        for storage_id, entry in self._log().items():
            packed = pack_event(entry, runs=run_ids, ids=ids)
            if packed is not None:
                kept.append(packed)
                ids[storage_id] = len(kept)
        numbers = list(ids)
        for snapshot in self._snapshots.values():
            snapshot["events"] = bisect_right(numbers, snapshot.pop("last_event"))
            if snapshot["cursor"] is not None:
                cursor = json.loads(snapshot["cursor"])
                if _READ_FROM in cursor:
                    cursor[_READ_FROM] = bisect_right(numbers, cursor[_READ_FROM])
                snapshot["cursor"] = json.dumps(cursor)
        return {"runs": [pack_run(run) for run in runs], "events": kept, "snapshots": self._snapshots}

    def _log(self) -> dict[int, dg.EventLogEntry]:
        return dict(self.instance.event_log_storage.get_logs_for_all_runs_by_log_id())

    def _launch(self, request: dg.RunRequest, *, execute_now: bool) -> None:
        if request.run_key in self._requested:
            return
        self._requested.append(request.run_key or "")
        job = self.definitions.resolve_job_def(request.job_name or "")
        tags = dict(request.tags)
        if execute_now:
            job.execute_in_process(
                instance=self.instance,
                run_config=request.run_config,
                asset_selection=request.asset_selection,
                partition_key=request.partition_key,
                tags=tags,
                raise_on_error=False,
            )
            return
        if request.partition_key is not None:
            tags["dagster/partition"] = request.partition_key
        selected = frozenset(request.asset_selection or ())
        self.instance.create_run_for_job(
            job.get_subset(asset_selection=selected), run_config=request.run_config, tags=tags, asset_selection=selected
        )

    def _remote_run(self, run: Any) -> Json:
        [vendor] = [vendor for vendor in self.sandbox._state.vendors if vendor.name == run.vendor]
        plan = vendor.runs[run.id].plan
        behavior = {name: getattr(plan, name) for name in _PLANNED if getattr(plan, name) is not None}
        return {"run": run.as_dict(), "behavior": behavior}


def _die() -> None:
    raise MemoryError("this process dies")
