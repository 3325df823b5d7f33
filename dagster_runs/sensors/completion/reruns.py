"""Requests one more Dagster run of an asset whose inputs changed while a run was in flight.

Dagster's automation does not know that a deferred run is in flight. It requests a Dagster run for each update of an
upstream asset, and such requests are queued. But if it evaluates the update and the end of the run at the same time, it
takes the asset for up to date, although the run has not seen the update (measured on 1.13.27).
"""

import dagster as dg

from dagster_runs.dagster_private import assets_of_job, has_failed_blocking_check
from dagster_runs.remote_run.execution.provenance import InputVersion
from dagster_runs.sensors.completion.asset_requests import rerun_request
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.deferred_run import DeferredRun

_UNFINISHED = [
    status
    for status in dg.DagsterRunStatus
    if status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]
_MAX_UNFINISHED = 500


def rerun_of(deferred_run: DeferredRun, tick: TickContext, default_job: str) -> dg.RunRequest | None:
    """Returns a request for one more Dagster run of a run's assets; ``None`` if their inputs have not changed since.

    Args:
        deferred_run: A run that has ended.
        tick: The tick.
        default_job: The job for the Dagster run.
    """
    options = deferred_run.asset.remote.options
    if not options.rerun_if_upstream_newer or not options.queues:
        return None
    definition = deferred_run.asset.definition
    keys = [key for key in deferred_run.keys if definition.automation_conditions_by_key.get(key) is not None]
    newest = max((_newest_input(key, deferred_run, tick) for key in keys), default=0)
    if not newest or _is_covered(deferred_run, tick, newest):
        return None
    return rerun_request(deferred_run, tick.context, default_job)


def _newest_input(key: dg.AssetKey, deferred_run: DeferredRun, tick: TickContext) -> int:
    """Returns the storage id of the newest materialization of an input that the run has not seen; 0 for none."""
    known = deferred_run.provenance.get(key.to_user_string())
    if known is None:
        return 0
    found = [0]
    for dep in deferred_run.asset.definition.get_asset_spec(key).deps:
        version = known.inputs.get(dep.asset_key.to_user_string())
        if version is not None and dep.asset_key != key and not _has_bad_data(dep.asset_key, tick):
            found.append(_newer(dep.asset_key, version, deferred_run, tick))
    return max(found)


def _newer(key: dg.AssetKey, seen: InputVersion, deferred_run: DeferredRun, tick: TickContext) -> int:
    partitions: list[str] | None = None
    if _is_partitioned(key, tick):
        # Its input is the partition of the same name. Other partition mappings are left to Dagster's automation.
        if deferred_run.partition is None:
            return 0
        partitions = [deferred_run.partition]
    wanted = dg.AssetRecordsFilter(key, partitions, after_storage_id=seen.storage_id)
    records = tick.context.instance.fetch_materializations(wanted, limit=1).records
    return records[0].storage_id if records else 0


def _has_bad_data(key: dg.AssetKey, tick: TickContext) -> bool:
    """Whether a blocking check of an input has failed. Dagster's automation would not run on it either."""
    definition = _definition_of(key, tick)
    return definition is not None and has_failed_blocking_check(tick.context.instance, definition, key)


def _is_partitioned(key: dg.AssetKey, tick: TickContext) -> bool:
    definition = _definition_of(key, tick)
    return definition is not None and definition.partitions_def is not None


def _definition_of(key: dg.AssetKey, tick: TickContext) -> dg.AssetsDefinition | None:
    repository = tick.context.repository_def
    return repository.assets_defs_by_key.get(key) if repository is not None else None


def _is_covered(deferred_run: DeferredRun, tick: TickContext, newest: int) -> bool:
    """Whether a later request, or a Dagster run that has not finished, already covers the change."""
    index, mine = tick.deferred_runs, set(deferred_run.asset_partitions)
    later = (one for one in index if one is not deferred_run and one.storage_id > newest)
    queued = (one for one in index.queued if one.request.storage_id > newest)
    if any(not mine.isdisjoint(one.asset_partitions) for one in (*later, *queued)):
        return True
    runs = tick.context.instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED), limit=_MAX_UNFINISHED)
    partition = deferred_run.partition
    return any(
        not _assets_of(run, tick).isdisjoint(deferred_run.keys)
        and partition in (None, run.tags.get("dagster/partition"))
        for run in runs
    )


def _assets_of(run: dg.DagsterRun, tick: TickContext) -> frozenset[dg.AssetKey]:
    """Returns the assets that a Dagster run materializes: those that it selects, or all of its job."""
    repository = tick.context.repository_def
    if run.asset_selection or repository is None or not repository.has_job(run.job_name):
        return frozenset(run.asset_selection or ())
    return assets_of_job(repository.get_job(run.job_name))
