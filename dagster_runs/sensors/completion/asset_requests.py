"""Creates requests for Dagster runs of the assets of deferred runs: to report, start, repeat or continue them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import FINISHES_TAG, REPLACES_TAG
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.sensors.completion.deferred_run import DeferredRun, QueuedRun, RecordedRun
from dagster_runs.sensors.launch_validation import REFUSALS, RequestPreparationError, launch_error
from dagster_runs.sensors.run_requests import Job, has_partitions, range_tags, run_identity

REQUESTERS_TAG = "dagster_runs/queued_by"
"""Tag of a Dagster run that starts queued requests: the Dagster runs that queued them, comma-separated."""
CONTINUES_TAG = "dagster_runs/continues"
"""Tag of a Dagster run that continues another one after a deferred run: the other Dagster run."""
RERUN_TAG = "dagster_runs/rerun_after"
"""Tag of a Dagster run that was requested because an input had changed: the remote run that has not seen the change."""
_MAX_RETRIES_TAG = "dagster/max_retries"
_RETRY_NUMBER_TAG = "dagster/retry_number"
_RESERVED_PREFIXES = ("dagster/", ".dagster/", "dagster_runs/")
_INHERITED_TAGS = (
    "dagster/priority",
    "dagster/max_runtime",
    "dagster/retry_strategy",
    "dagster/retry_on_asset_or_op_failure",
)
"""Dagster's own tags that a user may have set on a run."""


class CannotRequestRun(Exception):
    """A Dagster run that reports an outcome cannot be requested. The message says why."""


def check_partitions(deferred_run: RecordedRun, instance: dg.DagsterInstance) -> None:
    """Checks that the partitions of the deferred run still exist, because the asset's partitions may have been changed.

    Raises:
        CannotRequestRun: They do not exist, so a Dagster run cannot materialize them.
        RequestPreparationError: An error in code prevented the check.
    """
    partitions_def, partitions = deferred_run.asset.definition.partitions_def, deferred_run.partitions
    asset = deferred_run.keys[0].to_user_string()
    if partitions_def is None and partitions:
        raise CannotRequestRun(f"It is for partition {partitions[0]}, but {asset} no longer has partitions")
    if partitions_def is None or (not partitions and deferred_run.asset.remote.options.on_missing_partition == "start"):
        return
    if not partitions:
        raise CannotRequestRun(f"It is for no partition, but {asset} has partitions")
    if not has_partitions(partitions_def, partitions, instance):
        raise CannotRequestRun(f"It is for {partitions[0]}, which is no longer a partition of {asset}")


def report_request(
    deferred_run: DeferredRun,
    context: dg.SensorEvaluationContext,
    jobs: Mapping[str, Job],
    default: str,
    *,
    attempt: int = 0,
    replaces: Sequence[str] = (),
) -> dg.RunRequest:
    """Returns a request for the Dagster run that reports the outcome of a deferred run.

    Its step attaches to the deferred run, reports the outcome, and fails if the run did not succeed. If the job that
    deferred the run is one of ``jobs``, the request is for that job. It carries over that Dagster run's user tags and
    the step's config, so that a retry of the step starts the same remote run.

    Args:
        deferred_run: The deferred run.
        context: The sensor's context.
        jobs: The jobs that the sensor may request, by name.
        default: The job for runs of other jobs, and for runs that their own job can no longer report.
        attempt: The number of such runs that were requested before and never began or never finished.
        replaces: The ids of those that began and never finished. What they reported is reported again, because this
            run must fail. Its step is not retried, so that it starts nothing even if one of the others is still alive.

    Raises:
        CannotRequestRun: Such a run cannot be requested.
        RequestPreparationError: It could not be prepared because of an error in code.
    """
    instance = context.instance
    deferred_by = _starter(deferred_run, instance)
    tags: dict[str, str] = {FINISHES_TAG: deferred_run.run_id}
    if instance.run_retries_enabled:
        # Each failure has its own Dagster run, so Dagster would count the retries from 0 each time, without end.
        remaining = _retries_left(deferred_by.tags, instance.run_retries_max_retries)
        tags[_MAX_RETRIES_TAG] = "0" if deferred_run.is_cancel_requested or replaces else remaining
    if replaces:
        tags[REPLACES_TAG] = ",".join(replaces)
    return _request_again(
        deferred_run,
        deferred_by,
        context,
        jobs,
        default,
        run_key=f"finish {run_identity(deferred_run.run_id, deferred_run.keys)} {deferred_run.record.dagster_run_id}"
        + (f" again {attempt}" if attempt else ""),
        tags=tags,
    )


