"""Runs a sensor's ticks as Dagster's daemon does: it stores events, then the cursor, and then launches runs."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from dagster_runs.testing.vendor_kit.case import QUIET, Case
from dagster_runs.transport.clock import current_clock

MAX_TICKS = 20


class SensorDaemon:
    """One sensor of a code location with one asset, and its daemon.

    Attributes:
        runs: The results of the Dagster runs that the sensor requested.
    """

    def __init__(self, case: Case, sensor: dg.SensorDefinition, asset: dg.AssetsDefinition) -> None:
        self.runs: list[dg.ExecuteInProcessResult] = []
        self._case = case
        self._sensor = sensor
        self._cursor: str | None = None
        self._definitions = dg.Definitions(assets=[asset], sensors=[sensor], resources=case.resources)

    def tick(self) -> None:
        """Runs one tick."""
        instance = self._case.instance
        with dg.build_sensor_context(
            instance=instance,
            cursor=self._cursor,
            resources=dict(self._case.resources),
            definitions=self._definitions,
        ) as context:
            data: Any = self._sensor.evaluate_tick(context)
        for event in data.asset_events or []:
            instance.report_runless_asset_event(event)
        self._cursor = data.cursor
        for request in data.run_requests or []:
            job = self._definitions.resolve_job_def(request.job_name or "")
            self.runs.append(
                job.execute_in_process(
                    instance=instance,
                    run_config={**(request.run_config or {}), **QUIET},
                    asset_selection=request.asset_selection,
                    tags=dict(request.tags),
                    raise_on_error=False,
                )
            )

    def tick_until(
        self, is_done: Callable[[], bool], *, then: int = 2, every: float = 30.0, ticks: int = MAX_TICKS
    ) -> bool:
        """Runs ticks until something is true, and some more, so that a repetition would be seen.

        Args:
            is_done: What must become true.
            then: The number of ticks after that.
            every: The simulated seconds between two ticks.
            ticks: The number of ticks at most.

        Returns:
            Whether it became true.
        """
        for _ in range(ticks):
            self.tick()
            current_clock().sleep(every)
            if is_done():
                for _ in range(then):
                    self.tick()
                    current_clock().sleep(every)
                return True
        return False
