"""The checks of tables, compared with what the server's own database contains."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dagster as dg
import pytest
import testgen_fixtures as ids
from real_tables import (
    COUNTS,
    JUDGED,
    TABLES,
    assert_counts,
    asset_of,
    checks_of,
    driver_of,
    failure_of,
    key_of,
    location,
    newest,
    run_of,
    shown_of,
    started,
    wait_until,
)
from real_testgen import RealTestGen
from testgen_database import Database, Result

from dagster_runs import (
    TableChecks,
    TableKeys,
    TestGenResource,
    TestGenTestRun,
    build_completion_sensor,
    build_observation_sensor,
    build_testgen_checks,
)
from tests.table_checks.suites import evaluated, execute, known_tests, rows

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen


@pytest.fixture(scope="module")
def resource(testgen_server: RealTestGen) -> TestGenResource:
    return TestGenResource(
        base_url=testgen_server.base_url,
        project_code=ids.PROJECT,
        access_token=testgen_server.access_token,
        ui_url="http://127.0.0.1:8501",
        poll_interval=1,
    )


class TestCounts:
    __test__ = True

    def test_each_table_has_the_counts_of_the_database(
        self, resource: TestGenResource, database: Database, instance: dg.DagsterInstance
    ) -> None:
        assets = [asset_of(table) for table in TABLES]
        checks = checks_of(ids.DEMO_SUITE, tables=TableKeys.from_assets(assets))
        assert execute(location(checks, resource, *assets), instance).success

        found = {table: newest(instance, key_of(table)) for table in TABLES}
        [run_id] = {run_of(evaluation) for evaluation in found.values() if evaluation is not None}
        results = database.results(run_id)
        assert {result.status for result in results} >= JUDGED  # so the comparison is meaningful
        assert {result.table for result in results} == set(TABLES)
        for table, evaluation in found.items():
            assert evaluation is not None
            assert_counts(evaluation, [result for result in results if result.table == table])
            assert evaluation.target_materialization_data is not None
            assert run_id in str(evaluation.metadata["dagster_runs/url"].value)
        shown = shown_of(instance, checks)
        assert {status: shown[f"testgen/tests_{status}"].value for status in COUNTS} == {
            status: sum(result.status == status for result in results) for status in COUNTS
        }
        assert "testgen/not_tested" not in shown
        assert "testgen/tables_without_checks" not in shown

    def test_tables_are_mapped_by_convention_or_named(
        self, resource: TestGenResource, database: Database, instance: dg.DagsterInstance
    ) -> None:
        keys = [{"d_ebike_customers": "crm/customers", "demo.d_ebike_s*": "{schema}/made_by_{table}"}]
        checks = checks_of(
            ids.DEMO_SUITE,
            tables=[*keys, TableKeys.by_convention()],
            known_tests=known_tests(resource, ids.DEMO_SUITE),
        )
        assert execute(location(checks, resource), instance).success
        assets = {
            "d_ebike_customers": "crm/customers",
            "d_ebike_products": "demo/d_ebike_products",
            "d_ebike_suppliers": "demo/made_by_d_ebike_suppliers",
            "f_ebike_sales": "demo/f_ebike_sales",
        }
        assert {key.asset_key.to_user_string() for key in checks.checks.check_keys} == set(assets.values())
        for table, asset in assets.items():
            evaluation = newest(instance, dg.AssetCheckKey(dg.AssetKey(asset.split("/")), "testgen__tests"))
            assert evaluation is not None
            results = database.results(run_of(evaluation))
            assert_counts(evaluation, [result for result in results if result.table == table])

    def test_tables_without_an_asset_are_named(self, resource: TestGenResource, instance: dg.DagsterInstance) -> None:
        checks = checks_of(ids.DEMO_SUITE, tables={"f_ebike_sales": "sales"})
        assert execute(location(checks, resource), instance).success
        others = {row["table"] for row in rows(shown_of(instance, checks), "testgen/tables_without_checks")}
        assert others == {f"demo.{table}" for table in TABLES if table != "f_ebike_sales"}


class TestFinerChecks:
    __test__ = True

    @pytest.mark.parametrize("granularity", ["test", "column", "test_type"])
    def test_each_check_has_the_counts_of_the_database(
        self, resource: TestGenResource, database: Database, instance: dg.DagsterInstance, granularity: Any
    ) -> None:
        assets = [asset_of(table) for table in TABLES]
        known = known_tests(resource, ids.DEMO_SUITE)
        assert known
        checks = checks_of(
            ids.DEMO_SUITE,
            tables=TableKeys.from_assets(assets),
            known_tests=known,
            granularity=granularity,
            max_checks=1000,
        )
        assert checks.messages == []
        ran = execute(location(checks, resource, *assets), instance)
        assert ran.success
        found = ran.get_asset_check_evaluations()
        [run_id] = {run_of(evaluation) for evaluation in found}
        results = database.results(run_id)
        assert sorted(test.test_id or "" for test in known) == sorted(result.test_id for result in results)

        def subject_of(result: Result) -> str | None:
            return {"test": result.test_id, "column": result.column, "test_type": result.test_type}[granularity]

        expected = {(result.table, subject_of(result)) for result in results if subject_of(result)}
        judged = {
            (result.table, subject_of(result)) for result in results if subject_of(result) and result.status in JUDGED
        }
        finer = [evaluation for evaluation in found if evaluation.check_name != "testgen__tests"]
        assert len(list(checks.checks.check_keys)) == len(expected) + len(TABLES)
        assert len(finer) == len(judged)
        for evaluation in finer:
            [declared] = [
                one
                for one in checks.judged.declared.by_asset[evaluation.asset_key]
                if one.spec.name == evaluation.check_name
            ]
            table = evaluation.asset_key.path[-1].removeprefix("own_")
            own = [
                result
                for result in results
                if result.table == table and (subject_of(result) or "").casefold() == declared.subject.casefold()
            ]
            assert_counts(evaluation, own)
        not_tested = {row["check"] for row in rows(shown_of(instance, checks), "testgen/not_tested")}
        assert len(not_tested) == len(expected - judged)


class TestComparedTables:
    """One test of the demo compares the sales with another table."""

    __test__ = True

    OTHER = "tmp_f_ebike_sales_last_month"

    def compared_with(self, instance: dg.DagsterInstance) -> dict[str, str]:
        found = {table: newest(instance, key_of(table)) for table in TABLES}
        return {
            table: str(evaluation.metadata["testgen/compared_with"].value)
            for table, evaluation in found.items()
            if evaluation is not None and "testgen/compared_with" in evaluation.metadata
        }

    @pytest.mark.parametrize("schema", [None, "elsewhere"])
    def test_table_that_the_server_has_compared_with_is_shown(
        self, resource: TestGenResource, database: Database, instance: dg.DagsterInstance, schema: str | None
    ) -> None:
        [definition] = database.rows(
            "SELECT table_name, match_schema_name, match_table_name FROM testgen.test_definitions"
            " WHERE test_suite_id = %s AND match_table_name IS NOT NULL",
            ids.DEMO_SUITE,
        )
        assert definition == (ids.TABLE, "demo", self.OTHER)
        assets = [asset_of(table) for table in TABLES]
        run = TestGenTestRun(test_suite_id=ids.DEMO_SUITE, match_schema_name=schema)
        checks = build_testgen_checks(run, tables=TableKeys.from_assets(assets), timeout=90)
        assert execute(location(checks, resource, *assets), instance).success
        assert self.compared_with(instance) == {ids.TABLE: f"{schema or 'demo'}.{self.OTHER}"}
        sales = newest(instance, key_of(ids.TABLE))
        assert sales is not None
        [row] = [row for row in rows(sales.metadata, "testgen/failing_tests") if row["column"] == "SUM(total_amount)"]
        # The table that the server looked for does not exist in the other schema.
        assert (f"elsewhere.{self.OTHER}" in row["message"]) == (schema is not None)


class TestNothingIsEvaluated:
    __test__ = True

    @pytest.fixture
    def sales(self) -> dg.AssetsDefinition:
        return asset_of(ids.TABLE)

    def checks(self, suite: str, sales: dg.AssetsDefinition, **options: Any) -> TableChecks:
        return checks_of(suite, tables=TableKeys.from_assets(sales), **options)

    def job_ids(self, server: RealTestGen) -> set[str]:
        return {job["id"] for job in server.api.jobs()}

    def test_failed_run(
        self,
        testgen_server: RealTestGen,
        resource: TestGenResource,
        instance: dg.DagsterInstance,
        sales: dg.AssetsDefinition,
    ) -> None:
        before = self.job_ids(testgen_server)
        ran = execute(location(self.checks(ids.DOWN_SUITE, sales), resource, sales), instance)
        [job_id] = self.job_ids(testgen_server) - before
        job = testgen_server.api.get(f"/jobs/{job_id}")
        assert job["status"] == "error"
        names, message = failure_of(ran)
        assert "RunFailed" in names
        assert job["error_message"].splitlines()[0] in message
        assert evaluated(instance, key_of(ids.TABLE)) == []
        assert instance.get_latest_materialization_event(dg.AssetKey(["testgen", "testgen_c0ffee00"])) is None

    def test_failed_deferred_run(
        self,
        testgen_server: RealTestGen,
        resource: TestGenResource,
        instance: dg.DagsterInstance,
        sales: dg.AssetsDefinition,
    ) -> None:
        checks = self.checks(ids.DOWN_SUITE, sales, wait="defer")
        driver = driver_of(build_completion_sensor([checks]), checks, resource, instance, [sales])
        assert execute(driver.definitions, instance).success
        [job_id] = started(instance, checks)
        testgen_server.api.wait_for(job_id, "error", timeout=60)
        wait_until(lambda: driver.tick() is not None and bool(driver.runs))
        [reporting] = driver.runs
        assert "RunFailed" in failure_of(reporting)[0]
        assert evaluated(instance, key_of(ids.TABLE)) == []

    def test_canceled_run(
        self,
        testgen_server: RealTestGen,
        resource: TestGenResource,
        instance: dg.DagsterInstance,
        sales: dg.AssetsDefinition,
    ) -> None:
        before = self.job_ids(testgen_server)
        checks = self.checks(ids.SLOW_SUITE, sales, timeout=4, on_timeout="cancel")
        ran = execute(location(checks, resource, sales), instance)
        assert not ran.success
        [job_id] = self.job_ids(testgen_server) - before
        assert testgen_server.api.wait_for(job_id, "canceled")
        assert evaluated(instance, key_of(ids.TABLE)) == []

    def test_empty_suite(
        self, resource: TestGenResource, instance: dg.DagsterInstance, sales: dg.AssetsDefinition
    ) -> None:
        checks = self.checks(ids.EMPTY_SUITE, sales)
        assert execute(location(checks, resource, sales), instance).success
        assert evaluated(instance, key_of(ids.TABLE)) == []
        [row] = rows(shown_of(instance, checks), "testgen/not_tested")
        assert row["check"] == f"own_{ids.TABLE}"
        assert str(row["why"]).startswith("the suite has no result for it. Its table is ")

    def test_suite_whose_only_test_is_broken_fails_its_check(
        self, resource: TestGenResource, instance: dg.DagsterInstance, sales: dg.AssetsDefinition
    ) -> None:
        """The contrary: a broken test is no missing result, although the server's score is 1.0."""
        checks = self.checks(ids.BADSQL_SUITE, sales)
        assert execute(location(checks, resource, sales), instance).success
        [evaluation] = evaluated(instance, key_of(ids.TABLE))
        assert not evaluation.passed
        assert evaluation.severity == dg.AssetCheckSeverity.ERROR
        assert evaluation.metadata["testgen/tests_error"].value == 1
        assert shown_of(instance, checks)["testgen/score"].value == 1.0


