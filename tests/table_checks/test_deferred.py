"""Checks of runs that no step waits for: deferred ones, and those that TestGen's own schedule starts."""

import time
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_runs import (
    TableChecks,
    TableKeys,
    build_cancel_job,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.table_checks.freshness import STARTED_BEFORE
from dagster_runs.table_checks.table_report import LATER_RUN
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import failure, resources_at
from tests.sensors.driving import DaemonKilled
from tests.table_checks.locations import Location
from tests.table_checks.suites import (
    RUN,
    SUITE,
    SUITE_KEY,
    add_suite,
    evaluated,
    execute,
    key,
    materialization_id,
    materialize,
    outcomes,
    result,
    rows,
    set_results,
    table,
)

TABLES = [table("orders"), table("customers")]
CHECKS = [key("orders"), key("customers")]


def build(**options: Any) -> TableChecks:
    return build_testgen_checks(RUN, tables=TableKeys.from_assets(TABLES), **options)


class TestDeferred:
    __test__ = True

    @pytest.fixture
    def location(self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance) -> Location:
        add_suite(sandbox, [result("orders", "failed"), result("customers")])
        checks = build(wait="defer")
        return Location(checks, build_completion_sensor([checks]), sandbox, instance, TABLES)

    @pytest.mark.covers("tables.deferred")
    def test_step_ends_and_the_sensor_reports_the_checks(
        self, location: Location, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        materialize(instance, "orders", "customers")
        assert location.execute().success
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}
        location.driver.ticks(clock, 4)
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        [orders] = evaluated(instance, CHECKS[0])
        assert orders.target_materialization_data is not None
        assert orders.target_materialization_data.storage_id == materialization_id(instance, "orders")
        assert location.completed["dagster_runs/checks_reported"].value == 2
        assert sandbox.starts("testgen") == 1
        location.driver.ticks(clock, 3)
        assert len(evaluated(instance, CHECKS[0])) == 1

    @pytest.mark.covers("tables.deferred-too-new")
    def test_table_that_was_materialized_since_the_start_is_not_evaluated(
        self, location: Location, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        materialize(instance, "orders", "customers")
        location.execute()
        materialize(instance, "orders")
        location.driver.ticks(clock, 4)
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
        assert rows(location.completed, "testgen/not_tested") == [{"check": "orders", "why": STARTED_BEFORE}]

    @pytest.mark.covers("tables.deferred-lost-tick")
    @pytest.mark.parametrize("stored", [0, 1, 2])
    def test_lost_tick_reports_nothing_twice(
        self, stored: int, location: Location, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        materialize(instance, "orders", "customers")
        location.execute()
        clock.sleep(10)
        location.driver.tick()
        with pytest.raises(DaemonKilled):
            location.driver.tick(lost_after=stored)
        location.driver.ticks(clock, 4)
        assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]
        assert location.completed["dagster_runs/checks_reported"].value == 2

    @pytest.mark.covers("tables.deferred-failed")
    def test_run_that_fails_is_reported_by_a_dagster_run_that_fails(
        self, location: Location, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail", error="no connection"), vendor="testgen")
        location.execute()
        location.driver.ticks(clock, 4)
        [reporting] = location.driver.runs
        assert "no connection" in failure(reporting)
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("tables.deferred-failed")
    def test_dagster_run_that_reports_a_failure_materializes_no_tables(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders")], outcome="fail")
        everything = dg.define_asset_job("everything", selection=dg.AssetSelection.assets("orders", "customers"))
        checks = build(wait="defer")
        location = Location(
            checks, build_completion_sensor([checks], jobs=[everything]), sandbox, instance, TABLES, everything
        )
        job = location.driver.definitions.resolve_job_def("everything")
        assert job.execute_in_process(instance=instance).success
        before = materialization_id(instance, "orders")
        location.driver.ticks(clock, 4)
        [reporting] = location.driver.runs
        assert not reporting.success
        assert reporting.dagster_run.job_name == "everything"
        assert materialization_id(instance, "orders") == before

    @pytest.mark.covers("tables.deferred-blocking")
    def test_blocking_check_holds_back_nothing_in_the_same_dagster_run(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
    ) -> None:
        add_suite(sandbox, [result("orders", "failed")])
        checks = build(wait="defer", blocking=True)
        location = Location(checks, build_completion_sensor([checks]), sandbox, instance, TABLES)
        assert location.execute().success
        assert "its blocking checks hold back nothing in this Dagster run" in capfd.readouterr().err
        location.driver.ticks(clock, 4)
        [orders] = evaluated(instance, CHECKS[0])
        assert orders.blocking
        assert not orders.passed

    @pytest.mark.covers("tables.deferred-canceled")
    def test_cancel_job_cancels_the_run(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        add_suite(sandbox, [result("orders")], running_seconds=600)
        checks = build(wait="defer")
        location = Location(checks, build_completion_sensor([checks]), sandbox, instance, TABLES)
        location.execute()
        cancel = build_cancel_job([checks])
        config = {"ops": {f"{cancel.name}_op": {"config": {"asset": SUITE_KEY.to_user_string()}}}}
        resources = resources_at(sandbox.url)
        assert cancel.execute_in_process(run_config=config, instance=instance, resources=resources).success
        [run] = sandbox.runs("testgen")
        assert run.state == "canceled"
        location.driver.ticks(clock, 4)
        assert location.driver.runs == []
        assert outcomes(instance, "orders") == {"orders": None}

    @pytest.mark.covers("tables.deferred-queued")
    def test_request_is_queued_while_a_run_is_in_flight(
        self, location: Location, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        materialize(instance, "orders", "customers")
        location.execute()
        materialize(instance, "orders")
        assert location.execute().success
        assert sandbox.starts("testgen") == 1
        set_results(sandbox, [result("orders"), result("customers")])
        location.driver.ticks(clock, 10)
        assert sandbox.starts("testgen") == 2
        assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": True}


class TestObserved:
    __test__ = True

    @pytest.fixture
    def location(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> Location:
        """Without a clock that runs faster: the times of materializations are compared with the vendor's."""
        add_suite(sandbox, [result("orders", "failed"), result("customers")], running_seconds=0.1)
        checks = build()
        found = Location(checks, build_observation_sensor([checks]), sandbox, instance, TABLES)
        found.driver.tick()
        return found

    def observe(self, location: Location, sandbox: Sandbox) -> None:
        """Run the suite as TestGen's schedule does, and report the run."""
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        time.sleep(0.3)
        for _ in range(3):
            location.driver.tick()

    def materialize_before(self, instance: dg.DagsterInstance, *names: str) -> None:
        """Report materializations of ten seconds ago."""
        with patch("time.time", return_value=time.time() - 10):
            materialize(instance, *names)

    @pytest.mark.covers("tables.observed")
    def test_run_of_testgens_schedule_is_reported_as_checks_of_the_tables(
        self, location: Location, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.materialize_before(instance, "orders", "customers")
        self.observe(location, sandbox)
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        [orders] = evaluated(instance, CHECKS[0])
        assert orders.target_materialization_data is not None
        assert orders.target_materialization_data.storage_id == materialization_id(instance, "orders")
        assert location.completed["dagster_runs/checks_reported"].value == 2

    @pytest.mark.covers("tables.observed-too-new")
    def test_table_that_was_materialized_around_the_start_is_not_evaluated(
        self, location: Location, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.materialize_before(instance, "customers")
        materialize(instance, "orders")  # less than 5 s before the start: the clocks may differ by as much
        self.observe(location, sandbox)
        assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
        assert rows(location.completed, "testgen/not_tested") == [{"check": "orders", "why": STARTED_BEFORE}]

    def test_results_are_read_once(self, location: Location, sandbox: Sandbox) -> None:
        self.observe(location, sandbox)
        assert len([one for one in sandbox.requests("testgen") if "/results" in one.path]) == 1

    def test_lost_ticks_report_nothing_twice(
        self, location: Location, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.materialize_before(instance, "orders", "customers")
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        time.sleep(0.3)
        for lost_after in (1, 1, 3):
            with pytest.raises(DaemonKilled):
                location.driver.tick(lost_after=lost_after)
        for _ in range(3):
            location.driver.tick()
        assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]

    @pytest.mark.covers("tables.earlier-run")
    @pytest.mark.usefixtures("clock")
    def test_earlier_run_that_is_reported_late_does_not_replace_a_later_result(
        self, location: Location, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        set_results(sandbox, [result("orders"), result("customers")], running_seconds=0.1)
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        time.sleep(0.4)
        set_results(sandbox, [result("orders", "failed"), result("customers")], running_seconds=0.1)
        execute(location.driver.definitions, instance, checks=CHECKS[:1])
        for _ in range(4):
            location.driver.tick()
        # The later run was only about the orders.
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        assert rows(location.completed, "testgen/not_tested") == [{"check": "orders: testgen__tests", "why": LATER_RUN}]

    @pytest.mark.covers("tables.observed-own")
    @pytest.mark.usefixtures("clock")
    def test_run_that_dagster_started_is_not_reported_again(
        self, location: Location, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        assert location.execute().success
        for _ in range(3):
            location.driver.tick()
        assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]

    def test_asset_and_checks_of_one_suite_are_not_both_observed(self) -> None:
        quality = build_remote_run_asset(RUN, key="quality")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="cannot both be observed"):
            build_observation_sensor([quality, build()])
