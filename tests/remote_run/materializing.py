"""Helpers that materialize assets against the sandbox, and read what Dagster has stored."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import dagster as dg

from dagster_runs import (
    RemoteRunResource,
    RudderStackProfilesRun,
    TestGenProfilingRun,
    TestGenTestRun,
    build_remote_run_asset,
)
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import sandbox_resources

PROFILES = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
TESTS = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
PROFILING = TestGenProfilingRun(table_group_id=well_known.TABLE_GROUP)


@cache
def resources_at(url: str) -> dict[str, RemoteRunResource]:
    """Returns the resources of all vendors. They are built once, because Dagster copies them for each run anyway."""
    return sandbox_resources(url)


def materialize(
    assets: Sequence[Any], sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any
) -> dg.ExecuteInProcessResult:
    settings = options.pop("settings", None)
    defaults = sandbox_resources(sandbox.url, **settings) if settings else resources_at(sandbox.url)
    resources = options.pop("resources", None) or defaults
    return dg.materialize(assets, resources=resources, instance=instance, raise_on_error=False, **options)


def run_profiles(sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> dg.ExecuteInProcessResult:
    return materialize([build_remote_run_asset(PROFILES, key="features", **options)], sandbox, instance)


def run_tests(
    sandbox: Sandbox, instance: dg.DagsterInstance, *, settings: Any = None, **options: Any
) -> dg.ExecuteInProcessResult:
    asset = build_remote_run_asset(TESTS, key="quality", **options)
    return materialize([asset], sandbox, instance, settings=settings or {})


def entries(instance: dg.DagsterInstance, key: str) -> list[str]:
    """Returns the kinds of the asset's ledger entries, oldest first, without `progress`."""
    observed = instance.fetch_observations(dg.AssetKey(key), limit=1000, ascending=True).records
    kinds = [entry_of(record).kind.value for record in observed]
    return [kind for kind in kinds if kind != "progress"]


def entry_of(record: dg.EventLogRecord) -> LedgerEntry:
    """Returns the ledger entry of an observation."""
    entry = LedgerEntry.from_event(record)
    assert entry is not None
    return entry


def metadata(instance: dg.DagsterInstance, key: str) -> dict[str, Any]:
    """Returns the metadata of the asset's newest materialization."""
    [record] = instance.fetch_materializations(dg.AssetKey(key), limit=1).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Returns the error message of the failed step, including its causes."""
    event = [event for event in result.all_events if event.is_step_failure or event.is_step_up_for_retry][-1]
    error = event.step_failure_data.error
    texts = (
        [event.step_failure_data.user_failure_data.description or ""]
        if event.step_failure_data.user_failure_data
        else []
    )
    while error is not None:
        texts.append(error.message)
        error = error.cause
    return "\n".join(texts)
