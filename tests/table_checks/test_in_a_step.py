"""Checks that a step executes and waits for."""

from functools import partial
from typing import Any, ClassVar

import dagster as dg
import pytest

from dagster_runs import SuiteTest, TableChecks, TableKeys, TestGenResource, build_testgen_checks
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.table_checks.freshness import STARTED_BEFORE
from dagster_runs.table_checks.table_report import NO_TABLE
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import failure, resources_at
from tests.remote_run.reexecuting import at_pause, dies, reexecute, terminate
from tests.table_checks.suites import (
    RUN,
    SUITE,
    add_suite,
    evaluated,
    execute,
    job_of,
    key,
    known_tests,
    ledger,
    load,
    materialization_id,
    materialize,
    outcomes,
    requests_to,
    result,
    rows,
    set_results,
    suite_metadata,
    table,
)

pytestmark = pytest.mark.usefixtures("clock")
TABLES = [table("orders"), table("customers")]
ORDERS, CUSTOMERS = key("orders"), key("customers")


def build(**options: Any) -> TableChecks:
    return build_testgen_checks(RUN, **{"tables": TableKeys.from_assets(TABLES), **options})


def target_of(evaluation: dg.AssetCheckEvaluation) -> int:
    assert evaluation.target_materialization_data is not None
    return evaluation.target_materialization_data.storage_id


@pytest.fixture
def defs(sandbox: Sandbox) -> dg.Definitions:
    add_suite(sandbox, [result("orders"), result("orders", "failed", "amount"), result("customers")])
    return load(sandbox, build(), assets=TABLES)


