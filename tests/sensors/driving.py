"""Runs a sensor's ticks as Dagster's daemon does: it stores events, then the cursor, and then launches runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import dagster as dg

from dagster_runs import RemoteRun, build_completion_sensor, build_observation_sensor, build_remote_run_asset
from dagster_runs.sandbox import Sandbox
from dagster_runs.sensors.run_requests import is_job
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import resources_at


class DaemonKilled(Exception):
    """The daemon was killed."""


class Driver:
    """One sensor and its daemon.

    Args:
        sensor: The sensor.
        assets: All assets of the code location.
        jobs: Jobs of the code location that the sensor does not create.
        resources: Override those of the sandbox.
    """

    def __init__(
        self,
        sensor: dg.SensorDefinition,
        assets: Sequence[Any],
        sandbox: Sandbox | None,
        instance: dg.DagsterInstance,
        *,
        jobs: Sequence[Any] = (),
        resources: dict[str, Any] | None = None,
    ) -> None:
        self.sensor = sensor
        self.instance = instance
        self.cursor: str | None = None
        self.runs: list[dg.ExecuteInProcessResult] = []
        self.skipped: list[str | None] = []
        self.failed: list[str] = []
        self._resources = {**(resources_at(sandbox.url) if sandbox else {}), **(resources or {})}
        self.definitions = dg.Definitions(assets=assets, jobs=jobs, sensors=[sensor], resources=self._resources)
        self.run_keys: set[str | None] = set()
        # Initializing the resources for each tick would take most of the time. One that fails is left to the tick.
        initialized = initialized_sandbox_resources(sandbox.url) if sandbox else {}
        for key, resource in (resources or {}).items():
            initialized.pop(key, None)
            with suppress(dg.DagsterInvalidConfigError), dg.build_resources({key: resource}, instance) as built:
                initialized[key] = getattr(built, key)
        hardcoded = dg.ResourceDefinition.hardcoded_resource
        self._for_sensor = {key: hardcoded(resource) for key, resource in initialized.items()}

    def evaluate(self) -> Any:
        """Evaluate the sensor once, and store nothing."""
        with dg.build_sensor_context(
            instance=self.instance,
            # Dagster needs it to resolve dynamic partitions.
            instance_ref=self.instance.get_ref() if self.instance.is_persistent else None,
            cursor=self.cursor,
            resources=self._for_sensor,
            definitions=self.definitions,
        ) as context:
            return self.sensor.evaluate_tick(context)

    def tick(self, *, lost_after: int | None = None) -> Any:
        """Run one tick.

        Args:
            lost_after: Kill the daemon after it has stored this many events.

        Raises:
            DaemonKilled: The daemon was killed.
        """
        data = self.evaluate()
        self.skipped.append(data.skip_message)
        for number, event in enumerate(data.asset_events or []):
            if number == lost_after:
                raise DaemonKilled
            self.instance.report_runless_asset_event(event)
        if lost_after is not None:
            raise DaemonKilled
        self.cursor = data.cursor
        for request in data.run_requests or []:
            self.launch(request)
        return data

    def job(self, name: str) -> dg.JobDefinition:
        """Return a job of the code location."""
        return self.definitions.resolve_job_def(name)

    def launch(self, request: dg.RunRequest) -> None:
        """Execute a requested run, unless a run with the same key was executed before."""
        if request.run_key in self.run_keys:
            return
        self.run_keys.add(request.run_key)
        job = self.job(request.job_name or "")
        if request.asset_check_keys is not None:
            job = job.get_subset(
                asset_selection=frozenset(request.asset_selection or ()),
                asset_check_selection=frozenset(request.asset_check_keys),
            )
        self.runs.append(
            job.execute_in_process(
                instance=self.instance,
                run_config=request.run_config,
                asset_selection=request.asset_selection or None,
                partition_key=request.partition_key,
                tags=dict(request.tags),
                raise_on_error=False,
            )
        )

    def ticks(self, clock: SandboxClock, count: int, *, every: float = 10.0) -> None:
        """Run ticks with a pause after each. A lasting problem fails a tick, and Dagster keeps the cursor."""
        for _ in range(count):
            try:
                self.tick()
            except Exception as error:
                if type(error).__name__ != "LastingProblem":  # by name: an earlier commit does not have it
                    raise
                self.failed.append(str(error))
            clock.sleep(every)


def initialized_sandbox_resources(url: str) -> dict[str, Any]:
    """Return the resources of the sandbox's vendors as Dagster initializes them, without HTTP clients."""
    return {key: resource.model_copy() for key, resource in _initialized_once(url).items()}


