"""Deferred runs: a step starts the run and ends, and the completion sensor polls the run and reports it once."""

from __future__ import annotations

from types import ModuleType

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    QualityGate,
    RemoteRun,
    SegmentflowJourneyRun,
    TestGenTestRun,
    build_completion_sensor,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILES, PROFILING, TESTS, checks, materialize
from tests.sensors.driving import completion, deferred, evaluations, materializations, reported

pytestmark = pytest.mark.usefixtures("clock")
WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
PIPELINE = ProphecyPipelineRun(fabric_id=33290, project_id="41459", pipeline_name="customer_360")
JOURNEY = SegmentflowJourneyRun(journey_id=well_known.SEGMENTFLOW_JOURNEY, recipient={"email": "ada@example.com"})
ALL = [PROFILES, TESTS, PROFILING, WORKFLOW, PIPELINE, JOURNEY]


class TestSuccess:
    @pytest.mark.parametrize("run", ALL, ids=lambda run: type(run).__name__)
    @pytest.mark.covers("defer.success")
    def test_is_reported_as_a_materialization_without_a_dagster_run(
        self, run: RemoteRun, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(run.target.rpartition("/")[2], Behavior(running_seconds=25))
        asset = deferred(run)
        result = materialize([asset], sandbox, instance)
        assert result.success
        assert not materializations(instance, "it")
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 2)
        assert not materializations(instance, "it")
        driver.ticks(clock, 4)
        [record] = materializations(instance, "it")
        assert record.run_id == ""
        shown = record.asset_materialization.metadata
        assert shown["dagster_runs/run_id"].value == sandbox.runs()[0].id
        assert shown["dagster_runs/state"].value == "SUCCEEDED"
        assert shown["dagster_runs/deferred_by"].value == result.run_id
        assert evaluations(instance, "it")["run_status"] == (True, 1)
        assert sandbox.starts(None) == 1
        assert not driver.runs

    def test_has_the_same_metadata_and_checks_as_a_run_polled_by_its_step(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        gate = QualityGate(min_score=0.5)
        polled_result = materialize([build_remote_run_asset(TESTS, key="waited", gate=gate)], sandbox, instance)
        asset = deferred(TESTS, gate=gate)
        materialize([asset], sandbox, instance)
        completion([asset], sandbox, instance).ticks(clock, 8)
        [deferred_record], [polled_record] = materializations(instance, "it"), materializations(instance, "waited")
        assert set(deferred_record.asset_materialization.metadata) == {
            *polled_record.asset_materialization.metadata,
            "dagster_runs/deferred_by",
        }
        expected = {name: (check.passed, 1) for name, check in checks(polled_result).items()}
        assert evaluations(instance, "it") == expected

    def test_of_many_runs_is_found_with_one_list_call(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        partitions = dg.StaticPartitionsDefinition([f"p{number}" for number in range(12)])
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=100))
        asset = deferred(TESTS, partitions_def=partitions)
        for key in partitions.get_partition_keys():
            materialize([asset], sandbox, instance, partition_key=key)
        driver = completion([asset], sandbox, instance)
        clock.sleep(10)
        before = len(sandbox.requests("testgen"))
        driver.tick()
        assert len(sandbox.requests("testgen")) - before == 1
        driver.ticks(clock, 13)
        assert len(set(reported(instance, "it"))) == 12
        assert {record.partition_key for record in materializations(instance, "it")} == set(
            partitions.get_partition_keys()
        )

    def test_of_a_partition_range_materializes_each_partition(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(
            WORKFLOW,
            partitions_def=dg.DailyPartitionsDefinition(start_date="2026-11-01"),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        tags = {
            "dagster/asset_partition_range_start": "2026-11-02",
            "dagster/asset_partition_range_end": "2026-11-04",
        }
        assert materialize([asset], sandbox, instance, tags=tags).success
        completion([asset], sandbox, instance).ticks(clock, 9)
        assert [record.partition_key for record in materializations(instance, "it")] == [
            "2026-11-02",
            "2026-11-03",
            "2026-11-04",
        ]
        assert sandbox.starts("amperity") == 1

    def test_of_a_run_with_several_assets_materializes_each_asset(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = build_remote_run_asset(PROFILES, specs=[dg.AssetSpec("b"), dg.AssetSpec("a")], wait="defer")
        materialize([asset], sandbox, instance)
        completion([asset], sandbox, instance).ticks(clock, 9)
        assert reported(instance, "a") == reported(instance, "b") == [sandbox.runs()[0].id]

    def test_triggers_downstream_automation(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, gate=QualityGate(min_score=0.5, blocking=True))

        @dg.asset(deps=[asset], automation_condition=dg.AutomationCondition.eager())
        def report() -> None: ...

        both = dg.Definitions(assets=[asset, report], resources=sandbox_resources(sandbox.url))
        evaluation = dg.evaluate_automation_conditions(both, instance)
        result = materialize([asset, report], sandbox, instance)
        assert [event.step_key for event in result.all_events if event.is_step_skipped] == ["report"]
        completion([asset], sandbox, instance).ticks(clock, 9)
        evaluation = dg.evaluate_automation_conditions(both, instance, cursor=evaluation.cursor)
        assert evaluation.get_requested_partitions(dg.AssetKey("report")) == {None}

    def test_with_a_failed_blocking_gate_does_not_trigger_downstream_automation(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        bad = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
        asset = deferred(bad, gate=QualityGate(blocking=True))
        condition = dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()

        @dg.asset(deps=[asset], automation_condition=condition)
        def report() -> None: ...

        both = dg.Definitions(assets=[asset, report], resources=sandbox_resources(sandbox.url))
        evaluation = dg.evaluate_automation_conditions(both, instance)
        materialize([asset], sandbox, instance)
        completion([asset], sandbox, instance).ticks(clock, 9)
        assert evaluations(instance, "it")["tests_passed"] == (False, 1)
        evaluation = dg.evaluate_automation_conditions(both, instance, cursor=evaluation.cursor)
        assert evaluation.total_requested == 0


def test_asset_belongs_to_only_one_completion_sensor() -> None:
    asset = deferred(TESTS)
    build_completion_sensor([asset])
    build_completion_sensor([asset])  # as when its module is loaded again
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="belongs to the completion sensor 'remote_run_comp"):
        build_completion_sensor([deferred(TESTS, key="other"), asset], name="another")
    build_completion_sensor([deferred(TESTS)], name="another")


def test_sensor_that_fails_to_build_does_not_claim_its_assets() -> None:
    asset = deferred(TESTS)
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="no name"):
        build_completion_sensor([asset], name="no name")
    build_completion_sensor([asset], name="name")


def test_copies_of_an_asset_with_different_keys_may_belong_to_different_sensors() -> None:
    module = ModuleType("module")
    module.it = deferred(TESTS)  # type: ignore[attr-defined]
    for prefix in ("eu", "us"):
        copies = dg.load_assets_from_modules([module], key_prefix=prefix)
        build_completion_sensor([copy for copy in copies if isinstance(copy, dg.AssetsDefinition)], name=prefix)
