"""Creates requests for Dagster runs that follow a finished run or a failed check."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.request_queue import ADMISSION_TAG as ADMISSION_TAG  # noqa: PLC0414
from dagster_runs.sensors.launch_validation import RequestPreparationError, is_partition, launch_error
from dagster_runs.sensors.run_outcome import FinishedRun

Job = Any
"""A `JobDefinition`, or what `define_asset_job` returns, which has no public name."""
FollowUp = Any
"""A job for each finished run or failed check; or a function from the `FinishedRun` or `FailedCheck` to a `RunRequest`,
or to ``None``."""

STATE_TAG = "dagster_runs/state"
RUN_ID_TAG = "dagster_runs/run_id"
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class Occasion:
    """What a requested run follows: a finished run, or a failed check.

    Attributes:
        subject: The argument of the user's function.
        name: What it is, for messages, such as "run 4711".
        run_key: Identifies it, so that Dagster launches only one run for it.
        partitions: Its partitions.
        tags: The tags of a run that a job is requested for.
    """

    subject: Any
    name: str
    run_key: str
    partitions: Sequence[str]
    tags: Mapping[str, str]


def follow_up_requests(
    job: FollowUp, finished: FinishedRun, context: dg.SensorEvaluationContext
) -> list[dg.RunRequest]:
    """Returns the run that the user wants after a finished run.

    Its run key has the remote run's id and asset, so that it is launched only once.
    """
    occasion = Occasion(
        subject=finished,
        name=f"run {finished.run_id}",
        run_key=f"after {run_identity(finished.run_id, finished.asset_keys)}",
        partitions=finished.partitions,
        tags={RUN_ID_TAG: finished.run_id, STATE_TAG: finished.state.value},
    )
    return requests_after(job, occasion, context)


def requests_after(job: FollowUp, occasion: Occasion, context: dg.SensorEvaluationContext) -> list[dg.RunRequest]:
    """Returns the run that the user wants after something, unless Dagster would reject it.

    Args:
        job: A job, or a function from the occasion's subject to a request.
        occasion: What the run follows.
        context: The sensor's context.
    """
    try:
        request = _of_job(job, occasion, context) if is_job(job) else _of_function(job, occasion, context)
        why = launch_error(request, context) if request is not None else None
    except RequestPreparationError:  # an error in code must not delay the outcomes of other runs
        context.log.exception("Could not prepare the run that should follow %s; no run is requested", occasion.name)
        return []
    if request is None:
        return []
    if why is not None:
        context.log.warning(
            "Dagster would reject the run of job %s that should follow %s (%s); no run is requested",
            request.job_name,
            occasion.name,
            why,
        )
        return []
    return [request._replace(run_key=request.run_key or occasion.run_key)]


def run_identity(run_id: str, keys: Sequence[dg.AssetKey]) -> str:
    """Returns what identifies a run: two vendors that number their runs use the same ids."""
    return f"{run_id} of {keys[0].to_user_string()}"


def _of_function(function: FollowUp, occasion: Occasion, context: dg.SensorEvaluationContext) -> dg.RunRequest | None:
    try:
        request: dg.RunRequest | None = function(occasion.subject)
    except Exception:  # of the user's code; the outcomes of other runs must still be reported
        context.log.exception("The function passed as job failed for %s; no run is requested", occasion.name)
        return None
    return request


def _of_job(job: Job, occasion: Occasion, context: dg.SensorEvaluationContext) -> dg.RunRequest | None:
    partitions = occasion.partitions if (partitions_def := _partitions_of(job, context)) is not None else ()
    if partitions_def is not None and partitions and not has_partitions(partitions_def, partitions, context.instance):
        context.log.warning(
            "%s, the partition of %s, is not a partition of job %s; no run is requested",
            partitions[0],
            occasion.name,
            job.name,
        )
        return None
    return dg.RunRequest(
        job_name=job.name,
        partition_key=partitions[0] if len(partitions) == 1 else None,
        tags={**range_tags(partitions), **occasion.tags},
    )


def restrict_to_jobs(follow_up: FollowUp | None, jobs: Iterable[Job]) -> FollowUp | None:
    """Returns the follow-up. A function is restricted to requests for the sensor's jobs.

    Args:
        follow_up: A job or a function.
        jobs: All jobs that the sensor may request.
    """
    if follow_up is None or is_job(follow_up):
        return follow_up
    names = [job.name for job in jobs]

    def checked(subject: Any) -> dg.RunRequest | None:
        request = follow_up(subject)
        if request is None:
            return None
        if not isinstance(request, dg.RunRequest):
            raise TypeError(f"It returned {request!r}, which is not a RunRequest")
        if request.job_name is None and len(names) == 1:
            return request._replace(job_name=names[0])
        if request.job_name not in names:
            raise ValueError(f"It requested job {request.job_name!r}; the sensor may request {', '.join(names)}")
        return request

    return checked


def _partitions_of(job: Job, context: dg.SensorEvaluationContext) -> dg.PartitionsDefinition[Any] | None:
    """Returns a job's partitions, which are those of its assets unless the job sets its own."""
    known = context.repository_def.get_job(job.name) if context.repository_def is not None else job
    return getattr(known, "partitions_def", None)


def is_job(job: Any) -> bool:
    """Whether it is a job rather than a function that creates a request."""
    return isinstance(job, dg.JobDefinition) or (hasattr(job, "name") and hasattr(job, "selection"))


def jobs_by_name(jobs: Sequence[Job]) -> dict[str, Job]:
    """Returns the jobs by name.

    Raises:
        DagsterInvalidDefinitionError: One of them is not a job.
    """
    for job in jobs:
        if not is_job(job):
            raise dg.DagsterInvalidDefinitionError(f"jobs contains {job!r}, which is not a job")
    return {job.name: job for job in jobs}


def has_partitions(
    partitions_def: dg.PartitionsDefinition[Any], partitions: Sequence[str], instance: dg.DagsterInstance
) -> bool:
    """Whether the first and the last of some partitions exist."""
    return all(is_partition(partitions_def, key, instance) for key in dict.fromkeys((partitions[0], partitions[-1])))


def range_tags(partitions: Sequence[str]) -> dict[str, str]:
    """Returns the tags of a Dagster run of a range of partitions; empty for one partition."""
    ends = (partitions[0], partitions[-1]) if len(partitions) > 1 else ()
    return dict(zip(_RANGE_TAGS, ends, strict=False))
