"""Blocking checks, and a suite that tests a table and its child."""

from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator

from dagster_runs import TableChecks, TableKeys, build_testgen_checks
from dagster_runs.sandbox import Sandbox
from tests.remote_run.materializing import failure, resources_at
from tests.remote_run.reexecuting import reexecute
from tests.table_checks.suites import (
    IS_1_13,
    RUN,
    add_suite,
    evaluated,
    execute,
    key,
    load,
    needs_split_steps,
    outcomes,
    result,
    set_results,
    table,
)

pytestmark = pytest.mark.usefixtures("clock")


def build(*tables: Any, **options: Any) -> TableChecks:
    return build_testgen_checks(RUN, tables=TableKeys.from_assets(tables), **options)


def succeeded(ran: dg.ExecuteInProcessResult) -> set[str]:
    return {event.step_key for event in ran.all_events if event.is_step_success and event.step_key}


class TestInOneDagsterRun:
    __test__ = True

    ORDERS, CUSTOMERS, CHILD = table("orders"), table("customers"), table("report", "customers")

    def run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, status: str, **options: Any
    ) -> dg.ExecuteInProcessResult:
        add_suite(sandbox, [result("orders", status), result("customers")])
        checks = build(self.ORDERS, self.CUSTOMERS, **options)
        return execute(load(sandbox, checks, assets=[self.ORDERS, self.CUSTOMERS, self.CHILD]), instance)

    @pytest.mark.covers("tables.blocking")
    def test_failed_check_of_one_table_holds_back_what_is_downstream_of_all(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        ran = self.run(sandbox, instance, "failed", blocking=True)
        assert not ran.success
        assert "report" not in succeeded(ran)
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}

    @pytest.mark.covers("tables.not-blocking")
    @pytest.mark.parametrize(("status", "options"), [("failed", {}), ("warning", {"blocking": True})])
    def test_warning_or_a_check_that_does_not_block_holds_back_nothing(
        self, status: str, options: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        ran = self.run(sandbox, instance, status, **options)
        assert ran.success
        assert "report" in succeeded(ran)

    def test_check_of_a_table_that_does_not_block_holds_back_nothing(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        assert self.run(sandbox, instance, "failed", blocking_tables=["customers"]).success

    @pytest.mark.covers("tables.not-blocking")
    def test_table_without_a_result_holds_back_nothing(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders")])
        checks = build(self.ORDERS, self.CUSTOMERS, blocking=True)
        ran = execute(load(sandbox, checks, assets=[self.ORDERS, self.CUSTOMERS, self.CHILD]), instance)
        assert ("report" in succeeded(ran)) is IS_1_13  # before, what depends on a check without an output is skipped
        assert outcomes(instance, "customers") == {"customers": None}


class TestTableAndItsChild:
    __test__ = True

    PARENT, CHILD = table("orders"), table("customers", "orders")

    @pytest.mark.covers("tables.child")
    def test_is_tested_by_one_run_after_both(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders"), result("customers")])
        execute(load(sandbox, build(self.PARENT, self.CHILD), assets=[self.PARENT, self.CHILD]), instance)
        assert sandbox.starts("testgen") == 1
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": True}

    @pytest.mark.covers("tables.child-blocking")
    def test_blocking_is_refused_when_it_is_known_from_the_assets(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="orders cannot block: it is upstream of customers"):
            build(self.PARENT, self.CHILD, blocking=True)
        build(self.PARENT, self.CHILD, blocking_tables=["customers"])

    @pytest.mark.covers("tables.child-blocking", "own-tables.cannot-block")
    def test_blocking_is_refused_by_the_first_step_otherwise(self, instance: dg.DagsterInstance) -> None:
        location = ReconstructableRepository.for_module("tests.table_checks.blocking_location", "defs")
        job = location.get_reconstructable_job("checks")
        run = instance.create_run_for_job(job.get_definition())
        events = execute_run_iterator(job, run, instance)
        [failed] = [event for event in events if event.is_step_failure]
        error = failed.step_failure_data.user_failure_data
        assert error is not None
        assert error.description is not None
        assert "orders cannot block: it is upstream of customers" in error.description
        assert error.description.endswith("Nothing was started.")

    def test_blocking_checks_can_be_executed_alone(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders")])
        defs = load(sandbox, build(self.PARENT, blocking=True), assets=[self.PARENT, self.CHILD])
        assert execute(defs, instance, checks=[key("orders")]).success

    @pytest.fixture
    def split(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
        """Checks that Dagster splits into two steps. The refusal is switched off: the results must be right anyway."""
        monkeypatch.setattr("dagster_runs.table_checks.builder.refuse_in_step", lambda *_: None)
        monkeypatch.setattr("dagster_runs.table_checks.builder.upstream_problem", lambda *_: None)
        add_suite(sandbox, [result("orders"), result("customers")])
        return load(sandbox, build(self.PARENT, self.CHILD, blocking=True), assets=[self.PARENT, self.CHILD])

    @needs_split_steps
    @pytest.mark.covers("tables.child-split")
    def test_each_of_two_steps_has_a_run_of_its_own(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, split: dg.Definitions
    ) -> None:
        ran = execute(split, instance)
        assert ran.success
        assert {one for one in succeeded(ran) if one.startswith("testgen")} == {
            "testgen_5ab1e000",
            "testgen_5ab1e000_2",
        }
        assert sandbox.starts("testgen") == 2
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": True}

    @needs_split_steps
    def test_child_is_judged_by_the_run_that_has_seen_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, split: dg.Definitions
    ) -> None:
        set_results(sandbox, [result("orders"), result("customers")])
        ran = execute(split, instance)
        first, second = (run.id for run in sandbox.runs("testgen"))
        [orders], [customers] = evaluated(instance, key("orders")), evaluated(instance, key("customers"))
        assert orders.metadata["dagster_runs/run_id"].value == first
        assert customers.metadata["dagster_runs/run_id"].value == second
        assert ran.success

    @needs_split_steps
    @pytest.mark.covers("tables.child-split")
    def test_reexecution_of_the_second_step_does_not_attach_to_the_first_ones_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, split: dg.Definitions
    ) -> None:
        set_results(sandbox, [result("orders"), result("customers", "failed")])
        ran = execute(split, instance)
        assert not ran.success
        set_results(sandbox, [result("orders"), result("customers")])
        [failed] = [event.step_key for event in ran.all_events if event.is_step_failure]
        again = reexecute(split.resolve_job_def("all"), instance, ran.run_id, steps=[str(failed)])
        assert again.success
        assert sandbox.starts("testgen") == 3
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": True}


class TestOtherCodeLocation:
    __test__ = True

    CHECKS: ClassVar = {"orders": "orders"}

    @pytest.mark.covers("tables.other-location")
    def test_checks_of_assets_of_another_location_are_executed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders", "failed")])
        defs = load(sandbox, build_testgen_checks(RUN, tables=self.CHECKS))
        assert execute(defs, instance, checks=[key("orders")]).success
        assert outcomes(instance, "orders") == {"orders": "ERROR"}

    @pytest.mark.covers("tables.other-location-blocking")
    def test_blocking_is_refused_when_the_code_location_is_loaded(self) -> None:
        checks = build_testgen_checks(RUN, tables={"orders": "orders", "customers": "crm"}, blocking=True)
        own = dg.Definitions(assets=[table("orders")], resources=resources_at("http://127.0.0.1:9"))
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="crm cannot block: this code location"):
            checks.merged_with(own)
        both = dg.Definitions.merge(own, dg.Definitions(assets=[dg.AssetSpec("crm")]))
        merged = checks.merged_with(both).resolve_asset_graph()
        assert merged.asset_check_keys == {key("orders"), key("crm")}

    def test_lineage_is_known_when_the_code_location_is_loaded(self) -> None:
        tables = [table("orders"), table("between", "orders"), table("crm", "between")]
        checks = build_testgen_checks(RUN, tables={"orders": "orders", "customers": "crm"}, blocking=True)
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="orders cannot block: it is upstream of crm"):
            checks.merged_with(dg.Definitions(assets=tables))

    @pytest.mark.covers("tables.other-location-blocking", "own-tables.cannot-block")
    def test_blocking_is_refused_by_the_first_step(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        add_suite(sandbox, [result("orders")])
        defs = load(sandbox, build_testgen_checks(RUN, tables=self.CHECKS, blocking=True))
        why = failure(execute(defs, instance, checks=[key("orders")]))
        assert "this code location does not define these assets" in why
        assert sandbox.starts("testgen") == 0
