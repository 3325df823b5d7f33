"""Dagster runs that a sensor requests: to publish the end of a deferred run, and to follow upon a finished one."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.in_flight.finished import FinishedRun
from dagster_runs.in_flight.flight import Flight
from dagster_runs.remote_run.step import DEFERRED_BY_TAG, FINISHES_TAG

Job = Any
"""A `JobDefinition`, or what `define_asset_job` returns, which has no public name."""
FollowUp = Any
"""A job for each finished run; or a function from the `FinishedRun` to a `RunRequest`, or to ``None``."""

STATE_TAG = "dagster_runs/state"
RUN_ID_TAG = "dagster_runs/run_id"
_MAX_RETRIES_TAG = "dagster/max_retries"
_RETRY_NUMBER_TAG = "dagster/retry_number"
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_OURS = ("dagster/", ".dagster/", "dagster_runs/")
_PASSED_ON = (
    "dagster/priority",
    "dagster/max_runtime",
    "dagster/retry_strategy",
    "dagster/retry_on_asset_or_op_failure",
)
"""Dagster's own tags that a person may have put on a run."""


def can_have_step(flight: Flight, instance: dg.DagsterInstance) -> bool:
    """Whether a Dagster run can fill what the deferred run filled: somebody may have changed the asset's partitions."""
    partitions_def = flight.asset.definition.partitions_def
    if partitions_def is None or not flight.partitions:
        return partitions_def is None and not flight.partitions
    return _has(partitions_def, flight.partitions, instance)


def _has(partitions_def: dg.PartitionsDefinition[Any], partitions: Sequence[str], instance: dg.DagsterInstance) -> bool:
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        try:
            return all(partitions_def.has_partition_key(key) for key in (partitions[0], partitions[-1]))
        except Exception:  # a key of another shape, which each kind of partitions refuses in its own way
            return False


def to_publish(
    flight: Flight, instance: dg.DagsterInstance, jobs: Mapping[str, Job], default: str, *, attempt: int = 0
) -> dg.RunRequest:
    """A Dagster run whose step attaches to the deferred run, publishes its end and fails, if it did not succeed.

    It is a run of the job whose run deferred it, where that is one of ``jobs``, and has that run's own tags.

    Args:
        flight: The deferred run.
        instance: Where the deferring run is known.
        jobs: The jobs that the sensor may request, by name.
        default: The one for runs of other jobs.
        attempt: How many of its kind Dagster has given up before they began.
    """
    deferred_by = instance.get_run_by_id(flight.record.dagster_run_id)
    before: Mapping[str, str] = deferred_by.tags if deferred_by is not None else {}
    tags = {name: value for name, value in before.items() if name in _PASSED_ON or not name.startswith(_OURS)}
    partitions = flight.partitions
    tags |= _range_tags(partitions)
    if instance.run_retries_enabled:
        # Each failure is a run of its own, so Dagster would count its retries from 0 for ever.
        tags[_MAX_RETRIES_TAG] = _retries_left(before, instance.run_retries_max_retries)
    return dg.RunRequest(
        run_key=f"finish {flight.run_id} {flight.record.dagster_run_id}" + (f" again {attempt}" if attempt else ""),
        job_name=deferred_by.job_name if deferred_by is not None and deferred_by.job_name in jobs else default,
        asset_selection=flight.keys,
        partition_key=flight.partition,
        tags={**tags, FINISHES_TAG: flight.run_id, DEFERRED_BY_TAG: flight.record.dagster_run_id},
    )


def _range_tags(partitions: Sequence[str]) -> dict[str, str]:
    ends = (partitions[0], partitions[-1]) if len(partitions) > 1 else ()
    return dict(zip(_RANGE_TAGS, ends, strict=False))


def _retries_left(tags: Mapping[str, str], usually: int) -> str:
    allowed, number = tags.get(_MAX_RETRIES_TAG, str(usually)), tags.get(_RETRY_NUMBER_TAG, "0")
    if not (allowed.isdecimal() and number.isdecimal()):
        return allowed  # Dagster tries nothing again for it
    return str(max(0, int(allowed) - int(number)))


def to_follow_up(job: FollowUp, finished: FinishedRun, context: dg.SensorEvaluationContext) -> list[dg.RunRequest]:
    """The run that the user wants after each finished run, once: the remote run's id is its key."""
    run_key = f"after {finished.run_id}"
    if not is_job(job):
        try:
            request: dg.RunRequest | None = job(finished)
        except Exception:  # the user's; the ends of the others are to be told all the same
            context.log.exception(
                "The function that was given as job failed for run %s, so nothing is requested", finished.run_id
            )
            return []
        if request is None:
            return []
        return [request if request.run_key is not None else request._replace(run_key=run_key)]
    partitions = finished.partitions if (partitions_def := _partitions_of(job, context)) is not None else ()
    if partitions_def is not None and partitions and not _has(partitions_def, partitions, context.instance):
        # Dagster would refuse the whole tick for it.
        context.log.warning(
            "Run %s filled %s, which is no partition of job %s, so nothing is requested",
            finished.run_id,
            partitions[0],
            job.name,
        )
        return []
    return [
        dg.RunRequest(
            run_key=run_key,
            job_name=job.name,
            partition_key=partitions[0] if len(partitions) == 1 else None,
            tags={**_range_tags(partitions), RUN_ID_TAG: finished.run_id, STATE_TAG: finished.state.value},
        )
    ]


def _partitions_of(job: Job, context: dg.SensorEvaluationContext) -> dg.PartitionsDefinition[Any] | None:
    """A job's partitions, which those of its assets are, unless it says otherwise."""
    known = context.repository_def.get_job(job.name) if context.repository_def is not None else job
    return getattr(known, "partitions_def", None)


def is_job(job: Any) -> bool:
    """Whether it is a job, rather than a function that makes a request."""
    return isinstance(job, dg.JobDefinition) or (hasattr(job, "name") and hasattr(job, "selection"))


def named(jobs: Sequence[Job]) -> dict[str, Job]:
    """The jobs by name.

    Raises:
        DagsterInvalidDefinitionError: One of them is no job.
    """
    for job in jobs:
        if not is_job(job):
            raise dg.DagsterInvalidDefinitionError(f"jobs has {job!r} in it, which is no job")
    return {job.name: job for job in jobs}
