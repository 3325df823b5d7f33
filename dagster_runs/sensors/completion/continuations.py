"""Continues the Dagster runs in which a deferred asset's downstream assets were skipped.

In one Dagster run, a deferred asset's step ends before the asset is materialized, so Dagster skips what is downstream.
When the remote run has succeeded, another Dagster run of the same job materializes these assets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import downstream_in_job
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.remote_run.execution.request_queue import REQUEST_TAG
from dagster_runs.sensors.completion.asset_requests import REQUESTERS_TAG, continue_request
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.launch_validation import RequestPreparationError, launch_error


def continuations_of(deferred_run: DeferredRun, tick: TickContext, jobs: Mapping[str, Any]) -> Iterator[dg.RunRequest]:
    """Yields a request for each Dagster run that has to be continued after a run that succeeded.

    A blocking check that failed holds back the downstream assets, as it does in a Dagster run.

    Args:
        deferred_run: The run.
        tick: The tick.
        jobs: The jobs whose runs are continued, by name.
    """
    failed = {check.name for check in deferred_run.result.checks if check.is_error}
    if any(spec.blocking and spec.name in failed for spec in deferred_run.asset.definition.check_specs):
        return
    context, repository = tick.context, tick.context.repository_def
    for origin in _origins(deferred_run, context.instance):
        job = repository.get_job(origin.job_name) if repository is not None and origin.job_name in jobs else None
        skipped = downstream_in_job(job, deferred_run.keys, origin.asset_selection) if job is not None else []
        if job is None or not skipped:
            continue
        ops = {node.name for key in skipped for node in [job.asset_layer.get(key).assets_def.node_def]}
        request = continue_request(deferred_run, origin, skipped, ops)
        try:
            why = launch_error(request, context)
        except RequestPreparationError as error:
            why = str(error)
        if why is None:
            yield request
        else:
            context.log.warning("Dagster run %s cannot be continued after %s: %s", origin.run_id, deferred_run, why)


def _origins(deferred_run: DeferredRun, instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """Yields the Dagster runs that wanted a remote run: the one that started it, or those that queued a request."""
    starter = instance.get_run_by_id(deferred_run.record.dagster_run_id)
    if starter is None:
        return
    if REQUEST_TAG not in starter.tags or starter.parent_run_id is not None:
        yield starter
        return
    requesters = starter.tags.get(REQUESTERS_TAG) or starter.tags.get(DEFERRED_BY_TAG, "")
    for run_id in filter(None, requesters.split(",")):
        requester = instance.get_run_by_id(run_id)
        if requester is not None:
            yield requester