def start_request(
    queued: QueuedRun,
    context: dg.SensorEvaluationContext,
    jobs: Mapping[str, Job],
    default: str,
    *,
    tags: Mapping[str, str],
    attempt: int = 0,
) -> dg.RunRequest:
    """Returns a request for the Dagster run that starts a queued request.

    It has the job, tags and config of the Dagster run that queued the request, like `report_request`.

    Args:
        queued: The queued request.
        context: The sensor's context.
        jobs: The jobs that the sensor may request, by name.
        default: The job for requests of other jobs.
        tags: Further tags.
        attempt: The number of such Dagster runs so far.

    Raises:
        CannotRequestRun: Such a run cannot be requested.
        RequestPreparationError: It could not be prepared because of an error in code.
    """
    run_key = f"start {queued.request_id}" + (f" again {attempt}" if attempt else "")
    requester = _starter(queued, context.instance)
    if context.instance.run_retries_enabled:
        # The requester has succeeded, so its retries are for this run.
        remaining = _retries_left(requester.tags, context.instance.run_retries_max_retries)
        tags = {**tags, _MAX_RETRIES_TAG: remaining}
    return _request_again(queued, requester, context, jobs, default, run_key=run_key, tags=tags)


def rerun_request(deferred_run: DeferredRun, context: dg.SensorEvaluationContext, default: str) -> dg.RunRequest | None:
    """Returns a request for one more Dagster run of the assets of a run; ``None`` if Dagster would reject it.

    Args:
        deferred_run: The run.
        context: The sensor's context.
        default: The job.
    """
    request = dg.RunRequest(
        run_key=f"rerun {run_identity(deferred_run.run_id, deferred_run.keys)}",
        job_name=default,
        asset_selection=deferred_run.keys,
        partition_key=deferred_run.partition,
        tags={**range_tags(deferred_run.partitions), RERUN_TAG: deferred_run.run_id},
    )
    try:
        check_partitions(deferred_run, context.instance)
        why = launch_error(request, context)
    except (CannotRequestRun, RequestPreparationError) as error:
        why = str(error)
    if why is not None:
        context.log.warning("An input of %s has changed, but no further run can be requested: %s", deferred_run, why)
        return None
    return request


def continue_request(
    deferred_run: DeferredRun,
    origin: dg.DagsterRun,
    skipped: Sequence[dg.AssetKey],
    ops: Collection[str],
    *,
    partition: str | None,
) -> dg.RunRequest:
    """Returns a request for the Dagster run that continues another one, with its tags and config.

    Args:
        deferred_run: The deferred run that has succeeded.
        origin: The Dagster run that is continued.
        skipped: The assets that it skipped.
        ops: The names of their ops. Config of other ops is left out.
        partition: The partition, if one of the assets has partitions.
    """
    config: dict[str, Any] = dict(origin.run_config)
    if "ops" in config:
        config["ops"] = {name: value for name, value in config["ops"].items() if name in ops}
    return dg.RunRequest(
        run_key=f"continue {origin.run_id} after {run_identity(deferred_run.run_id, deferred_run.keys)}",
        job_name=origin.job_name,
        run_config=config,
        asset_selection=list(skipped),
        partition_key=partition,
        tags={**_inherited_tags(origin), **range_tags(deferred_run.partitions), CONTINUES_TAG: origin.run_id},
    )


