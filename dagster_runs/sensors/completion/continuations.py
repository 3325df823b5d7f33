"""Continues the Dagster runs in which a deferred asset's downstream assets were skipped.

In one Dagster run, a deferred asset's step ends before the asset is materialized, so Dagster skips what is downstream.
When the remote run has succeeded, another Dagster run of the same job materializes these assets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import are_partitioned, downstream_in_job, ops_of
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.sensors.completion.asset_requests import REQUESTERS_TAG, continue_request
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun, RecordedRun
from dagster_runs.sensors.launch_validation import RequestPreparationError, launch_error

_MAX_RUNS = 500
"""The maximum number of Dagster runs that are followed back to those that wanted a remote run."""


def continuations_of(deferred_run: DeferredRun, tick: TickContext, jobs: Mapping[str, Any]) -> Iterator[dg.RunRequest]:
    """Yields a request for each Dagster run that has to be continued after a run that succeeded.

    A blocking check that failed holds back the downstream assets, as it does in a Dagster run.

    Args:
        deferred_run: The run.
        tick: The tick.
        jobs: The jobs whose runs are continued, by name.
    """
    failed = {check.name for check in deferred_run.result.checks if check.is_error}
    if any(spec.blocking and spec.name in failed for spec in deferred_run.asset.check_specs):
        return
    context, repository = tick.context, tick.context.repository_def
    for origin in origins_of(deferred_run, tick).values():
        if repository is None or origin.job_name not in jobs or not repository.has_job(origin.job_name):
            continue
        job = repository.get_job(origin.job_name)
        waits_for = _still_waits_for(origin, deferred_run, tick)
        later = {*waits_for, *downstream_in_job(job, waits_for, origin.asset_selection)}
        skipped = [key for key in downstream_in_job(job, deferred_run.keys, origin.asset_selection) if key not in later]
        if not skipped:
            continue
        partition = deferred_run.partition if are_partitioned(job, skipped) else None
        request = continue_request(deferred_run, origin, skipped, ops_of(job, skipped), partition=partition)
        try:
            why = launch_error(request, context)
        except RequestPreparationError as error:
            why = str(error)
        if why is None:
            yield request
        else:
            context.log.warning("Dagster run %s cannot be continued after %s: %s", origin.run_id, deferred_run, why)


def origins_of(recorded: RecordedRun, tick: TickContext) -> dict[str, dg.DagsterRun]:
    """Returns the Dagster runs that wanted a remote run, by id.

    If the sensor requested a Dagster run, to start a queued request or to report an outcome, the ones before it count.
    """
    found: dict[str, dg.DagsterRun] = {}
    queue = tick.deferred_runs.queues[recorded.asset]
    remaining = [recorded.record.dagster_run_id, *queue.satisfied.get(recorded.record.correlation_id, ())]
    seen: set[str] = set()
    while remaining and len(seen) < _MAX_RUNS:
        run_id = remaining.pop()
        run = tick.context.instance.get_run_by_id(run_id) if run_id not in seen else None
        seen.add(run_id)
        if run is None:
            continue
        before = run.tags.get(REQUESTERS_TAG) or run.tags.get(DEFERRED_BY_TAG)
        if before and run.parent_run_id is None:
            remaining += before.split(",")
        else:
            found[run_id] = run
    return found


def _still_waits_for(origin: dg.DagsterRun, deferred_run: DeferredRun, tick: TickContext) -> list[dg.AssetKey]:
    """Returns the deferred assets of the same Dagster run whose runs have not ended. The last one continues the run."""
    others = [one for one in tick.deferred_runs if one is not deferred_run and one.phase is not Phase.DONE]
    # All partitioned assets of one Dagster run have the same partitions. Finding the origins of a run takes queries, so
    # the runs of other partitions are left out first: there may be thousands.
    partition = deferred_run.record.partition
    return [
        key
        for one in [*others, *tick.deferred_runs.queued]
        if one.asset is not deferred_run.asset
        and (None in (one.record.partition, partition) or one.record.partition == partition)
        and origin.run_id in origins_of(one, tick)
        for key in one.keys
    ]