class TestResultsThatDoNotCount:
    """Results that a user dismisses or mutes after the run and before its report, and of tests that only log."""

    __test__ = True

    MIXED = ("d_ebike_customers", "d_ebike_products", "f_ebike_sales")

    def columns_of(self, evaluation: dg.AssetCheckEvaluation) -> set[str]:
        return {str(row["column"]) for row in rows(evaluation.metadata, "testgen/failing_tests")}

    def test_all_results_count_until_somebody_dismisses_them(
        self, resource: TestGenResource, database: Database, instance: dg.DagsterInstance
    ) -> None:
        assets = [asset_of(table) for table in self.MIXED]
        checks = checks_of(ids.MIXED_SUITE, tables=TableKeys.from_assets(assets))
        assert execute(location(checks, resource, *assets), instance).success
        sales = newest(instance, key_of("f_ebike_sales"))
        assert sales is not None
        results = database.results(run_of(sales))
        assert Counter((result.table, result.status) for result in results) == {
            ("f_ebike_sales", "passed"): 1,
            ("f_ebike_sales", "failed"): 2,
            ("f_ebike_sales", "log"): 1,
            ("d_ebike_customers", "log"): 1,
            ("d_ebike_products", "failed"): 1,
        }
        assert_counts(sales, [result for result in results if result.table == "f_ebike_sales"])
        assert self.columns_of(sales) == {"fails", "fails_too"}
        assert newest(instance, key_of("d_ebike_customers")) is None
        [row] = rows(shown_of(instance, checks), "testgen/not_tested")
        assert row == {"check": "own_d_ebike_customers", "why": "its only test just logs"}

    def test_dismissed_and_muted_results_do_not_count(
        self,
        testgen_server: RealTestGen,
        resource: TestGenResource,
        database: Database,
        instance: dg.DagsterInstance,
    ) -> None:
        assets = [asset_of(table) for table in self.MIXED]
        checks = checks_of(ids.MIXED_SUITE, tables=TableKeys.from_assets(assets), wait="defer")
        driver = driver_of(build_completion_sensor([checks]), checks, resource, instance, assets)
        assert execute(driver.definitions, instance).success
        [job_id] = started(instance, checks)
        testgen_server.api.wait_for(job_id, "completed", timeout=60)
        database.set_disposition(job_id, "f_ebike_sales", "fails", "Dismissed")
        database.set_disposition(job_id, "f_ebike_sales", "fails_too", "Inactive")
        database.set_disposition(job_id, "d_ebike_products", "fails", "Dismissed")

        wait_until(lambda: driver.tick() is not None and newest(instance, key_of("f_ebike_sales")) is not None)
        [sales] = evaluated(instance, key_of("f_ebike_sales"))
        assert run_of(sales) == job_id
        assert sales.passed
        assert_counts(sales, [result for result in database.results(job_id) if result.table == "f_ebike_sales"])
        assert sales.metadata["testgen/tests_log"].value == 1
        for table in ("d_ebike_customers", "d_ebike_products"):
            assert evaluated(instance, key_of(table)) == []
        assert testgen_server.api.get(f"/test-runs/{job_id}")["result"]["result_counts"]["dismissed"] == 3


def test_run_that_dagster_did_not_start_is_reported_with_the_counts_of_the_database(
    testgen_server: RealTestGen, resource: TestGenResource, database: Database, instance: dg.DagsterInstance
) -> None:
    assets = [asset_of(table) for table in TABLES]
    checks = checks_of(ids.DEMO_SUITE, tables=TableKeys.from_assets(assets))
    driver = driver_of(build_observation_sensor([checks]), checks, resource, instance, assets)
    driver.tick()
    job_id = testgen_server.api.call("POST", f"/test-suites/{ids.DEMO_SUITE}/test-runs")["id"]
    testgen_server.api.wait_for(job_id, "completed", timeout=60)

    def evaluations_of(table: str) -> list[dg.AssetCheckEvaluation]:
        """Those of the run, since the sensor also reports the runs that other tests have started."""
        return [evaluation for evaluation in evaluated(instance, key_of(table)) if run_of(evaluation) == job_id]

    wait_until(lambda: driver.tick() is not None and all(map(evaluations_of, TABLES)))
    results = database.results(job_id)
    for table in TABLES:
        [evaluation] = evaluations_of(table)
        assert_counts(evaluation, [result for result in results if result.table == table])