def selected_in_run(recorded: RecordedRun) -> dict[str, Any]:
    """Returns the arguments of a request that select what starts a run: its assets, or the checks of a suite."""
    checks = recorded.asset.checks
    if checks is None:
        return {"asset_selection": recorded.keys}
    return {"asset_selection": [], "asset_check_keys": sorted(checks.check_keys)}


def _inherited_tags(run: dg.DagsterRun) -> dict[str, str]:
    return {
        name: value
        for name, value in run.tags.items()
        if name in _INHERITED_TAGS or not name.startswith(_RESERVED_PREFIXES)
    }


def _starter(recorded: RecordedRun, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Returns the Dagster run that wrote the entry of a run."""
    found: dg.DagsterRun | None = instance.get_run_by_id(recorded.record.dagster_run_id)
    if found is None:
        # Its ledger was deleted with it, so a step would not know the run and would start another one.
        raise CannotRequestRun(f"Dagster run {recorded.record.dagster_run_id}, which requested it, was deleted")
    return found


def _request_again(
    recorded: RecordedRun,
    starter: dg.DagsterRun,
    context: dg.SensorEvaluationContext,
    jobs: Mapping[str, Job],
    default: str,
    *,
    run_key: str,
    tags: Mapping[str, str],
) -> dg.RunRequest:
    request = dg.RunRequest(
        run_key=run_key,
        run_config=_launch_config(recorded, starter, context),
        **selected_in_run(recorded),
        partition_key=recorded.partition,
        tags={
            **_inherited_tags(starter),
            **range_tags(recorded.partitions),
            **tags,
            DEFERRED_BY_TAG: recorded.record.dagster_run_id,
        },
    )
    why = None
    for name in (starter.job_name, default):
        if name in jobs or name == default:
            request = request._replace(job_name=name)
            # The sensor's own job accepts any run without config. The check takes 0.1 s in a job of a thousand assets.
            why = launch_error(request, context) if name in jobs or request.run_config else None
            if why is None:
                return request
    raise CannotRequestRun(f"Dagster would reject a run for it ({why})")


def _launch_config(
    recorded: RecordedRun, deferred_by: dg.DagsterRun, context: dg.SensorEvaluationContext
) -> dict[str, Any]:
    """Returns the config of the step that deferred the run, as it was launched. Other steps' config may not fit."""
    name, repository = deferred_by.job_name, context.repository_def
    job = repository.get_job(name) if repository is not None and repository.has_job(name) else None
    job_config: Mapping[str, Any] = deferred_by.run_config
    is_jobs_own = job is not None and job.config_mapping is not None
    if job is not None and is_jobs_own:  # Dagster does not record the mapped config with the run
        try:
            job_config = dg.validate_run_config(job.get_subset(asset_selection=deferred_by.asset_selection), job_config)
        except REFUSALS as error:  # the job was changed
            raise CannotRequestRun(f"Its config is not known: that of job {name} has changed ({error})") from None
        except Exception as error:
            raise RequestPreparationError(
                f"The config of job {name} cannot be read: {type(error).__name__}: {error}"
            ) from error
    op = recorded.asset.executed.op.name
    config = job_config.get("ops", {}).get(op, {}).get("config")
    return {"ops": {op: {"config": config or {}}}} if config or is_jobs_own else {}


def _retries_left(tags: Mapping[str, str], default_retries: int) -> str:
    allowed, number = tags.get(_MAX_RETRIES_TAG, str(default_retries)), tags.get(_RETRY_NUMBER_TAG, "0")
    if not (allowed.isdecimal() and number.isdecimal()):
        return allowed  # Dagster does not retry such a run
    return str(max(0, int(allowed) - int(number)))
