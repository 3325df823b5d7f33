"""A code location in a test: launches its assets, and runs its sensors in simulated time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.transport.clock import current_clock

SECONDS_BETWEEN_TICKS = 30.0
"""Simulated. It is Dagster's default."""
MAX_TICKS = 20
"""The number of ticks in a time for which the caller does not say how often to tick."""
_MANY = 10_000


class CodeLocation:
    """The definitions of a code location in this process, with the part of Dagster's daemon that runs sensors.

    A tick evaluates each sensor, stores its events, then its cursor, and then executes the Dagster runs that it
    requests, in this process. Sensors run whether they are on or off. Automation conditions are not evaluated: use
    `dagster.evaluate_automation_conditions` for them.

    Args:
        definitions: The definitions.
        instance: The Dagster instance.
        sensors: The names of the sensors to run. Defaults to all, except those that run when the status of another run
            changes, and those that evaluate automation conditions.

    Attributes:
        definitions: The definitions.
        instance: The Dagster instance.
        requests: What the sensors have requested, oldest first.
        runs: The results of the requested Dagster runs, in the same order.
        skip_reasons: For each sensor, why its last tick requested nothing; ``None`` if it gave no reason.
    """

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, sensors: Sequence[str] | None = None
    ) -> None:
        self.definitions = definitions
        self.instance = instance
        self.requests: list[dg.RunRequest] = []
        self.runs: list[dg.ExecuteInProcessResult] = []
        self.skip_reasons: dict[str, str | None] = {}
        repository = definitions.get_repository_def()
        if sensors is None:
            self._sensors = [one for one in repository.sensor_defs if type(one) is dg.SensorDefinition]
        else:
            self._sensors = [repository.get_sensor_def(name) for name in sensors]
        self._cursors: dict[str, str | None] = {}
        self._run_keys: set[tuple[str, str]] = set()

    def materialize(
        self,
        *assets: Any,
        partition_key: str | None = None,
        run_config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Launches a Dagster run, as the button *Materialize* in the UI does. A failure is not raised.

        Args:
            *assets: Assets, or their keys such as ``"testgen/orders_quality"``, with their checks; or definitions of
                asset checks, to execute only these.
            partition_key: The partition.
            run_config: The config of the run.
            tags: Tags of the run.
        """
        keys, checks = _selected(assets)
        job = self.definitions.resolve_implicit_global_asset_job_def()
        if checks:
            job = job.get_subset(asset_selection=frozenset(keys), asset_check_selection=frozenset(checks))
        return job.execute_in_process(
            instance=self.instance,
            run_config=dict(run_config or {}),
            asset_selection=None if checks else keys,
            partition_key=partition_key,
            tags=dict(tags or {}),
            raise_on_error=False,
        )

    def materializations(self, key: Any) -> list[dg.AssetMaterialization]:
        """Returns the materializations of an asset, oldest first, also those that a sensor has reported.

        Args:
            key: The asset's key, such as ``"testgen/orders_quality"``.
        """
        records = self.instance.fetch_materializations(_key(key), limit=_MANY, ascending=True).records
        return [found for record in records if (found := record.asset_materialization) is not None]

    def tick(self) -> None:
        """Runs one tick of each sensor. An error of a sensor is raised."""
        for sensor in self._sensors:
            self._tick(sensor)

    def run_for(self, seconds: float, *, every: float | None = None) -> None:
        """Runs ticks for some simulated time.

        Args:
            seconds: The simulated seconds.
            every: The simulated seconds between two ticks. Defaults to 30, or to a 20th of the time if that is more.
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
            every: The simulated seconds between two ticks. Defaults to 30, or to a 20th of ``within`` if that is more.

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
        # Dagster does not take those that a sensor requires from the definitions.
        resources = self.definitions.resources or {}
        required = {key: resources[key] for key in sensor.required_resource_keys if key in resources}
        with dg.build_sensor_context(
            instance=self.instance,
            # Dagster needs it to resolve dynamic partitions.
            instance_ref=self.instance.get_ref() if self.instance.is_persistent else None,
            cursor=self._cursors.get(sensor.name),
            resources=required or None,
            definitions=self.definitions,
            sensor_name=sensor.name,
        ) as context:
            data: Any = sensor.evaluate_tick(context)
        for event in data.asset_events or []:
            self.instance.report_runless_asset_event(event)
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
        job = self.definitions.resolve_job_def(request.job_name or sensor.job_name or "")
        if request.asset_check_keys is not None:
            job = job.get_subset(
                asset_selection=frozenset(request.asset_selection or ()),
                asset_check_selection=frozenset(request.asset_check_keys),
            )
        self.requests.append(request)
        result = job.execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            asset_selection=request.asset_selection or None,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )
        self.runs.append(result)


def _selected(assets: Sequence[Any]) -> tuple[list[dg.AssetKey], list[dg.AssetCheckKey]]:
    """Returns the assets and the checks to launch, of which there are never both.

    Raises:
        ValueError: Both are given, or nothing.
    """
    keys: list[dg.AssetKey] = []
    checks: list[dg.AssetCheckKey] = []
    for asset in assets:
        if isinstance(asset, dg.AssetsDefinition):
            keys += asset.keys
            checks += () if asset.keys else asset.check_keys
        else:
            keys.append(_key(asset))
    if not keys and not checks:
        raise ValueError("Pass the assets to materialize, or definitions of asset checks")
    if keys and checks:
        raise ValueError("Pass assets or definitions of asset checks, but not both: an asset brings its own checks")
    return keys, checks


def _key(key: Any) -> dg.AssetKey:
    return dg.AssetKey.from_user_string(key) if isinstance(key, str) else dg.AssetKey.from_coercible(key)