@pytest.mark.covers(
    "tables.same-run",
    "testgen.endpoint.test-results",
    "testgen.field.results-test-definition-id",
    "testgen.field.results-total",
    "testgen.field.results-schema-name",
)
def test_each_table_gets_the_outcome_of_its_own_tests(
    sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    assert execute(defs, instance).success
    assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
    assert sandbox.starts("testgen") == 1
    [orders] = evaluated(instance, ORDERS)
    assert orders.description == "1 passed, 1 failed, 0 broken, 0 with a warning"
    assert target_of(orders) == materialization_id(instance, "orders")
    assert orders.metadata["testgen/tests_failed"].value == 1
    [failing] = rows(orders.metadata, "testgen/failing_tests")
    assert (failing["column"], failing["measure"]) == ("amount", "2")
    [run] = sandbox.runs("testgen")
    assert orders.metadata["dagster_runs/run_id"].value == run.id
    assert run.id in str(orders.metadata["dagster_runs/url"].value)


def test_suite_shows_its_run(instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
    execute(defs, instance)
    assert ledger(instance) == ["starting", "started"]
    shown = suite_metadata(instance)
    assert shown["testgen/tests_passed"].value == 2
    [failing] = rows(shown, "testgen/failing_tests")
    assert failing["table"] == "demo.orders"
    assert "testgen/not_tested" not in shown


@pytest.mark.covers("tables.finer")
def test_finer_checks_are_evaluated_too(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_suite(sandbox, [result("orders"), result("orders", "failed", "amount")])
    known = [
        SuiteTest("orders", "demo", "id"),
        SuiteTest("orders", "demo", "amount"),
        SuiteTest("orders", None, "gone"),
    ]
    checks = build(known_tests=known, granularity="column")
    execute(load(sandbox, checks, assets=TABLES), instance)
    found = {name: evaluated(instance, key("orders", f"testgen__{name}")) for name in ("tests", "id", "amount", "gone")}
    assert {name: [one.passed for one in some] for name, some in found.items()} == {
        "tests": [False],
        "id": [True],
        "amount": [False],
        "gone": [],
    }
    assert rows(suite_metadata(instance), "testgen/not_tested") == [
        {"check": "orders: testgen__gone", "why": "the suite has no result for it"}
    ]


class TestSelection:
    __test__ = True

    @pytest.mark.covers("tables.subset")
    def test_one_run_of_the_suite_reports_only_what_is_selected(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        assert execute(defs, instance, checks=[CUSTOMERS]).success
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
        assert sandbox.starts("testgen") == 1

    def test_table_is_materialized_without_its_checks(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        assert execute(defs, instance, assets=["orders"]).success
        assert sandbox.starts("testgen") == 0


class TestNotTested:
    __test__ = True

    @pytest.mark.covers("tables.no-result")
    def test_table_without_a_result_is_named_and_not_evaluated(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders"), result("customers", "log")])
        ran = execute(load(sandbox, build(), assets=TABLES), instance)
        assert ran.success
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": None}
        [row] = rows(suite_metadata(instance), "testgen/not_tested")
        assert row == {"check": "customers", "why": "its only test just logs"}

    def test_misspelled_table_is_named_with_the_tables_of_the_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders"), result("customers")])
        checks = build_testgen_checks(RUN, tables={"ordrs": "orders", "customers": "customers"}, unmapped="ignore")
        execute(load(sandbox, checks, assets=TABLES), instance)
        [row] = rows(suite_metadata(instance), "testgen/not_tested")
        assert "Its table is ordrs, and the run covers demo.customers, demo.orders" in str(row["why"])

    @pytest.mark.parametrize("more", [result(None, "failed"), "unreadable"])
    def test_result_without_a_table_is_shown_even_if_unmapped_tables_are_ignored(
        self, more: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders")])
        page = {"items": [result("orders"), result("other"), more], "limit": 100, "total": 3}
        sandbox.add_fault(Fault("status", status=200, path="/results", body=page))
        execute(load(sandbox, build(unmapped="ignore"), assets=TABLES), instance)
        [row] = rows(suite_metadata(instance), "testgen/tables_without_checks")
        assert row["table"] == NO_TABLE

    @pytest.mark.covers("tables.case")
    def test_results_of_a_table_that_differs_only_in_case_are_not_those_of_the_asset(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("Orders"), result("orders", "failed"), result("customers")])
        execute(load(sandbox, build(unmapped="warn"), assets=TABLES), instance)
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        [row] = rows(suite_metadata(instance), "testgen/tables_without_checks")
        assert row["table"] == "demo.Orders"
        assert "differ only in case" in str(row["why"])

    @pytest.mark.covers("tables.too-new", "own-tables.too-new")
    def test_table_that_was_materialized_during_the_run_is_not_evaluated(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        with at_pause(sandbox, partial(materialize, instance, "orders"), pause=1):
            assert execute(defs, instance).success
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
        [row] = rows(suite_metadata(instance), "testgen/not_tested")
        assert row == {"check": "orders", "why": STARTED_BEFORE}

    @pytest.mark.covers("tables.run-failed", "own-tables.run-failed")
    def test_run_that_failed_evaluates_nothing(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail", error="no connection"), vendor="testgen")
        ran = execute(defs, instance)
        assert not ran.success
        assert "no connection" in failure(ran)
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}
        assert ledger(instance) == ["starting", "started", "ended"]

    def test_nothing_is_evaluated_if_the_entry_about_the_start_is_lost(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dagster_runs.table_checks.suite_step.start_of", lambda *_: None)
        assert execute(defs, instance).success
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}
        assert "no longer has the entry" in rows(suite_metadata(instance), "testgen/not_tested")[0]["why"]

    @pytest.mark.covers("tables.never-materialized")
    def test_table_that_was_never_materialized_is_evaluated_but_not_for_a_later_materialization(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        assert execute(defs, instance, checks=[CUSTOMERS]).success
        [evaluation] = evaluated(instance, CUSTOMERS)
        assert evaluation.passed
        materialize(instance, "customers")
        assert target_of(evaluation) != materialization_id(instance, "customers")


class TestUnmapped:
    __test__ = True

    @pytest.fixture(autouse=True)
    def _suite(self, sandbox: Sandbox) -> None:
        add_suite(sandbox, [result("orders"), result("products", "failed")])

    @pytest.mark.covers("tables.unmapped", "own-tables.unmapped")
    @pytest.mark.parametrize("unmapped", ["warn", "ignore", "fail"])
    def test_results_of_tables_without_an_asset(
        self, unmapped: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        ran = execute(load(sandbox, build(unmapped=unmapped), assets=TABLES), instance)
        assert outcomes(instance, "orders") == {"orders": True}
        found = rows(suite_metadata(instance), "testgen/tables_without_checks")
        assert found == (
            [] if unmapped == "ignore" else [{"table": "demo.products", "why": "no asset is mapped to it"}]
        )
        assert ran.success is (unmapped != "fail")
        if unmapped == "fail":
            assert "demo.products" in failure(ran)
            assert sandbox.starts("testgen") == 1  # not retried

    def test_table_whose_asset_has_no_check_is_named(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        checks = build(tables=[{"orders": "orders"}, TableKeys.by_convention()])
        execute(load(sandbox, checks, assets=TABLES), instance)
        [row] = rows(suite_metadata(instance), "testgen/tables_without_checks")
        assert row["table"] == "demo.products"
        assert "no check is declared for it" in row["why"]


class TestRetries:
    __test__ = True

    def crashed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> tuple[dg.JobDefinition, str]:
        """Kill the step of the checks while the suite runs. Return its job and its Dagster run."""
        materialize(instance, "orders", "customers")
        job = job_of(defs, checks=[ORDERS, CUSTOMERS])
        with at_pause(sandbox, dies, pause=1):
            ran = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not ran.success
        return job, ran.run_id

    @pytest.mark.covers("tables.retry")
    def test_reexecution_from_failure_attaches(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        job, parent = self.crashed(sandbox, instance, defs)
        assert reexecute(job, instance, parent).success
        assert sandbox.starts("testgen") == 1
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}

    @pytest.mark.covers("tables.retry-newer")
    def test_new_run_follows_an_attached_one_that_has_not_seen_the_newest_data(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        job, parent = self.crashed(sandbox, instance, defs)
        materialize(instance, "orders")
        assert reexecute(job, instance, parent).success
        first, second = sandbox.runs("testgen")
        assert first.ended_at is not None
        assert first.ended_at <= second.created_at  # never a second run beside the first
        [orders] = evaluated(instance, ORDERS)
        assert orders.metadata["dagster_runs/run_id"].value == second.id
        assert target_of(orders) == materialization_id(instance, "orders")

    @pytest.mark.covers("tables.retry-earlier")
    def test_new_run_follows_an_attached_one_that_is_earlier_than_the_latest_result(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        job, parent = self.crashed(sandbox, instance, defs)
        clock.sleep(100)
        set_results(sandbox, [result("orders"), result("customers", "failed")], running_seconds=2)
        execute(defs, instance)
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": "ERROR"}
        assert reexecute(job, instance, parent).success
        assert sandbox.starts("testgen") == 3
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": "ERROR"}

    def test_table_that_is_materialized_while_an_attached_run_is_waited_for_is_not_evaluated(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        job, parent = self.crashed(sandbox, instance, defs)
        materialize(instance, "orders")
        with at_pause(sandbox, partial(materialize, instance, "orders"), pause=4):
            assert reexecute(job, instance, parent).success
        assert outcomes(instance, "customers") == {"customers": True}
        for one in evaluated(instance, ORDERS):
            assert target_of(one) == materialization_id(instance, "orders")

    @pytest.mark.covers("tables.retry")
    def test_retry_policy_attaches(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders")])
        defs = load(sandbox, build(retry_policy=dg.RetryPolicy(max_retries=1)), assets=TABLES)
        with at_pause(sandbox, dies, pause=1):
            assert execute(defs, instance).success
        assert sandbox.starts("testgen") == 1
        assert outcomes(instance, "orders") == {"orders": True}

    def test_lost_response_to_the_start_leads_to_one_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert execute(defs, instance).success
        assert sandbox.starts("testgen") == 1
        assert outcomes(instance, "customers") == {"customers": True}

    @pytest.mark.covers("tables.retry-blocked")
    def test_reexecution_after_a_blocking_check_starts_a_new_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders", "failed")])
        defs = load(sandbox, build(blocking=True), assets=TABLES)
        ran = execute(defs, instance)
        assert not ran.success
        set_results(sandbox, [result("orders")])  # the data was fixed
        assert reexecute(defs.resolve_job_def("all"), instance, ran.run_id).success
        assert sandbox.starts("testgen") == 2
        assert outcomes(instance, "orders") == {"orders": True}

    @pytest.mark.covers("tables.step-failed")
    def test_nothing_is_started_if_the_step_of_a_table_fails(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        @dg.asset(metadata={"dagster/table_name": "demo.customers"})
        def customers() -> None:
            raise ValueError

        add_suite(sandbox, [result("orders"), result("customers")])
        tables = [TABLES[0], customers]
        checks = build_testgen_checks(RUN, tables=TableKeys.from_assets(tables))
        execute(load(sandbox, checks, assets=tables), instance)
        assert sandbox.starts("testgen") == 0
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}

    def test_termination_cancels_the_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(running_seconds=600), vendor="testgen")
        with at_pause(sandbox, partial(terminate, instance), pause=1):
            execute(defs, instance)
        [run] = sandbox.runs("testgen")
        assert run.state == "canceled"
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}

    def test_timeout_leaves_the_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders")], running_seconds=600)
        ran = execute(load(sandbox, build(timeout=5), assets=TABLES), instance)
        assert "did not finish within" in failure(ran)


def test_launch_config_overrides_a_field_of_the_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    config = {"ops": {"testgen_5ab1e000": {"config": {"match_schema_name": "staging"}}}}
    job = job_of(defs, checks=[ORDERS])
    assert job.execute_in_process(instance=instance, run_config=config).success
    [start] = [one for one in sandbox.requests("testgen") if one.method == "POST"]
    assert '"match_schema_name": "staging"' in str(start.body).replace("'", '"')


def test_server_that_cannot_list_results_fails_with_a_hint(
    sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    sandbox.add_fault(Fault("status", path="/results", status=404, body='{"detail":"Not Found"}'))
    assert "TestGen 5.70 or later" in failure(execute(defs, instance))


@pytest.mark.covers("testgen.field.results-total")
def test_all_pages_of_the_results_are_read(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_suite(sandbox, [*[result("orders") for _ in range(250)], result("customers", "failed")])
    assert execute(load(sandbox, build(), assets=TABLES), instance).success
    assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": "ERROR"}
    assert len(list(requests_to(sandbox, "/results"))) == 3


@pytest.mark.covers("testgen.field.suites-latest-run")
def test_tests_of_a_suite_are_listed_from_its_latest_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    resource = resources_at(sandbox.url)["testgen"]
    assert isinstance(resource, TestGenResource)
    assert known_tests(resource, SUITE) == []
    execute(defs, instance)
    listed = known_tests(resource, SUITE)
    assert sorted((test.table, test.schema, test.column) for test in listed) == [
        ("customers", "demo", "id"),
        ("orders", "demo", "amount"),
        ("orders", "demo", "id"),
    ]
    assert all(test.test_id for test in listed)


class TestComparedTables:
    __test__ = True

    COMPARING: ClassVar = {"test_type": "Aggregate_Balance", "match_schema_name": "crm", "match_table_name": "invoices"}

    @pytest.mark.covers("testgen.endpoint.test-definitions-export", "testgen.field.export-definitions")
    def test_other_side_of_a_test_that_compares_two_tables_is_shown(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        rows_of_suite = [result("orders", column="SUM(amount)", **self.COMPARING), result("customers")]
        add_suite(sandbox, rows_of_suite)
        execute(load(sandbox, build(), assets=TABLES), instance)
        [orders], [customers] = evaluated(instance, ORDERS), evaluated(instance, CUSTOMERS)
        assert orders.metadata["testgen/compared_with"].value == "crm.invoices"
        assert "testgen/compared_with" not in customers.metadata
        assert len(list(requests_to(sandbox, "definition-export"))) == 1

    def test_other_side_is_in_the_comparison_schema_of_the_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders", column="SUM(amount)", **self.COMPARING)])
        defs = load(sandbox, build(), assets=TABLES)
        config = {"ops": {"testgen_5ab1e000": {"config": {"match_schema_name": "staging"}}}}
        assert job_of(defs, checks=[ORDERS]).execute_in_process(instance=instance, run_config=config).success
        assert job_of(defs, checks=[ORDERS]).execute_in_process(instance=instance).success
        compared = [one.metadata["testgen/compared_with"].value for one in evaluated(instance, ORDERS)]
        assert compared == ["crm.invoices", "staging.invoices"]

    def test_unavailable_export_costs_only_this(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders", **self.COMPARING)])
        sandbox.add_fault(Fault("status", path="definition-export", status=404, body='{"detail":"Not Found"}'))
        assert execute(load(sandbox, build(), assets=TABLES), instance).success
        [orders] = evaluated(instance, ORDERS)
        assert orders.passed

    def test_suite_without_such_tests_costs_no_call(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        execute(defs, instance)
        assert list(requests_to(sandbox, "definition-export")) == []
