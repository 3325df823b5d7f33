"""Helpers of the tests that compare the checks of tables with the server's own database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg
from testgen_database import Result

from dagster_runs import TableChecks, TestGenResource, TestGenTestRun, build_testgen_checks
from tests.dagster_ui import failure_message
from tests.sensors.driving import Driver
from tests.table_checks.suites import evaluated, rows

COUNTS = ("passed", "failed", "error", "warning", "log")
"""What each evaluation counts. Broken tests have the status ``error``."""
JUDGED = {"passed", "failed", "error", "warning"}
TABLES = ("d_ebike_customers", "d_ebike_products", "d_ebike_suppliers", "f_ebike_sales")
"""The tables of the demo that its suite tests."""


def checks_of(suite: str, **options: Any) -> TableChecks:
    return build_testgen_checks(TestGenTestRun(test_suite_id=suite), **{"timeout": 90, **options})


def location(checks: TableChecks, resource: TestGenResource, *assets: Any) -> dg.Definitions:
    """The definitions of a code location, with a job `all` of all assets and checks."""
    everything = dg.define_asset_job("all", selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks())
    own = dg.Definitions(
        assets=assets, jobs=[everything], resources={"testgen": resource}, executor=dg.in_process_executor
    )
    return dg.Definitions.merge(own, checks.definitions())


def asset_of(table: str) -> dg.AssetsDefinition:
    """An asset that is a table of the demo."""

    @dg.asset(name=f"own_{table}", metadata={"dagster/table_name": f"datakitchen.DEMO.{table.upper()}"})
    def of_table() -> None: ...

    return of_table


def key_of(table: str, check: str = "testgen__tests") -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(f"own_{table}"), check)


def shown_of(instance: dg.DagsterInstance, checks: TableChecks) -> dict[str, Any]:
    """The metadata of the newest reported run of the suite."""
    [record] = instance.fetch_materializations(checks.suite.key, limit=1).records
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.metadata)


def run_of(evaluation: dg.AssetCheckEvaluation) -> str:
    return str(evaluation.metadata["dagster_runs/run_id"].value)


def newest(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    return next(iter(evaluated(instance, check)), None)


def assert_counts(evaluation: dg.AssetCheckEvaluation, results: Iterable[Result]) -> None:
    """Asserts that an evaluation counts exactly these results, and that its outcome follows from them."""
    counts = Counter(result.status for result in results)
    assert counts.keys() <= set(COUNTS)
    shown = {status: evaluation.metadata[f"testgen/tests_{status}"].value for status in COUNTS}
    assert shown == {status: counts[status] for status in COUNTS}
    assert evaluation.description == (
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['error']} broken, "
        f"{counts['warning']} with a warning"
    )
    not_passed = {status: counts[status] for status in ("failed", "error", "warning") if counts[status]}
    assert evaluation.passed == (not not_passed)
    if not_passed:
        is_error = not_passed.keys() != {"warning"}
        assert evaluation.severity == (dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN)
    assert len(rows(evaluation.metadata, "testgen/failing_tests")) == min(sum(not_passed.values()), 50)


def failure_of(ran: dg.ExecuteInProcessResult) -> tuple[list[str], str]:
    """The names of the error of the only failed step and of its causes, and its message."""
    [event] = ran.filter_events(lambda event: event.is_step_failure)
    names, error = [], event.step_failure_data.error
    while error is not None:
        names.append(str(error.cls_name))
        error = error.cause
    return names, failure_message(event)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def driver_of(
    sensor: dg.SensorDefinition,
    checks: TableChecks,
    resource: TestGenResource,
    instance: dg.DagsterInstance,
    assets: Sequence[Any],
) -> Driver:
    """A sensor and its daemon."""
    driver = Driver(sensor, [], None, instance, resources={"testgen": resource})
    sensors = dg.Definitions(sensors=[sensor])
    driver.definitions = dg.Definitions.merge(location(checks, resource, *assets), sensors)
    return driver


def started(instance: dg.DagsterInstance, checks: TableChecks) -> list[str]:
    """The jobs in the ledger of the suite."""
    found = [
        record.asset_observation.metadata["dagster_runs/run_id"].value
        for record in instance.fetch_observations(checks.suite.key, limit=100).records
        if record.asset_observation is not None and "dagster_runs/run_id" in record.asset_observation.metadata
    ]
    return list(dict.fromkeys(str(job_id) for job_id in found))