@cache
def _initialized_once(url: str) -> dict[str, Any]:
    # Nothing uses these: a copy would share the client with its original.
    resources = resources_at(url)
    with dg.build_resources(resources) as built:
        return {key: getattr(built, key) for key in resources}


def deferred(run: RemoteRun[Any], key: str = "it", **options: Any) -> dg.AssetsDefinition:
    """Build an asset whose runs are deferred."""
    return build_remote_run_asset(run, key=key, wait="defer", **options)


def completion(
    assets: Sequence[dg.AssetsDefinition], sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any
) -> Driver:
    """Build the completion sensor of these assets, with its daemon."""
    more_assets, more_jobs = options.pop("more_assets", ()), options.pop("more_jobs", ())
    sensor_jobs = [*options.get("jobs", ()), *([options["job"]] if is_job(options.get("job")) else [])]
    jobs = {job.name: job for job in [*sensor_jobs, *more_jobs]}.values()
    sensor = build_completion_sensor(assets, **options)
    return Driver(sensor, [*assets, *more_assets], sandbox, instance, jobs=list(jobs))


def observing(
    assets: Sequence[Any],
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    *,
    resources: dict[str, Any] | None = None,
    defined: Sequence[Any] | None = None,
    **options: Any,
) -> Driver:
    """Build the observation sensor of these assets, and run a first tick: earlier runs are not reported.

    Args:
        defined: The assets and checks of the code location, if they are others.
    """
    in_location = assets if defined is None else defined
    driver = Driver(build_observation_sensor(assets, **options), in_location, sandbox, instance, resources=resources)
    driver.tick()
    return driver


def materializations(instance: dg.DagsterInstance, key: str) -> list[dg.EventLogRecord]:
    """Return all materializations of the asset, oldest first."""
    return list(instance.fetch_materializations(dg.AssetKey(key), limit=10_000, ascending=True).records)


def reported(instance: dg.DagsterInstance, key: str) -> list[str]:
    """Return the ids of the runs that the asset's materializations report."""
    found = [record.asset_materialization for record in materializations(instance, key)]
    return [str(one.metadata["dagster_runs/run_id"].value) for one in found if one is not None]


def observed_failures(instance: dg.DagsterInstance, key: str) -> list[str]:
    """Return the ids of the external runs that the asset's observations report."""
    records = instance.fetch_observations(dg.AssetKey(key), limit=100).records
    # Ledger entries of the sensor have no metadata.
    found = [one for record in records if record.run_id == "" and (one := record.asset_observation.metadata)]
    return [str(one["dagster_runs/run_id"].value) for one in found]


def evaluations(instance: dg.DagsterInstance, key: str) -> dict[str, tuple[bool, int]]:
    """Return for each check of the asset whether its last evaluation passed, and the number of evaluations."""
    found: dict[str, tuple[bool, int]] = {}
    for check in ("run_status", "tests_passed", "quality_score", "hygiene_issues", "tasks_succeeded", "rows_synced"):
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(key), check), limit=1000
        )
        # The step that deferred the run planned the check too.
        finished = [record for record in records if record.status.value in ("SUCCEEDED", "FAILED")]
        if finished:
            found[check] = (finished[0].status.value == "SUCCEEDED", len(finished))
    return found
