"""A process that evaluates a completion sensor again and again as Dagster's daemon and code server do, and is killed.

After each evaluation it stores the events, then the cursor, and then it creates the Dagster runs that a tick requests,
unless one with the same run key exists. What the process remembers from tick to tick is lost with it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg

from tests.chaos.queue_plan import Kill, KillPoint
from tests.chaos.queue_worker import redirect_output
from tests.chaos.worker import ATTEMPT_TAG

REQUESTED_TAG = "chaos/requested_by_sensor"
"""The number of the group of a Dagster run that the sensor has requested."""
_PAUSE = 0.7
"""Real seconds between two ticks."""
_RUN_KEY_TAG, _SENSOR_TAG = "dagster/run_key", "dagster/sensor_name"


@dataclass(frozen=True)
class TickerOrder:
    """The task of the process.

    Attributes:
        group: The number of the group.
        folder: Has the cursor, and a line for each tick.
        kill: Where the process ends itself, by SIGKILL.
        sabotages: What is broken in this process.
    """

    group: int
    folder: Path
    kill: Kill | None = None
    sabotages: tuple[str, ...] = ()

    @property
    def cursor(self) -> Path:
        return self.folder / f"queue_{self.group}.cursor"

    @property
    def ticks(self) -> Path:
        return self.folder / f"queue_{self.group}.ticks"

    @property
    def log(self) -> Path:
        return self.folder / f"queue_{self.group}.log"


def tick_for_ever(order: TickerOrder) -> None:
    """Evaluates the sensor until the process is killed."""
    redirect_output(order.log)
    from tests.chaos import sabotage
    from tests.chaos.timing import sensor_time

    with sensor_time(), sabotage.applied(order.sabotages), dg.DagsterInstance.get() as instance:
        ticker = _Ticker(order, instance)
        while True:
            try:
                ticker.tick()
            except Exception as error:  # Dagster keeps the cursor, and ticks again
                print(f"the tick failed: {type(error).__name__}: {error}", flush=True)
            time.sleep(_PAUSE)


class _Ticker:
    def __init__(self, order: TickerOrder, instance: dg.DagsterInstance) -> None:
        from tests.chaos import queue_location

        self._order = order
        self._instance = instance
        self._job = queue_location.resolve_job
        self._origin = queue_location.reconstructable_job
        self._definitions = queue_location.definitions(order.group)
        self._sensor = self._definitions.resolve_sensor_def(queue_location.sensor_of(order.group))
        self._resources = queue_location.resources()
        self._number = 0

    def tick(self) -> None:
        """Runs one tick."""
        self._number += 1
        self._die_if("between ticks")
        cursor = self._order.cursor.read_text() if self._order.cursor.exists() else None
        kill = self._order.kill
        if kill is not None and kill.point == "in an evaluation" and self._number >= kill.ticks:
            threading.Timer(kill.after, _die).start()
        with dg.build_sensor_context(
            instance=self._instance, cursor=cursor, resources=self._resources, definitions=self._definitions
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._die_if("in an evaluation")
        events, requests = list(data.asset_events or []), list(data.run_requests or [])
        if events:
            self._die_if("before events")
        for number, event in enumerate(events):
            if number:
                self._die_if("between events")
            self._instance.report_runless_asset_event(event)
        if events:
            self._die_if("before cursor")
        written = self._order.cursor.with_suffix(".new")
        written.write_text(data.cursor or "")
        written.replace(self._order.cursor)
        if requests:
            self._die_if("before requests")
        for request in requests:
            self._create(request)
        with self._order.ticks.open("a") as ticks:
            ticks.write(
                f"{len(events)} events, {len(requests)} requests, {data.skip_message or ''}\n".replace("\n", " ") + "\n"
            )

    def _create(self, request: dg.RunRequest) -> None:
        known = {_RUN_KEY_TAG: request.run_key or uuid4().hex, _SENSOR_TAG: self._sensor.name}
        if self._instance.get_runs(dg.RunsFilter(tags=known), limit=1):
            return
        group, keys = self._order.group, set(request.asset_selection or ())
        name = request.job_name or ""
        tags = {**request.tags, **known, REQUESTED_TAG: str(group), ATTEMPT_TAG: f"queue {group} {uuid4().hex}"}
        if request.partition_key is not None:
            tags["dagster/partition"] = request.partition_key
        self._instance.create_run_for_job(
            self._job(group, name).get_subset(asset_selection=keys),
            run_config=request.run_config,
            tags=tags,
            asset_selection=keys,
            job_code_origin=self._origin(group, name).get_python_origin(),
        )

    def _die_if(self, point: KillPoint) -> None:
        kill = self._order.kill
        if kill is not None and kill.point == point and self._number >= kill.ticks:
            _die()


def _die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def lines(path: Path) -> Iterator[str]:
    """Yields the lines of the file, if it exists."""
    if path.exists():
        yield from path.read_text().splitlines()
