"""Profiling runs that no step waits for: deferred ones, and those that TestGen's own schedule starts."""

import time
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_runs import (
    TableChecks,
    TableKeys,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_profile,
)
from dagster_runs.sandbox import Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import resources_at
from tests.sensors.driving import DaemonKilled, Driver
from tests.table_checks.profiles import GROUP, PROFILE_KEY, RUN, add_group, column, issue, key, observations, outcomes
from tests.table_checks.suites import evaluated, materialize, table

TABLES = [table("orders"), table("customers")]
CHECKS = [key("orders"), key("customers")]
COLUMNS = [column("orders", rows=8_640), column("customers", rows=240)]


def build(wait: str = "poll") -> TableChecks:
    return build_testgen_profile(RUN, tables=TableKeys.from_assets(TABLES), wait=wait)  # type: ignore[arg-type]


def driver_of(
    profile: TableChecks, sensor: dg.SensorDefinition, sandbox: Sandbox, instance: dg.DagsterInstance
) -> Driver:
    driver = Driver(sensor, [], sandbox, instance)
    own = dg.Definitions(
        assets=TABLES,
        jobs=[dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*CHECKS))],
        sensors=[sensor],
        resources=resources_at(sandbox.url),
        executor=dg.in_process_executor,
    )
    driver.definitions = dg.Definitions.merge(own, profile.definitions())
    return driver


def row_counts(instance: dg.DagsterInstance) -> dict[str, list[object]]:
    return {
        name: [one.metadata["dagster/row_count"].value for one in observations(instance, name)]
        for name in ("orders", "customers")
    }


@pytest.mark.covers("tables.profile-deferred")
def test_completion_sensor_reports_all_tables(
    sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    add_group(sandbox, COLUMNS, [issue("orders")])
    profile = build("defer")
    driver = driver_of(profile, build_completion_sensor([profile]), sandbox, instance)
    materialize(instance, "orders", "customers")
    job = driver.definitions.resolve_job_def("checks")
    assert job.execute_in_process(instance=instance).success
    assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": None}
    driver.ticks(clock, 6)
    assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
    assert row_counts(instance) == {"orders": [8_640], "customers": [240]}
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("tables.profile-lost-tick")
@pytest.mark.parametrize("stored", [1, 2, 3])
def test_lost_tick_of_the_completion_sensor_loses_no_observation(
    stored: int, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    add_group(sandbox, COLUMNS, [issue("orders")])
    profile = build("defer")
    driver = driver_of(profile, build_completion_sensor([profile]), sandbox, instance)
    materialize(instance, "orders", "customers")
    driver.definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    while not instance.fetch_materializations(PROFILE_KEY, limit=1).records:
        driver.ticks(clock, 1)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=stored)
    driver.ticks(clock, 4)
    assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]
    assert row_counts(instance) == {"orders": [8_640], "customers": [240]}


class TestObserved:
    __test__ = True

    @pytest.fixture
    def driver(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> Driver:
        """Without a clock that runs faster: the times of materializations are compared with the vendor's."""
        add_group(sandbox, COLUMNS, [issue("orders")], running_seconds=0.1)
        profile = build()
        driver = driver_of(profile, build_observation_sensor([profile]), sandbox, instance)
        driver.tick()
        with patch("time.time", return_value=time.time() - 10):
            materialize(instance, "orders", "customers")
        return driver

    def run_profiling(self, sandbox: Sandbox) -> None:
        sandbox.start_run(GROUP, vendor="testgen", kind="run-profile")
        time.sleep(0.3)

    @pytest.mark.covers("tables.profile-observed")
    def test_run_of_testgens_schedule_is_reported(
        self, driver: Driver, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.run_profiling(sandbox)
        for _ in range(4):
            driver.tick()
        assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
        assert row_counts(instance) == {"orders": [8_640], "customers": [240]}
        assert len(instance.fetch_materializations(PROFILE_KEY, limit=10).records) == 1

    def test_results_are_read_once(self, driver: Driver, sandbox: Sandbox) -> None:
        self.run_profiling(sandbox)
        for _ in range(4):
            driver.tick()
        assert len([one for one in sandbox.requests("testgen") if "/columns" in one.path]) == 1

    def test_tables_that_do_not_fit_into_a_tick_follow_in_the_next_ones(
        self, driver: Driver, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.run_profiling(sandbox)
        driver.tick()
        room_for_one = limits.MAX_EVENT_BYTES + 1
        with patch.object(limits, "MAX_TICK_BYTES", room_for_one):
            driver.tick()
            assert sum(map(len, row_counts(instance).values())) == 1
            for _ in range(3):
                driver.tick()
        assert row_counts(instance) == {"orders": [8_640], "customers": [240]}
        assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]

    @pytest.mark.covers("tables.profile-lost-tick")
    def test_lost_ticks_lose_no_observation_and_report_nothing_twice(
        self, driver: Driver, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        self.run_profiling(sandbox)
        for lost_after in (1, 1, 3):
            with pytest.raises(DaemonKilled):
                driver.tick(lost_after=lost_after)
        for _ in range(3):
            driver.tick()
        assert [len(evaluated(instance, check)) for check in CHECKS] == [1, 1]
        assert row_counts(instance) == {"orders": [8_640], "customers": [240]}

    def test_asset_and_profile_of_one_table_group_are_not_both_observed(self) -> None:
        quality = build_remote_run_asset(RUN, key="quality")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="cannot both be observed"):
            build_observation_sensor([quality, build()])
