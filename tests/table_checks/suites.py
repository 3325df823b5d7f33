"""Suites of the sandbox with chosen results, and what the event log has about them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pytest

from dagster_runs import SuiteTest, TableChecks, TestGenResource, TestGenTestRun
from dagster_runs.dagster_private import newest_evaluations
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.vendors.testgen.lists.catalog import list_suites
from dagster_runs.vendors.testgen.lists.suite_run import list_run_tests
from tests.remote_run.materializing import entry_of, resources_at

IS_1_13 = tuple(map(int, dg.__version__.split(".")[:2])) >= (1, 13)
needs_split_steps = pytest.mark.skipif(not IS_1_13, reason="Dagster 1.12 refuses two steps for one op")
SUITE = "5ab1e000-0000-4000-8000-000000000001"
RUN = TestGenTestRun(test_suite_id=SUITE)
SUITE_KEY = dg.AssetKey(["testgen", "testgen_5ab1e000"])


def result(table: str, status: str = "passed", column: str | None = "id", **fields: Any) -> dict[str, Any]:
    """A row of results in the shape of the API."""
    fields = {"test_type": "Required", **fields}
    return {"table_name": table, "column_names": column, "result_status": status, **fields}


def add_suite(sandbox: Sandbox, results: Sequence[Mapping[str, Any]], **behavior: Any) -> None:
    times = {"queued_seconds": 0, "running_seconds": 2, "score_delay": 0, **behavior}
    sandbox.add_target("testgen", "test_suite", SUITE, Behavior(results=[dict(row) for row in results], **times))


def set_results(sandbox: Sandbox, results: Sequence[Mapping[str, Any]], **behavior: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(results=[dict(row) for row in results], **behavior), vendor="testgen")


def table(name: str, *deps: str, **named: Any) -> dg.AssetsDefinition:
    """An asset that is a table of the sandbox."""

    @dg.asset(name=name, deps=list(deps), metadata={"dagster/table_name": f"demo.{name}"}, **named)
    def of_table() -> None: ...

    return of_table


def load(
    sandbox: Sandbox, checks: TableChecks, *, assets: Sequence[Any] = (), jobs: Sequence[Any] = (), **more: Any
) -> dg.Definitions:
    """The definitions of a code location, with a job `all` of all assets and checks."""
    everything = dg.define_asset_job("all", selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks())
    own = dg.Definitions(
        assets=list(assets),
        resources=resources_at(sandbox.url),
        jobs=[everything, *jobs],
        executor=dg.in_process_executor,
        **more,
    )
    return dg.Definitions.merge(own, checks.definitions())


def job_of(
    defs: dg.Definitions, *, assets: Sequence[str] = (), checks: Sequence[dg.AssetCheckKey] = ()
) -> dg.JobDefinition:
    """A job of some assets, without their checks, and of some checks."""
    parts: list[dg.AssetSelection] = []
    if assets:
        parts.append(dg.AssetSelection.assets(*assets).without_checks())
    if checks:
        parts.append(dg.AssetSelection.checks(*checks))
    selection = parts[0] if len(parts) == 1 else parts[0] | parts[1]
    job = dg.define_asset_job("some", selection=selection)
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("some")


def execute(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    assets: Sequence[str] = (),
    checks: Sequence[dg.AssetCheckKey] = (),
    **named: Any,
) -> dg.ExecuteInProcessResult:
    """Executes some assets and some checks; by default, everything."""
    job = job_of(defs, assets=assets, checks=checks) if assets or checks else defs.resolve_job_def("all")
    return job.execute_in_process(instance=instance, raise_on_error=False, **named)


def materialize(instance: dg.DagsterInstance, *names: str) -> None:
    """Reports materializations of tables, as another process or tool does."""
    for name in names:
        instance.report_runless_asset_event(dg.AssetMaterialization(name))


def key(name: str, check: str = "testgen__tests") -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(name.split("/")), check)


def evaluated(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> list[dg.AssetCheckEvaluation]:
    """All evaluations of a check, newest first."""
    return list(newest_evaluations(instance, check, 0.0))


def outcomes(instance: dg.DagsterInstance, *names: str) -> dict[str, Any]:
    """The newest evaluation of the check of each table: passed, or the severity; ``None`` if there is none."""
    found: dict[str, Any] = {}
    for name in names:
        newest = next(iter(evaluated(instance, key(name))), None)
        found[name] = newest if newest is None else newest.passed or newest.severity.value
    return found


def suite_metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The metadata of the newest reported run of the suite."""
    [record] = instance.fetch_materializations(SUITE_KEY, limit=1).records
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.metadata)


def rows(metadata: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [dict(record.data) for record in metadata[name].records] if name in metadata else []


def materialization_id(instance: dg.DagsterInstance, name: str) -> int:
    [record] = instance.fetch_materializations(dg.AssetKey(name), limit=1).records
    return int(record.storage_id)


def requests_to(sandbox: Sandbox, path: str) -> Iterator[str]:
    return (one.path for one in sandbox.requests("testgen") if path in one.path)


def ledger(instance: dg.DagsterInstance) -> list[str]:
    """The kinds of the suite's ledger entries, oldest first, without `progress`."""
    observed = instance.fetch_observations(SUITE_KEY, limit=1000, ascending=True).records
    return [kind for kind in (entry_of(record).kind.value for record in observed) if kind != "progress"]


def known_tests(resource: TestGenResource, suite_id: str) -> list[SuiteTest]:
    """The tests of a suite, according to its latest run. Empty if there is none."""
    [suite] = [one for one in list_suites(resource) if one.test_suite_id == suite_id]
    return [] if suite.latest_run_id is None else list_run_tests(resource, suite.latest_run_id)
