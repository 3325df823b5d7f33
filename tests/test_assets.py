"""The asset factory: arguments, the launchpad, partitions, several assets, and runs in user-defined assets."""

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    QualityGate,
    RemoteRun,
    RudderStackProfilesRun,
    RudderStackResource,
    SegmentflowJourneyRun,
    TestGenResource,
    TestGenTestRun,
    build_remote_run_asset,
)
from dagster_runs.launchpad import config_schema
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS, checks, failure, materialize, metadata

pytestmark = pytest.mark.usefixtures("clock")
DAYS = dg.DailyPartitionsDefinition(start_date="2026-11-01")


def sent(sandbox: Sandbox) -> list[str]:
    """Returns the parameters of the newest Profiles run."""
    return sandbox.runs("rudderstack")[-1].parameters


def run_of_a_list(context: dg.AssetExecutionContext) -> list[str]:
    return []


class TestDefinition:
    def test_sets_the_spec_shown_in_the_lineage(self) -> None:
        asset = build_remote_run_asset(
            PROFILES,
            key=["marts", "features"],
            deps=["stg_orders"],
            group_name="features",
            owners=["team:growth"],
            tags={"tier": "1"},
            automation_condition=dg.AutomationCondition.eager(),
        )
        [spec] = asset.specs
        assert spec.key == dg.AssetKey(["marts", "features"])
        assert spec.kinds == {"rudderstack"}
        assert spec.group_name == "features"
        assert spec.metadata["dagster_runs/target"] == PROFILES.profiles_id
        assert "RudderStack Profiles run" in (spec.description or "")
        assert {check.name for check in asset.check_specs} == {"run_status"}

    def test_blocking_gate_makes_the_data_checks_blocking(self) -> None:
        asset = build_remote_run_asset(TESTS, key="quality", gate=QualityGate(min_score=0.9, blocking=True))
        blocking = {check.name: check.blocking for check in asset.check_specs}
        assert blocking == {"run_status": False, "tests_passed": True, "quality_score": True}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"run": PROFILES, "gate": QualityGate()}, "does not support a QualityGate"),
            ({"run": PROFILES, "on_timeout": "cancel"}, "no way to cancel"),
            ({"run": PROFILES, "on_timeout": "stop"}, "'leave' or 'cancel'"),
            ({"run": PROFILES, "on_conflict": "attach"}, "'wait' or 'fail'"),
            ({"run": PROFILES, "timeout": 0}, "greater than 0"),
            ({"run": PROFILES, "timeout": float("inf")}, "greater than 0"),
            ({"run": PROFILES, "wait": "never"}, "'poll'"),
            ({"run": partial(lambda context: PROFILES)}, "needs a return type annotation"),
            ({"run": "2hkeBOp"}, "must be a run"),
            ({"run": lambda context: PROFILES}, "needs a return type annotation"),
            ({"run": run_of_a_list}, "needs a return type annotation"),
            ({"run": PROFILES, "key": None}, "key, or specs"),
            ({"run": PROFILES, "specs": [dg.AssetSpec("b")]}, "key, or specs"),
            ({"run": PROFILES, "key": None, "specs": []}, "specs is empty"),
            ({"run": PROFILES, "key": None, "specs": [dg.AssetSpec("b")], "deps": ["c"]}, "set deps on the specs"),
        ],
    )
    def test_rejects_invalid_arguments(self, arguments: dict[str, Any], message: str) -> None:
        run = arguments.pop("run")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
            build_remote_run_asset(run, **{"key": "a", **arguments})

    def test_wrong_resource_type_is_named_in_the_error(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        asset = build_remote_run_asset(PROFILES, key="a", resource_key="testgen")
        result = materialize([asset], sandbox, instance)
        assert "'testgen' is a TestGenResource; a RudderStackProfilesRun needs RudderStack's" in failure(result)

    def test_literal_secrets_do_not_appear_in_the_launchpad(self) -> None:
        resource = RudderStackResource.configure_at_launch(access_token="sekrit-abc")
        field = resource.get_resource_definition().config_schema.as_field()
        assert "sekrit-abc" not in repr(field.default_value if field.default_provided else "")


class TestLaunchpad:
    def launch(self, sandbox: Sandbox, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
        asset = build_remote_run_asset(PROFILES.with_fields({"model_refs": ["models/a"]}), key="features")
        return materialize([asset], sandbox, instance, run_config={"ops": {"features": {"config": config}}})

    def test_overrides_fields_for_one_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        config = {"model_refs": ["models/b", "models/c"], "begin_time": "2026-01-01", "rebase_incremental": True}
        assert self.launch(sandbox, instance, **config).success
        assert sent(sandbox) == [
            "--model_refs models/b",
            "--model_refs models/c",
            "--begin_time 2026-01-01T00:00:00Z",
            "--rebase_incremental",
        ]

    def test_keeps_fields_that_are_not_overridden(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        assert self.launch(sandbox, instance, end_time="2026-02-01T12:00:00+02:00").success
        assert sent(sandbox) == ["--model_refs models/a", "--end_time 2026-02-01T10:00:00Z"]

    @pytest.mark.covers("start.bad-field")
    def test_rejects_invalid_fields_before_the_start(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        result = self.launch(sandbox, instance, profiles_id="../x")
        assert "profiles_id" in failure(result)
        assert "Nothing was started" in failure(result)
        assert not sandbox.requests("rudderstack")

    def test_describes_each_field(self) -> None:
        fields = config_schema(type(PROFILES), {})
        assert "Process data loaded from this time on" in (fields["begin_time"].description or "")

    def test_unknown_field_is_rejected_by_dagster(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        with pytest.raises(dg.DagsterInvalidConfigError, match="profile_id"):
            self.launch(sandbox, instance, profile_id="x")


class TestPartitions:
    @pytest.mark.covers("rudderstack.parameter.begin-time")
    def test_daily_partition_sets_the_window(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        asset = build_remote_run_asset(PROFILES, key="features", partitions_def=DAYS)
        assert materialize([asset], sandbox, instance, partition_key="2026-11-03").success
        assert sent(sandbox) == ["--begin_time 2026-11-03T00:00:00Z", "--end_time 2026-11-04T00:00:00Z"]

    @pytest.mark.covers("rudderstack.parameter.end-time")
    def test_single_run_backfill_starts_one_remote_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        asset = build_remote_run_asset(
            PROFILES, key="features", partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run()
        )
        tags = {"dagster/asset_partition_range_start": "2026-11-03", "dagster/asset_partition_range_end": "2026-11-09"}
        assert materialize([asset], sandbox, instance, tags=tags).success
        assert sandbox.starts("rudderstack") == 1
        assert sent(sandbox) == ["--begin_time 2026-11-03T00:00:00Z", "--end_time 2026-11-10T00:00:00Z"]
        filled = instance.get_materialized_partitions(dg.AssetKey("features"))
        assert len(filled) == 7

    def test_explicit_window_is_not_overridden(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = PROFILES.with_fields({"begin_time": datetime(2025, 1, 1, tzinfo=timezone.utc)})
        asset = build_remote_run_asset(run, key="features", partitions_def=DAYS)
        assert materialize([asset], sandbox, instance, partition_key="2026-11-03").success
        assert sent(sandbox) == ["--begin_time 2025-01-01T00:00:00Z"]

    def test_window_in_another_time_zone_is_sent_in_utc(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-07-01", timezone="Europe/Berlin")
        asset = build_remote_run_asset(PROFILES, key="features", partitions_def=days)
        assert materialize([asset], sandbox, instance, partition_key="2026-07-03").success
        assert sent(sandbox) == ["--begin_time 2026-07-02T22:00:00Z", "--end_time 2026-07-03T22:00:00Z"]

    def test_partition_key_placeholder_works_in_other_fields(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        run = RudderStackProfilesRun(
            profiles_id=PROFILES.profiles_id, parameters=("--model_refs models/{partition_key}",)
        )
        regions = dg.StaticPartitionsDefinition(["eu", "us"])
        asset = build_remote_run_asset(run, key="features", partitions_def=regions)
        assert materialize([asset], sandbox, instance, partition_key="eu").success
        assert sent(sandbox) == ["--model_refs models/eu"]

    def test_partition_placeholder_without_partitions_raises(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        run = RudderStackProfilesRun(profiles_id=PROFILES.profiles_id, parameters=("--model_refs {partition_key}",))
        result = materialize([build_remote_run_asset(run, key="features")], sandbox, instance)
        assert "the asset has no single partition in this run" in failure(result)
        assert sandbox.starts("rudderstack") == 0

    def test_partition_key_placeholder_raises_for_a_range(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = PROFILES.with_fields({"parameters": ["--model_refs models/{partition_key}"]})
        regions = dg.StaticPartitionsDefinition(["a", "b", "c"])
        policy = dg.BackfillPolicy.single_run()
        asset = build_remote_run_asset(run, key="features", partitions_def=regions, backfill_policy=policy)
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
        assert "no single partition" in failure(materialize([asset], sandbox, instance, tags=tags))
        assert sandbox.starts("rudderstack") == 0

    def test_time_dimension_of_a_multi_partition_sets_the_window(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        both = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu"])})
        asset = build_remote_run_asset(PROFILES, key="features", partitions_def=both)
        key = dg.MultiPartitionKey({"day": "2026-11-03", "region": "eu"})
        assert materialize([asset], sandbox, instance, partition_key=key).success
        assert sent(sandbox) == ["--begin_time 2026-11-03T00:00:00Z", "--end_time 2026-11-04T00:00:00Z"]


def test_one_run_materializes_several_assets(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    specs = [dg.AssetSpec("orders"), dg.AssetSpec(["marts", "customers"])]
    asset = build_remote_run_asset(TESTS, specs=specs)
    result = materialize([asset], sandbox, instance)
    assert result.success
    assert sandbox.starts("testgen") == 1
    assert len(result.get_asset_materialization_events()) == 2
    assert len(result.get_asset_check_evaluations()) == 6


def test_run_function_selects_the_run_by_partition(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    def by_region(context: dg.AssetExecutionContext) -> TestGenTestRun:
        suites = {"eu": well_known.SUITE_CLEAN, "us": well_known.SUITE_FEATURES}
        return TestGenTestRun(test_suite_id=suites[context.partition_key])

    regions = dg.StaticPartitionsDefinition(["eu", "us"])
    asset = build_remote_run_asset(by_region, key="quality", partitions_def=regions)
    assert materialize([asset], sandbox, instance, partition_key="us").success
    assert sandbox.runs("testgen")[-1].target_id == well_known.SUITE_FEATURES


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AmperityWorkflowRun, {"config_id": "cg-{partition_key}"}),
        (ProphecyPipelineRun, {"fabric_id": "{partition_key}", "project_id": "1", "pipeline_name": "p"}),
        (RudderStackProfilesRun, {"profiles_id": "{partition_key}"}),
        (SegmentflowJourneyRun, {"journey_id": "{partition_key}", "recipient": {"userId": "7"}}),
        (TestGenTestRun, {"test_suite_id": "{partition_key}"}),
    ],
)
def test_id_fields_reject_placeholders(kind: type[RemoteRun[Any]], fields: dict[str, Any]) -> None:
    # Ids are validated in the definition; a run function can choose one by the partition.
    with pytest.raises(ValidationError, match=next(iter(fields))):
        kind(**fields)


def test_user_defined_asset_needs_one_line(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("tests_passed", asset="mine")])
    def mine(context: dg.AssetExecutionContext, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, TESTS)

    result = materialize([mine], sandbox, instance)
    assert result.success
    assert set(checks(result)) == {"tests_passed"}  # only the declared checks
    assert metadata(instance, "mine")["testgen/score"] == 1.0


@pytest.mark.covers("end.blocking-gate")
def test_failed_gate_materializes_the_asset_and_blocks_downstream(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    orders = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    gate = build_remote_run_asset(orders, key="quality", gate=QualityGate(min_score=0.95, blocking=True))

    @dg.asset(deps=[gate])
    def report() -> None: ...

    result = materialize([gate, report], sandbox, instance)
    assert metadata(instance, "quality")["testgen/score"] == pytest.approx(0.8713)
    assert [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()] == ["quality"]
    table = metadata(instance, "quality")
    assert table["testgen/tests_failed"] == 5


def test_sandbox_resources_use_the_default_keys() -> None:
    assert set(sandbox_resources("http://127.0.0.1:1")) >= {PROFILES.resource_key, TESTS.resource_key}
