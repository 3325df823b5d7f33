"""A gate on the asset of a suite with checks, which judges each run of the suite."""

from functools import partial
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_runs import (
    QualityGate,
    TableChecks,
    TableKeys,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.table_checks.freshness import STARTED_BEFORE
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import failure
from tests.remote_run.reexecuting import at_pause, dies, reexecute
from tests.table_checks.locations import Location
from tests.table_checks.suites import (
    RUN,
    SUITE,
    SUITE_KEY,
    add_suite,
    evaluated,
    execute,
    job_of,
    key,
    load,
    materialize,
    outcomes,
    result,
    rows,
    set_results,
    suite_metadata,
    table,
)

TABLES = [table("orders"), table("customers")]
SUITE_NAME = SUITE_KEY.to_user_string()
STATUS, TESTS, SCORE = (key(SUITE_NAME, check) for check in ("run_status", "tests_passed", "quality_score"))
GATE = [STATUS, TESTS, SCORE]
STRICT = QualityGate(min_score=0.95, blocking=True)


@dg.asset(deps=[SUITE_KEY], automation_condition=dg.AutomationCondition.all_deps_blocking_checks_passed())
def report() -> None: ...


def build(gate: QualityGate | None = STRICT, **options: Any) -> TableChecks:
    return build_testgen_checks(RUN, tables=TableKeys.from_assets(TABLES), gate=gate, **options)


def of_gate(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The newest evaluation of each check of the suite's own asset: passed, or the severity."""
    newest = {check.name: evaluated(instance, check)[:1] for check in GATE}
    return {name: one.passed or one.severity.value for name, some in newest.items() for one in some}


def newest_run(instance: dg.DagsterInstance) -> int:
    [record] = instance.fetch_materializations(SUITE_KEY, limit=1).records
    return int(record.storage_id)


def target(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> int:
    data = evaluated(instance, check)[0].target_materialization_data
    assert data is not None
    return data.storage_id


class TestInAStep:
    __test__ = True

    @pytest.fixture
    def defs(self, sandbox: Sandbox, clock: SandboxClock) -> dg.Definitions:
        add_suite(sandbox, [result("orders", "failed"), result("customers")], score=0.5)
        return load(sandbox, build(), assets=[*TABLES, report])

    def test_without_a_gate_the_suite_has_no_checks(self) -> None:
        assert build(None).gate_specs == ()

    def test_checks_are_those_of_an_asset_with_the_same_gate(self) -> None:
        asset = build_remote_run_asset(RUN, key=SUITE_KEY, gate=STRICT)
        assert list(build().gate_specs) == list(asset.check_specs)

    @pytest.mark.covers("tables.gate")
    def test_each_run_of_the_suite_is_judged(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        execute(defs, instance)
        assert of_gate(instance) == {"run_status": True, "tests_passed": "ERROR", "quality_score": "ERROR"}
        assert {target(instance, check) for check in GATE} == {newest_run(instance)}
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        assert sandbox.starts("testgen") == 1
        [failing] = rows(evaluated(instance, TESTS)[0].metadata, "failing_tests")
        assert failing["where"] == "orders.id"

    @pytest.mark.covers("tables.gate-blocking")
    def test_blocking_gate_holds_back_what_is_downstream_of_the_suite(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        ran = execute(defs, instance)
        assert not ran.success
        assert [event.step_key for event in ran.all_events if event.is_step_success] == ["customers", "orders"]
        assert dg.evaluate_automation_conditions(defs, instance).total_requested == 0
        set_results(sandbox, [result("orders"), result("customers")], score=1.0)
        again = execute(defs, instance)
        assert again.success
        assert again.events_for_node("report")
        assert dg.evaluate_automation_conditions(defs, instance).total_requested == 1

    @pytest.mark.covers("tables.gate-blocking")
    def test_blocking_checks_of_tables_and_a_blocking_gate_are_one_step(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders"), result("customers")])
        ran = execute(load(sandbox, build(blocking=True), assets=[*TABLES, report]), instance)
        assert ran.success
        assert ran.events_for_node("report")
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("tables.gate-subset")
    @pytest.mark.parametrize(("selected", "of_suite"), [([key("orders")], {}), ([SCORE], {"quality_score": "ERROR"})])
    def test_only_what_is_selected_is_reported(
        self, selected: Any, of_suite: Any, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        execute(defs, instance, checks=selected)
        assert of_gate(instance) == of_suite
        assert outcomes(instance, "orders") == {"orders": None if of_suite else "ERROR"}
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("tables.gate-run-failed")
    def test_run_that_failed_is_not_judged(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail", error="no connection"), vendor="testgen")
        ran = execute(defs, instance)
        assert "no connection" in failure(ran)
        assert of_gate(instance) == {"run_status": "ERROR"}
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}

    @pytest.mark.covers("tables.gate-too-new")
    def test_run_is_judged_although_a_table_is_newer(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        with at_pause(sandbox, partial(materialize, instance, "orders"), pause=1):
            execute(defs, instance)
        assert rows(suite_metadata(instance), "testgen/not_tested") == [{"check": "orders", "why": STARTED_BEFORE}]
        assert of_gate(instance)["tests_passed"] == "ERROR"

    @pytest.mark.covers("tables.gate-retry")
    def test_reexecution_after_a_failed_gate_starts_a_new_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        ran = execute(defs, instance)
        set_results(sandbox, [result("orders"), result("customers")], score=1.0)
        assert reexecute(defs.resolve_job_def("all"), instance, ran.run_id).success
        assert sandbox.starts("testgen") == 2
        assert set(of_gate(instance).values()) == {True}

    @pytest.mark.covers("tables.gate-retry")
    @pytest.mark.parametrize(("selected", "starts"), [(GATE, 1), ([*GATE, key("orders")], 2)])
    def test_only_a_selected_table_that_is_newer_needs_a_new_run(
        self, selected: Any, starts: int, sandbox: Sandbox, instance: dg.DagsterInstance, defs: dg.Definitions
    ) -> None:
        set_results(sandbox, [result("orders"), result("customers")], score=1.0)
        job = job_of(defs, checks=selected)
        with at_pause(sandbox, dies, pause=1):
            killed = job.execute_in_process(instance=instance, raise_on_error=False)
        materialize(instance, "orders", SUITE_NAME)
        assert reexecute(job, instance, killed.run_id).success
        assert sandbox.starts("testgen") == starts


class TestDeferred:
    __test__ = True

    @pytest.fixture
    def location(self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance) -> Location:
        add_suite(sandbox, [result("orders", "failed"), result("customers")], score=0.5)
        checks = build(wait="defer")
        return Location(checks, build_completion_sensor([checks]), sandbox, instance, [*TABLES, report])

    @pytest.mark.covers("tables.gate-deferred")
    def test_completion_sensor_judges_the_run(
        self, location: Location, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        assert location.execute().success
        assert of_gate(instance) == {}
        location.driver.ticks(clock, 4)
        assert of_gate(instance) == {"run_status": True, "tests_passed": "ERROR", "quality_score": "ERROR"}
        assert {target(instance, check) for check in GATE} == {newest_run(instance)}
        assert outcomes(instance, "orders") == {"orders": "ERROR"}
        assert location.completed["dagster_runs/checks_reported"].value == 2
        assert dg.evaluate_automation_conditions(location.driver.definitions, instance).total_requested == 0

    @pytest.mark.covers("tables.gate-deferred")
    @pytest.mark.parametrize("stored", [0, 1, 3, 4, 6])
    def test_lost_tick_reports_nothing_twice(
        self, stored: int, location: Location, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        location.execute()
        clock.sleep(10)
        location.driver.tick()
        location.lose_tick(after=stored)
        location.driver.ticks(clock, 4)
        assert [len(evaluated(instance, check)) for check in [*GATE, key("orders"), key("customers")]] == [1] * 5

    def test_run_is_judged_once_if_its_tables_need_several_ticks(
        self, location: Location, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        location.execute()
        clock.sleep(10)
        location.driver.tick()
        with patch.object(limits, "MAX_TICK_BYTES", limits.MAX_EVENT_BYTES + 1):
            location.driver.tick()
            assert len(of_gate(instance)) == 3
            assert list(outcomes(instance, "orders", "customers").values()).count(None) == 1
            location.driver.ticks(clock, 3)
        assert [len(evaluated(instance, check)) for check in [*GATE, key("orders"), key("customers")]] == [1] * 5

    @pytest.mark.covers("tables.gate-run-failed")
    def test_run_that_failed_is_not_judged(
        self, location: Location, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail"), vendor="testgen")
        location.execute()
        location.driver.ticks(clock, 4)
        assert [run.success for run in location.driver.runs] == [False]
        assert of_gate(instance) == {"run_status": "ERROR"}


class TestObserved:
    __test__ = True

    @pytest.fixture
    def location(self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance) -> Location:
        add_suite(sandbox, [result("orders", "failed"), result("customers")], score=0.5)
        checks = build()
        found = Location(checks, build_observation_sensor([checks]), sandbox, instance, TABLES)
        found.driver.tick()
        return found

    @pytest.mark.covers("tables.gate-observed")
    @pytest.mark.parametrize("lost_after", [None, 2, 4])
    def test_run_of_testgens_schedule_is_judged(
        self,
        lost_after: int | None,
        location: Location,
        sandbox: Sandbox,
        clock: SandboxClock,
        instance: dg.DagsterInstance,
    ) -> None:
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        location.driver.ticks(clock, 2)
        if lost_after is not None:
            location.lose_tick(after=lost_after)
        location.driver.ticks(clock, 4)
        assert of_gate(instance) == {"run_status": True, "tests_passed": "ERROR", "quality_score": "ERROR"}
        assert {target(instance, check) for check in GATE} == {newest_run(instance)}
        assert [len(evaluated(instance, check)) for check in GATE] == [1] * 3

    @pytest.mark.covers("tables.gate-run-failed")
    def test_run_that_failed_is_not_judged(
        self, location: Location, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail"), vendor="testgen")
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        location.driver.ticks(clock, 4)
        assert of_gate(instance) == {"run_status": "ERROR"}
