"""Sensors: one finishes deferred runs, the other reports runs that others started."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dagster_runs.sensors import run_requests
from dagster_runs.sensors.completion.sensor import Completion
from dagster_runs.sensors.observation.sensor import Observation
from dagster_runs.sensors.registry import WatchedAsset, claim_for_sensor, resolve_assets, resolve_observable
from dagster_runs.sensors.run_requests import FollowUp, Job


def build_completion_sensor(
    assets: Sequence[dg.AssetsDefinition],
    *,
    name: str = "remote_run_completion",
    job: FollowUp | None = None,
    jobs: Sequence[Job] = (),
    minimum_interval_seconds: int = 10,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.SensorDefinition:
    """A sensor that follows the deferred runs of assets to their ends.

    A run that succeeds becomes a materialization with metadata and checks, without a Dagster run. For any other end
    (failed, cancelled, lost, beyond its timeout) it requests a short Dagster run of the asset, which publishes the end
    and fails, so that alerts, hooks and retries work as for any failed run.

    Args:
        assets: Assets from `build_remote_run_asset` with ``wait="defer"``. Each belongs to one completion sensor
            in a process.
        name: The sensor's name.
        job: A job to request once for each finished run, whatever its end (which the run's tag ``dagster_runs/state``
            tells); or a function from the `FinishedRun` to a `RunRequest`, or to ``None``.
        jobs: Jobs that such a function may request, by ``job_name``. And jobs whose runs defer these assets: a failure
            is then published by a run of the same job, with its hooks.
        minimum_interval_seconds: Seconds between two ticks.
        default_status: Whether it runs from the beginning; by default somebody has to switch it on, as in Dagster.
        description: Instead of the usual one.
        tags: Of the sensor.

    Raises:
        DagsterInvalidDefinitionError: An asset is not deferred, comes twice, or belongs to another completion sensor; a
            job is none.
    """
    assets_watched = resolve_assets(assets, deferred=True)
    publishing = _publishing_jobs(name, assets_watched)
    requested = run_requests.named([*jobs, *([job] if run_requests.is_job(job) else [])])
    completion = Completion(
        assets_watched,
        follow_up=run_requests.among(job, requested.values()),
        jobs=requested,
        default_jobs={asset: job.name for job, some in publishing for asset in some},
        interval=minimum_interval_seconds,
    )

    @dg.sensor(
        name=name,
        # No required_resource_keys: Dagster would fail the tick before it begins if one of several resources cannot be
        # initialized. The tick initializes each by itself.
        jobs=[*(job for job, _ in publishing), *requested.values()],
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Reports how the deferred runs of {_listed(assets_watched)} end.",
        tags=tags,
    )
    def complete(context: dg.SensorEvaluationContext) -> Any:
        return completion.tick(context)

    claim_for_sensor(assets_watched, name)
    return complete


def build_observation_sensor(
    assets: Sequence[dg.AssetsDefinition],
    *,
    name: str = "remote_run_observation",
    job: FollowUp | None = None,
    jobs: Sequence[Job] = (),
    minimum_interval_seconds: int = 60,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.SensorDefinition:
    """A sensor that reports the runs that others start: the vendor's own schedule, a colleague.

    A run that succeeds becomes a materialization with metadata and checks; one that does not becomes an observation and
    a failed ``run_status`` check. Runs that this Dagster instance started are left out, and those that were made more
    than 15 minutes before the sensor's first tick.

    Args:
        assets: Assets from `build_remote_run_asset`, of vendors that list runs: Amperity (whose runs need a
            ``workflow_name``) and TestGen (whose resource needs a ``project_code``).
        name: The sensor's name.
        job: A job to request once for each finished run, whatever its end (which the run's tag ``dagster_runs/state``
            tells); or a function from the `FinishedRun` to a `RunRequest`, or to ``None``.
        jobs: Jobs that such a function may request, by ``job_name``.
        minimum_interval_seconds: Seconds between two ticks.
        default_status: Whether it runs from the beginning; by default somebody has to switch it on, as in Dagster.
        description: Instead of the usual one.
        tags: Of the sensor.

    Raises:
        DagsterInvalidDefinitionError: Others' runs of an asset cannot be seen or told, and why.
    """
    assets_watched = resolve_observable(assets)
    requested = run_requests.named([*jobs, *([job] if run_requests.is_job(job) else [])])
    observation = Observation(assets_watched, follow_up=run_requests.among(job, requested.values()))

    @dg.sensor(
        name=name,
        **_targeting(name, assets_watched, list(requested.values())),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Reports runs of {_listed(assets_watched)} that others start.",
        tags=tags,
    )
    def observe(context: dg.SensorEvaluationContext) -> Any:
        return observation.tick(context)

    return observe


def _publishing_jobs(name: str, assets: Sequence[WatchedAsset]) -> list[tuple[Any, list[WatchedAsset]]]:
    """The jobs that publish ends, with their assets: those of one job have the same partitions and backfill policy."""
    alike: dict[Any, list[WatchedAsset]] = {}
    for asset in assets:
        alike.setdefault((asset.definition.partitions_def, asset.definition.backfill_policy), []).append(asset)
    jobs: list[tuple[Any, list[WatchedAsset]]] = []
    for some in alike.values():
        # Named by its first asset, so that it keeps its name while others come and go.
        own = f"{name}_ends" if len(alike) == 1 else f"{name}_ends_{some[0].keys[0].to_python_identifier()}"
        selection = dg.AssetSelection.assets(*(key for asset in some for key in asset.keys))
        jobs.append((dg.define_asset_job(own, selection=selection), some))
    return jobs


def _targeting(name: str, assets: Sequence[WatchedAsset], requested: Sequence[Job]) -> dict[str, Any]:
    """The arguments that make a sensor target its assets, by key.

    Dagster then refuses to load definitions that lack one of them, for example because `load_assets_from_modules` gave
    the assets a ``key_prefix`` and the sensor still has the assets without it. The definitions themselves as ``target``
    would not do: Dagster adds a target that is missing to the code location.
    """
    selection = dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys))
    if not requested:
        return {"target": selection}
    # Dagster takes one target, or several jobs.
    return {"jobs": [dg.define_asset_job(f"{name}_assets", selection=selection), *requested]}


def _listed(assets: Sequence[Any]) -> str:
    names = [key.to_user_string() for asset in assets for key in asset.keys]
    most = 5
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
