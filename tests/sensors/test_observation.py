"""Runs that others start: seen to their end, told once, ours left out."""

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
    Driver,
    Lost,
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
def test_a_strangers_success_is_a_materialization_with_checks(
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
def test_a_strangers_failure_is_an_observation_and_a_failed_check(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    driver = observing([suite()], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []
    assert observed_failures(instance, "it") == [run.id]
    assert evaluations(instance, "it") == {"run_status": (False, 1)}


@pytest.mark.parametrize("wait", ["poll", "defer"])
def test_ours_are_left_out(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, wait: Any) -> None:
    asset = suite(wait=wait)
    driver = observing([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    before = len(reported(instance, "it"))
    driver.ticks(clock, 6, every=60)
    assert len(reported(instance, "it")) == before
    assert observed_failures(instance, "it") == []


def test_runs_of_the_same_suite_by_another_asset_of_ours_are_left_out(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    materialize([suite(key="other")], sandbox, instance)
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []


def test_of_what_nobody_watches_nothing_is_told(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    sandbox.start_run(well_known.SUITE_ORDERS, source="ui")
    sandbox.start_run(PROFILING.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []
    assert "0 pending" in str(driver.skipped[-1])


def test_what_was_made_before_the_first_tick_is_not_told(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(3600)
    driver = observing([suite()], sandbox, instance)
    driver.ticks(clock, 3, every=60)
    assert reported(instance, "it") == []


def test_profiling_and_tests_are_told_apart(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite(), suite(key="profile", run=PROFILING)], sandbox, instance)
    tests, profile = sandbox.start_run(TESTS.target, source="ui"), sandbox.start_run(PROFILING.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert (reported(instance, "it"), reported(instance, "profile")) == ([tests.id], [profile.id])


def test_a_run_that_takes_days_is_told_at_its_end(
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
def test_a_lost_tick_loses_nothing_and_tells_nothing_twice(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int
) -> None:
    asset = suite()
    driver = observing([asset], sandbox, instance)
    first = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(300)
    with pytest.raises(Lost):
        driver.tick(lost_after=stored)
    driver.sensor = build_observation_sensor([asset])
    second = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [first.id, second.id]


def test_an_outage_loses_nothing(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    driver = observing([suite()], sandbox, instance)
    sandbox.add_fault(Fault("status", path="^/testgen/", status=503, times=100_000))
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 3, every=3600)
    assert "503" in str(driver.skipped[-1])
    sandbox.clear_faults()
    driver.ticks(clock, 2, every=60)
    assert reported(instance, "it") == [run.id]


def test_while_a_start_of_ours_is_uncertain_a_run_is_nobodys_yet(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite()
    driver = observing([asset], sandbox, instance)
    sandbox.add_fault(Fault("lost_response", method="POST", path="/test-runs", times=1))
    sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=401, times=100))
    materialize([asset], sandbox, instance)  # nobody can tell what it began
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
    def test_workflows_are_known_by_their_name(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.configure("amperity", requests_per_second=None)
        probe = sandbox.start_run(well_known.AMPERITY_COURIERS, source="schedule")
        resources = sandbox_resources(sandbox.url, requests_per_second=None)  # not a matter of speed here
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
    def test_without_a_name_they_cannot_be_observed(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="set workflow_name on the run"):
            build_observation_sensor([self.workflow()])


class TestWhatCannotBeObserved:
    @pytest.mark.parametrize("run", [PROFILES, pipeline()], ids=["RudderStack", "Prophecy"])
    def test_vendors_that_do_not_list(self, run: Any) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="offers no way to list"):
            build_observation_sensor([suite(run=run)])

    def test_partitions(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it has partitions"):
            build_observation_sensor([suite(partitions_def=dg.StaticPartitionsDefinition(["x"]))])

    def test_what_a_function_decides(self) -> None:
        def chosen(context: dg.AssetExecutionContext) -> TestGenTestRun:
            return TESTS

        with pytest.raises(dg.DagsterInvalidDefinitionError, match="created by a function"):
            build_observation_sensor([suite(run=chosen)])

    def test_other_assets(self) -> None:
        @dg.asset
        def plain() -> None: ...

        for other in (plain, dg.AssetSpec("external"), "it"):
            with pytest.raises(dg.DagsterInvalidDefinitionError, match="is not an asset from build_remote_run_asset"):
                build_observation_sensor([other])

    def test_nothing_and_the_same_twice(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="assets is empty"):
            build_observation_sensor([])
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it is given twice"):
            build_observation_sensor([suite(), suite(gate=QualityGate())])

    def test_a_resource_without_a_project(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        settings = {"testgen": TestGenResource(base_url=f"{sandbox.url}/testgen", access_token="t")}
        driver = Driver(build_observation_sensor([suite()]), [suite()], sandbox, instance, resources=settings)
        with pytest.raises(dg.DagsterInvariantViolationError, match="needs its project_code"):
            driver.tick()


def test_a_job_runs_once_for_each_observed_run(
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


def test_observed_assets_may_be_deferred(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
@pytest.mark.parametrize("stored", range(1, 8))
def test_a_lost_tick_leaves_none_of_a_runs_assets_out(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int, outcome: Any
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome=outcome))
    asset = build_remote_run_asset(TESTS, specs=[dg.AssetSpec("a"), dg.AssetSpec("b")])
    driver = observing([asset], sandbox, instance)
    run = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(300)
    with pytest.raises(Lost):
        driver.tick(lost_after=stored)
    driver.ticks(clock, 2, every=60)
    told = reported if outcome == "succeed" else observed_failures
    assert told(instance, "a") == told(instance, "b") == [run.id]


def test_a_run_that_never_tells_what_it_ran_is_not_awaited_for_ever(
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
    assert "0 pending" in str(driver.skipped[-1])


def test_runs_whose_records_are_not_to_be_had_hold_nobody_else_up(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([suite()], sandbox, instance)
    for run in [sandbox.start_run(TESTS.target, source="ui") for _ in range(4)]:
        sandbox.add_fault(Fault("status", method="GET", path=f"/test-runs/{run.id}", status=404, times=100_000))
    clock.sleep(1)
    well = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [well.id]


def test_a_run_whose_creation_is_not_told_is_no_new_one_each_time() -> None:
    seen = ResourceCursor(listed_until=10_000.0)
    for now in (10_000.0, 20_000.0, 30_000.0):
        seen.add("run", now)
        if "run" in seen.pending:
            assert now == 10_000.0
            seen.finish("run")
        seen.mark_listed(now, {"run"})
    seen.mark_listed(40_000.0, set())
    assert not seen.processed
