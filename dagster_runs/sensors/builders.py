"""Builds the sensors.

The completion sensor reports deferred runs. The observation sensor reports runs that were started elsewhere. The check
failure sensor requests a job for each failed check.
"""

from collections.abc import Sequence
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.wrong_calls import explain_wrong_call
from dagster_runs.sensors import limits, run_requests
from dagster_runs.sensors.check_failures.sensor import CheckFailures, check_keys
from dagster_runs.sensors.completion.sensor import Completion
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.observation.observed_asset import resolve_observable
from dagster_runs.sensors.observation.sensor import Observation
from dagster_runs.sensors.registry import Watchable, WatchedAsset, claim_for_sensor, resolve_assets
from dagster_runs.sensors.run_requests import FollowUp, Job

Observable = dg.AssetsDefinition | Watchable | tuple[dg.AssetSpec, RemoteRun[Any]]


@explain_wrong_call
def build_completion_sensor(
    assets: Sequence[dg.AssetsDefinition | Watchable],
    *,
    name: str = "remote_run_completion",
    job: FollowUp | None = None,
    jobs: Sequence[Job] = (),
    continue_run: bool = False,
    minimum_interval_seconds: int = 10,
    tick_seconds: float = limits.TICK_SECONDS,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.SensorDefinition:
    """Builds a sensor that polls the deferred runs of assets and reports their outcomes.

    A run that succeeds becomes a materialization with metadata and checks, without a Dagster run. For any other outcome
    (failed, canceled, lost, timed out) the sensor requests a short Dagster run of the asset, which reports the outcome
    and fails, so that alerts, hooks and retries work as for any failed run.

    Args:
        assets: Assets from `build_remote_run_asset`, and checks from `build_testgen_checks` or
            `build_testgen_profile`, with ``wait="defer"``.
            Each belongs to one completion sensor in a process.
        name: The sensor's name.
        job: A job to request once for each finished run, whether it succeeded or not (see the run's tag
            ``dagster_runs/state``); or a function from the `FinishedRun` to a `RunRequest`, or to ``None``.
        jobs: Jobs that such a function may request by ``job_name``. Also jobs whose runs defer these assets: a failure
            is then reported by a run of the same job, with its hooks.
        continue_run: Whether to continue the Dagster runs of ``jobs`` in which downstream assets were skipped, because
            a deferred asset's step ends before its remote run does. When that has succeeded, another Dagster run of the
            same job materializes the skipped assets.
        minimum_interval_seconds: The minimum number of seconds between two ticks.
        tick_seconds: The maximum number of seconds that a tick takes, from 5 to 50, also if a vendor does not respond.
            Reduce it if a proxy between the daemon and the code server closes connections earlier.
        default_status: Whether the sensor is on by default. As in Dagster, a user must turn it on unless this is set.
        description: Overrides the default description.
        tags: Tags for the sensor.

    Raises:
        DagsterInvalidDefinitionError: An asset is not deferred, is given twice, or belongs to another completion
            sensor; `job` or an item of `jobs` is not a job; `continue_run` is set without `jobs`; or `tick_seconds` is
            not from 5 to 50.
    """
    if continue_run and not jobs:
        raise dg.DagsterInvalidDefinitionError(
            "continue_run needs jobs: a sensor can only request runs of the jobs that it names. Pass the jobs whose "
            "runs are to be continued, or give the downstream assets automation conditions."
        )
    assets_watched = resolve_assets(assets, deferred=True)
    reporting_jobs = _reporting_jobs(name, assets_watched)
    requested = run_requests.jobs_by_name([*jobs, *([job] if run_requests.is_job(job) else [])])
    completion = Completion(
        assets_watched,
        follow_up=run_requests.restrict_to_jobs(job, requested.values()),
        jobs=requested,
        default_jobs={asset: job.name for job, group in reporting_jobs for asset in group},
        interval=minimum_interval_seconds,
        continue_run=continue_run,
        tick_seconds=_checked_tick_seconds(tick_seconds),
    )

    @dg.sensor(
        name=name,
        # No required_resource_keys: with several resources, Dagster would fail the tick before it begins if one of them
        # cannot be initialized. The tick initializes each one separately.
        jobs=[*(job for job, _ in reporting_jobs), *requested.values()],
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Reports the outcomes of the deferred runs of {_list_names(assets_watched)}.",
        tags=tags,
    )
    def complete(context: dg.SensorEvaluationContext) -> Any:
        return completion.tick(context)

    claim_for_sensor(assets_watched, name, is_on_by_default=default_status is dg.DefaultSensorStatus.RUNNING)
    return complete


@explain_wrong_call
def build_observation_sensor(
    assets: Sequence[Observable],
    *,
    name: str = "remote_run_observation",
    job: FollowUp | None = None,
    jobs: Sequence[Job] = (),
    minimum_interval_seconds: int = 60,
    tick_seconds: float = limits.TICK_SECONDS,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.SensorDefinition:
    """Builds a sensor that reports runs started elsewhere, such as by the vendor's own schedule or a colleague.

    A run that succeeds becomes a materialization with metadata and checks. Any other run becomes an observation and a
    failed ``run_status`` check. The sensor ignores runs that this Dagster instance started, and runs that were created
    more than 15 minutes before the sensor's first tick.

    Args:
        assets: Assets from `build_remote_run_asset`; checks from `build_testgen_checks` or `build_testgen_profile`; or
            pairs of an `AssetSpec` and its run, for assets that only the vendor materializes, or `ObservedAsset`s for
            those with a gate or another resource. The vendor must list runs: Amperity (whose runs need a
            ``workflow_name``) and TestGen (whose resource needs a ``project_code``).
        name: The sensor's name.
        job: A job to request once for each finished run, whether it succeeded or not (see the run's tag
            ``dagster_runs/state``); or a function from the `FinishedRun` to a `RunRequest`, or to ``None``.
        jobs: Jobs that such a function may request by ``job_name``.
        minimum_interval_seconds: The minimum number of seconds between two ticks.
        tick_seconds: The maximum number of seconds that a tick takes, from 5 to 50, also if a vendor does not respond.
            Reduce it if a proxy between the daemon and the code server closes connections earlier.
        default_status: Whether the sensor is on by default. As in Dagster, a user must turn it on unless this is set.
        description: Overrides the default description.
        tags: Tags for the sensor.

    Raises:
        DagsterInvalidDefinitionError: An asset's runs cannot be observed, or `tick_seconds` is not from 5 to 50. The
            message says why.
    """
    assets_watched = resolve_observable(assets)
    requested = run_requests.jobs_by_name([*jobs, *([job] if run_requests.is_job(job) else [])])
    observation = Observation(
        assets_watched,
        follow_up=run_requests.restrict_to_jobs(job, requested.values()),
        tick_seconds=_checked_tick_seconds(tick_seconds),
    )

    @dg.sensor(
        name=name,
        **_targeting(name, assets_watched, list(requested.values())),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Reports runs of {_list_names(assets_watched)} that were started elsewhere.",
        tags=tags,
    )
    def observe(context: dg.SensorEvaluationContext) -> Any:
        return observation.tick(context)

    return observe


@explain_wrong_call
def build_check_failure_sensor(
    checks: Sequence[dg.AssetCheckKey | dg.AssetCheckSpec | dg.AssetsDefinition],
    *,
    job: FollowUp,
    jobs: Sequence[Job] = (),
    min_severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    name: str = "check_failures",
    minimum_interval_seconds: int = 30,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.SensorDefinition:
    """Builds a sensor that requests a job for each failed evaluation of asset checks, such as to send a message.

    It works for all checks, not only for those of this package, and also for evaluations that a sensor or an API call
    reports without a Dagster run. Dagster itself has no alert for these.

    Evaluations from before the sensor's first tick are ignored. A check that raises an exception has no evaluation: its
    Dagster run fails, and a `run_failure_sensor` covers that.

    Args:
        checks: The checks: as keys, specs or definitions, or the assets that they are part of.
        job: A job to request for each failure (see the tags ``dagster_runs/failed_check`` and ``dagster_runs/severity``
            of its run); or a function from the `FailedCheck` to a `RunRequest`, or to ``None``.
        jobs: Jobs that such a function may request by ``job_name``.
        min_severity: With ``AssetCheckSeverity.ERROR``, failures with the severity ``WARN`` are ignored.
        name: The sensor's name.
        minimum_interval_seconds: The minimum number of seconds between two ticks.
        default_status: Whether the sensor is on by default. As in Dagster, a user must turn it on unless this is set.
        description: Overrides the default description.
        tags: Tags for the sensor.

    Raises:
        DagsterInvalidDefinitionError: An item of `checks` has no checks, `job` or an item of `jobs` is not a job, or a
            function has no job to request.
    """
    keys = check_keys(checks)
    if not isinstance(min_severity, dg.AssetCheckSeverity):
        raise dg.DagsterInvalidDefinitionError(
            f"min_severity is {min_severity!r}; it must be AssetCheckSeverity.WARN or AssetCheckSeverity.ERROR"
        )
    if not run_requests.is_job(job):
        if not callable(job):
            raise dg.DagsterInvalidDefinitionError(f"job is {job!r}, which is neither a job nor a function")
        if not jobs:
            raise dg.DagsterInvalidDefinitionError(
                "job is a function, so jobs must contain the jobs that it may request"
            )
    requested = run_requests.jobs_by_name([*jobs, *([job] if run_requests.is_job(job) else [])])
    severities = set(dg.AssetCheckSeverity) if min_severity is dg.AssetCheckSeverity.WARN else {min_severity}
    follow_up = run_requests.restrict_to_jobs(job, requested.values())
    failures = CheckFailures(keys, frozenset(severities), follow_up)

    @dg.sensor(
        name=name,
        jobs=list(requested.values()),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Requests a run of {', '.join(requested)} for each failed check.",
        tags=tags,
    )
    def request(context: dg.SensorEvaluationContext) -> Any:
        return failures.tick(context)

    return request


def _checked_tick_seconds(tick_seconds: Any) -> float:
    is_number = isinstance(tick_seconds, (int, float)) and not isinstance(tick_seconds, bool)
    if not is_number or not limits.MIN_TICK_SECONDS <= tick_seconds <= limits.MAX_TICK_SECONDS:
        raise dg.DagsterInvalidDefinitionError(
            f"tick_seconds must be a number from {limits.MIN_TICK_SECONDS:g} to {limits.MAX_TICK_SECONDS:g}, not "
            f"{tick_seconds!r}. Dagster ends a tick after 60 s."
        )
    return float(tick_seconds)


def _reporting_jobs(name: str, assets: Sequence[WatchedAsset]) -> list[tuple[Any, list[WatchedAsset]]]:
    """Returns the jobs that report outcomes, with their assets, which share partitions and backfill policy."""
    by_group = group_by(
        assets,
        lambda asset: (asset.checks is not None, asset.definition.partitions_def, asset.definition.backfill_policy),
    )
    jobs: list[tuple[Any, list[WatchedAsset]]] = []
    for group in by_group.values():
        own = _job_name(f"{name}_ends", group[0])
        selection = reduce(or_, (asset.selection for asset in group))
        jobs.append((dg.define_asset_job(own, selection=selection), group))
    return jobs


def _job_name(prefix: str, asset: WatchedAsset) -> str:
    """Returns the name of the job for the assets that share a job with this one.

    It depends only on what they share, so that it stays the same while assets are added or removed: the history of a
    job, and what users have filtered by its name, follow the name.
    """
    definition, kinds = asset.definition, list[str]()
    partitions, policy = definition.partitions_def, definition.backfill_policy
    if asset.checks is not None:
        kinds.append("checks")
    if partitions is not None:
        kinds.append(type(partitions).__name__.removesuffix("PartitionsDefinition").lower())
    if partitions is not None or policy is not None:
        kinds.append(sha256(f"{partitions} {policy}".encode()).hexdigest()[:6])
    return "_".join([prefix, *kinds])


def _targeting(name: str, assets: Sequence[WatchedAsset], requested: Sequence[Job]) -> dict[str, Any]:
    """Returns the arguments that make a sensor target its assets by key.

    Dagster then refuses to load definitions that lack one of the assets, for example because `load_assets_from_modules`
    gave the assets a ``key_prefix`` and the sensor still has the assets without it. Passing the definitions themselves
    as ``target`` would not help: Dagster adds a missing target to the code location.
    """
    # Dagster refuses a target without an asset that it can materialize. The tick checks that the others are defined.
    keys = [key for asset in assets if asset.definition.is_executable for key in asset.keys]
    if not keys:
        return {"jobs": requested} if requested else {}
    selection = dg.AssetSelection.assets(*keys)
    if not requested:
        return {"target": selection}
    # Dagster accepts one target or several jobs.
    return {"jobs": [dg.define_asset_job(f"{name}_assets", selection=selection), *requested]}


def _list_names(assets: Sequence[Any]) -> str:
    names = [key.to_user_string() for asset in assets for key in asset.keys]
    most = 5
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
