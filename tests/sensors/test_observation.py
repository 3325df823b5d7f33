"""External runs: each is polled until it finishes, and reported once. Runs that Dagster started are left out."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    QualityGate,
    TestGenResource,
    TestGenTestRun,
    build_observation_sensor,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.sensors.observation.cursor import ResourceCursor
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILES, PROFILING, TESTS, materialize
from tests.sensors.driving import (
    DaemonKilled,
    Driver,
    deferred,
    evaluations,
    materializations,
    observed_failures,
    observing,
    reported,
)
from tests.vendors.prophecy_runs import pipeline

pytestmark = pytest.mark.usefixtures("clock")


def suite(key: str = "it", run: Any = TESTS, **options: Any) -> dg.AssetsDefinition:
    return build_remote_run_asset(run, key=key, **options)


@pytest.mark.covers("testgen.endpoint.list", "observe.run-ends")
def test_successful_external_run_is_reported_as_a_materialization_with_checks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite(gate=QualityGate(min_score=0.5))], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]
    shown = materializations(instance, "it")[0].asset_materialization.metadata
    assert shown["dagster_runs/observed"].value is True
    assert "testgen/score" in shown
    assert evaluations(instance, "it") == {
        "run_status": (True, 1),
        "tests_passed": (True, 1),
        "quality_score": (True, 1),
    }


@pytest.mark.covers("observe.run-ends")
def test_failed_external_run_is_reported_as_an_observation_and_a_failed_check(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    driver = observing([suite()], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []
    assert observed_failures(instance, "it") == [run.id]
    assert evaluations(instance, "it") == {"run_status": (False, 1)}


@pytest.mark.covers("observe.earlier")
@pytest.mark.parametrize("outcome", ["succeed", "fail"])
def test_run_that_ended_before_the_newest_reported_one_is_only_an_observation(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, outcome: Any
) -> None:
    asset = suite()
    driver = observing([asset], sandbox, instance)
    sandbox.set_behavior(TESTS.target, [Behavior(outcome=outcome), Behavior(counts={"failed": 3})])
    earlier = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(60)
    materialize([asset], sandbox, instance)  # before the sensor's next tick
    before, checks = reported(instance, "it"), evaluations(instance, "it")
    driver.ticks(clock, 6, every=60)
    assert (reported(instance, "it"), evaluations(instance, "it")) == (before, checks)
    assert observed_failures(instance, "it") == [earlier.id]


@pytest.mark.parametrize("wait", ["poll", "defer"])
def test_runs_that_dagster_started_are_not_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, wait: Any
) -> None:
    asset = suite(wait=wait)
    driver = observing([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    before = len(reported(instance, "it"))
    driver.ticks(clock, 6, every=60)
    assert len(reported(instance, "it")) == before
    assert observed_failures(instance, "it") == []


def test_runs_that_another_asset_started_are_not_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    materialize([suite(key="other")], sandbox, instance)
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []


def test_runs_of_unobserved_targets_are_not_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    sandbox.start_run(well_known.SUITE_ORDERS, source="ui")
    sandbox.start_run(PROFILING.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []
    assert "No new run to report" in str(driver.skipped[-1])


def test_runs_from_before_the_first_tick_are_not_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(3600)
    driver = observing([suite()], sandbox, instance)
    driver.ticks(clock, 3, every=60)
    assert reported(instance, "it") == []


def test_profiling_runs_and_test_runs_are_reported_for_their_own_assets(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite(), suite(key="profile", run=PROFILING)], sandbox, instance)
    tests, profile = sandbox.start_run(TESTS.target, source="ui"), sandbox.start_run(PROFILING.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert (reported(instance, "it"), reported(instance, "profile")) == ([tests.id], [profile.id])


def test_run_that_takes_days_is_reported_when_it_finishes(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=100_000), Behavior(running_seconds=10)])
    driver = observing([suite()], sandbox, instance)
    long, short = sandbox.start_run(TESTS.target, source="ui"), sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=3600)
    assert reported(instance, "it") == [short.id]
    driver.ticks(clock, 30, every=3600)
    assert reported(instance, "it") == [short.id, long.id]


@pytest.mark.parametrize("stored", range(5))
def test_external_runs_are_reported_exactly_once_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int
) -> None:
    asset = suite()
    driver = observing([asset], sandbox, instance)
    first = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(300)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=stored)
    driver.sensor = build_observation_sensor([asset])
    second = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [first.id, second.id]


def test_run_started_during_an_outage_is_reported_afterwards(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    sandbox.add_fault(Fault("status", path="^/testgen/", status=503, times=100_000))
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 3, every=3600)
    assert "503" in str(driver.skipped[-1])
    sandbox.clear_faults()
    driver.ticks(clock, 2, every=60)
    assert reported(instance, "it") == [run.id]


def test_run_is_not_reported_while_the_outcome_of_a_start_is_unknown(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite()
    driver = observing([asset], sandbox, instance)
    sandbox.add_fault(Fault("lost_response", method="POST", path="/test-runs", times=1))
    sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=401, times=100))
    materialize([asset], sandbox, instance)  # the outcome of the start is unknown
    sandbox.clear_faults()
    driver.ticks(clock, 3, every=60)
    assert reported(instance, "it") == []
    driver.ticks(clock, 20, every=60)
    assert reported(instance, "it") == [sandbox.runs()[0].id]


class TestAmperity:
    def workflow(self, **fields: Any) -> dg.AssetsDefinition:
        run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS, **fields)
        return build_remote_run_asset(run, key="ingest")

    @pytest.mark.covers("amperity.endpoint.list", "amperity.field.name")
    def test_workflows_are_matched_by_name(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.configure("amperity", requests_per_second=None)
        probe = sandbox.start_run(well_known.AMPERITY_COURIERS, source="schedule")
        resources = sandbox_resources(sandbox.url, requests_per_second=None)  # the rate limit uses real time
        amperity = resources["amperity"]
        assert isinstance(amperity, AmperityResource)
        name = amperity.get_workflow(probe.id, verbose=False).name
        clock.sleep(3600)
        driver = observing([self.workflow(workflow_name=name)], sandbox, instance, resources=resources)
        run = sandbox.start_run(well_known.AMPERITY_COURIERS, source="schedule")
        sandbox.start_run(well_known.AMPERITY_ORCHESTRATION, source="schedule")
        driver.ticks(clock, 8, every=60)
        assert reported(instance, "ingest") == [run.id]
        assert "tasks_succeeded" in evaluations(instance, "ingest")

    @pytest.mark.covers("amperity.field.name")
    def test_workflows_without_a_name_cannot_be_observed(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="set workflow_name on the run"):
            build_observation_sensor([self.workflow()])


class TestObservationIsRefused:
    @pytest.mark.parametrize("run", [PROFILES, pipeline()], ids=["RudderStack", "Prophecy"])
    def test_for_vendors_without_a_list_of_runs(self, run: Any) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="offers no way to list"):
            build_observation_sensor([suite(run=run)])

    def test_for_partitioned_assets(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it has partitions"):
            build_observation_sensor([suite(partitions_def=dg.StaticPartitionsDefinition(["x"]))])

    def test_for_runs_created_by_a_function(self) -> None:
        def chosen(context: dg.AssetExecutionContext) -> TestGenTestRun:
            return TESTS

        with pytest.raises(dg.DagsterInvalidDefinitionError, match="created by a function"):
            build_observation_sensor([suite(run=chosen)])

    def test_for_assets_from_other_builders(self) -> None:
        @dg.asset
        def plain() -> None: ...

        for other in (plain, dg.AssetSpec("external"), "it"):
            with pytest.raises(dg.DagsterInvalidDefinitionError, match="is not an asset from build_remote_run_asset"):
                build_observation_sensor([other])

    def test_for_no_assets_and_for_duplicate_assets(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="assets is empty"):
            build_observation_sensor([])
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it is given twice"):
            build_observation_sensor([suite(), suite(gate=QualityGate())])

    def test_for_a_resource_without_a_project(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        settings = {"testgen": TestGenResource(base_url=f"{sandbox.url}/testgen", access_token="t")}
        driver = Driver(build_observation_sensor([suite()]), [suite()], sandbox, instance, resources=settings)
        with pytest.raises(dg.DagsterInvariantViolationError, match="needs its project_code"):
            driver.tick()


def test_follow_up_job_runs_once_for_each_observed_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    @dg.asset
    def downstream() -> None: ...

    job = dg.define_asset_job("refresh", selection=[downstream])
    asset = suite()
    driver = Driver(build_observation_sensor([asset], job=job), [asset, downstream], sandbox, instance, jobs=[job])
    driver.tick()
    for _ in range(2):
        sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 5, every=60)
    assert [run.dagster_run.job_name for run in driver.runs] == ["refresh", "refresh"]


def test_deferred_asset_can_be_observed(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
@pytest.mark.parametrize("stored", range(1, 8))
def test_all_assets_of_a_run_are_reported_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int, outcome: Any
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome=outcome))
    asset = build_remote_run_asset(TESTS, specs=[dg.AssetSpec("a"), dg.AssetSpec("b")])
    driver = observing([asset], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(300)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=stored)
    driver.ticks(clock, 2, every=60)
    reported_ids = reported if outcome == "succeed" else observed_failures
    assert reported_ids(instance, "a") == reported_ids(instance, "b") == [run.id]


def test_run_that_never_shows_its_target_is_eventually_dropped(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10))
    driver = observing([suite()], sandbox, instance)
    sandbox.add_fault(
        Fault("wrong_type", method="GET", path="/test-runs/[^/]*$", field="test_suite_id", value=None, times=2)
    )
    sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 2, every=60)
    assert "1 pending" in str(driver.skipped[-1])
    sandbox.add_fault(
        Fault("wrong_type", method="GET", path="/test-runs/[^/]*$", field="test_suite_id", value=None, times=100_000)
    )
    driver.ticks(clock, 2, every=4000)
    assert "No new run to report" in str(driver.skipped[-1])


def test_runs_with_missing_records_do_not_delay_other_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    for run in [sandbox.start_run(TESTS.target, source="ui") for _ in range(4)]:
        sandbox.add_fault(Fault("status", method="GET", path=f"/test-runs/{run.id}", status=404, times=100_000))
    clock.sleep(1)
    healthy_run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [healthy_run.id]


def test_listed_run_without_creation_time_is_added_only_once() -> None:
    cursor = ResourceCursor(listed_until=10_000.0)
    for now in (10_000.0, 20_000.0, 30_000.0):
        cursor.add("run", now)
        if "run" in cursor.pending:
            assert now == 10_000.0
            cursor.finish("run")
        cursor.mark_listed(now, {"run"})
    cursor.mark_listed(40_000.0, set())
    assert not cursor.processed
