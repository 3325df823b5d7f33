"""Runs the sensors of definitions as Dagster's daemon does, in simulated time."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from dagster_runs.transport.clock import current_clock

SECONDS_BETWEEN_TICKS = 30.0
"""Simulated. It is Dagster's default."""
MAX_TICKS = 60
"""The number of ticks in a time for which the caller does not say how often to tick."""


class SensorDaemon:
    """The sensors of a code location, and the daemon that runs them.

    A tick evaluates each sensor, stores its events, then its cursor, and then executes the Dagster runs that it
    requests, in this process. Sensors run whether they are on or off. Conditions of automation are not evaluated: use
    `dagster.evaluate_automation_conditions` for them.

    Args:
        definitions: The definitions of the code location.
        instance: The Dagster instance.
        sensors: The names of the sensors to run. Defaults to all that are not run by the status of other runs or by
            conditions of automation.

    Attributes:
        runs: The results of the requested Dagster runs, oldest first.
        skip_reasons: For each sensor, why its last tick requested nothing; ``None`` if it gave no reason.
    """

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, sensors: Sequence[str] | None = None
    ) -> None:
        self.runs: list[dg.ExecuteInProcessResult] = []
        self.skip_reasons: dict[str, str | None] = {}
        self._definitions = definitions
        self._instance = instance
        repository = definitions.get_repository_def()
        if sensors is None:
            self._sensors = [one for one in repository.sensor_defs if type(one) is dg.SensorDefinition]
        else:
            self._sensors = [repository.get_sensor_def(name) for name in sensors]
        self._cursors: dict[str, str | None] = {}
        self._run_keys: set[tuple[str, str]] = set()

    def tick(self) -> None:
        """Runs one tick of each sensor. An error of a sensor is raised."""
        for sensor in self._sensors:
            self._tick(sensor)

    def run_for(self, seconds: float, *, every: float | None = None) -> None:
        """Runs ticks for some simulated time.

        Args:
            seconds: The simulated seconds.
            every: The simulated seconds between two ticks. Defaults to 30, or to a 60th of the time if that is more.
        """
        every = every or max(SECONDS_BETWEEN_TICKS, seconds / MAX_TICKS)
        clock = current_clock()
        end = clock.wall() + seconds
        while True:
            self.tick()
            left = end - clock.wall()
            if left <= 0:
                return
            clock.sleep(min(every, left))

    def run_until(self, is_done: Callable[[], Any], *, within: float = 3600.0, every: float | None = None) -> None:
        """Runs ticks until a function returns something true.

        Args:
            is_done: The function, which is called after each tick.
            within: The simulated seconds after which to give up.
            every: The simulated seconds between two ticks. Defaults to 30, or to a 60th of ``within`` if that is more.

        Raises:
            TimeoutError: It returned nothing true.
        """
        every = every or max(SECONDS_BETWEEN_TICKS, within / MAX_TICKS)
        clock = current_clock()
        end = clock.wall() + within
        while True:
            self.tick()
            if is_done():
                return
            if clock.wall() >= end:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in self.skip_reasons.items() if reason)
                raise TimeoutError(f"not done after {within:g} simulated seconds. Last ticks: {reasons or 'no reason'}")
            clock.sleep(every)

    def _tick(self, sensor: dg.SensorDefinition) -> None:
        with dg.build_sensor_context(
            instance=self._instance,
            # Dagster needs it to resolve dynamic partitions.
            instance_ref=self._instance.get_ref() if self._instance.is_persistent else None,
            cursor=self._cursors.get(sensor.name),
            definitions=self._definitions,
            sensor_name=sensor.name,
        ) as context:
            data: Any = sensor.evaluate_tick(context)
        for event in data.asset_events or []:
            self._instance.report_runless_asset_event(event)
        self._cursors[sensor.name] = data.cursor
        self.skip_reasons[sensor.name] = data.skip_message
        for request in data.run_requests or []:
            self._launch(sensor, request)

    def _launch(self, sensor: dg.SensorDefinition, request: dg.RunRequest) -> None:
        """Executes a requested run, unless the sensor has requested one with the same key before."""
        if request.run_key is not None:
            run_key = (sensor.name, request.run_key)
            if run_key in self._run_keys:
                return
            self._run_keys.add(run_key)
        job = self._definitions.resolve_job_def(request.job_name or sensor.job_name or "")
        if request.asset_check_keys is not None:
            job = job.get_subset(
                asset_selection=frozenset(request.asset_selection or ()),
                asset_check_selection=frozenset(request.asset_check_keys),
            )
        result = job.execute_in_process(
            instance=self._instance,
            run_config=request.run_config,
            asset_selection=request.asset_selection or None,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )
        self.runs.append(result)
