"""A partitioned asset that is launched without a partition starts nothing, unless its definition allows it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackResource, TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.dagster_private import STORES_WITHOUT_PARTITION
from dagster_runs.remote_run.execution import partitions
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize, resources_at
from tests.sensors.driving import Driver

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.5")]
DAYS = dg.DailyPartitionsDefinition(start_date="2026-11-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
PARTITIONS = {
    "time": DAYS,
    "static": REGIONS,
    "several dimensions": dg.MultiPartitionsDefinition({"day": DAYS, "region": REGIONS}),
    "dynamic": dg.DynamicPartitionsDefinition(name="customers"),
}
each_kind = pytest.mark.parametrize("partitions_def", PARTITIONS.values(), ids=PARTITIONS.keys())


def assert_refused(result: dg.ExecuteInProcessResult, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = failure(result)
    assert "marts/features is partitioned, but this Dagster run was launched without a partition" in message
    assert "nothing was started" in message
    assert "Launch it with a partition" in message
    assert "on_missing_partition='start'" in message
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert sandbox.starts("rudderstack") == 0
    assert not instance.fetch_observations(dg.AssetKey(["marts", "features"]), limit=1).records


@each_kind
@pytest.mark.parametrize("wait", ["poll", "defer"])
@pytest.mark.parametrize("launched", ["dg.materialize", "a job"])
@pytest.mark.covers("start.missing-partition")
def test_launch_without_a_partition_is_rejected(
    launched: str, wait: Any, partitions_def: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    key, policy = ["marts", "features"], dg.RetryPolicy(max_retries=1)
    asset = build_remote_run_asset(PROFILES, key=key, partitions_def=partitions_def, wait=wait, retry_policy=policy)
    if launched == "a job":
        jobs = [dg.define_asset_job("features_job", [asset])]
        definitions = dg.Definitions(assets=[asset], jobs=jobs, resources=resources_at(sandbox.url))
        job = definitions.resolve_job_def("features_job")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    else:
        result = materialize([asset], sandbox, instance)
    assert_refused(result, sandbox, instance)


@each_kind
@pytest.mark.covers("start.missing-partition")
def test_missing_partition_is_rejected_in_a_user_defined_asset(
    partitions_def: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    @dg.asset(key_prefix="marts", partitions_def=partitions_def, retry_policy=dg.RetryPolicy(max_retries=1))
    def features(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
        yield from rudderstack.run(context, PROFILES)

    assert_refused(materialize([features], sandbox, instance), sandbox, instance)


def test_missing_partition_is_rejected_before_the_run_function_is_called(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    def by_region(context: dg.AssetExecutionContext) -> TestGenTestRun:
        return TestGenTestRun(test_suite_id={"eu": well_known.SUITE_CLEAN}[context.partition_key])

    asset = build_remote_run_asset(by_region, key=["marts", "features"], partitions_def=REGIONS)
    assert_refused(materialize([asset], sandbox, instance), sandbox, instance)


def test_missing_partition_is_rejected_when_specs_define_the_partitions(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    specs = [dg.AssetSpec(["marts", "features"], partitions_def=DAYS), dg.AssetSpec("people", partitions_def=DAYS)]
    message = failure(materialize([build_remote_run_asset(PROFILES, specs=specs)], sandbox, instance))
    assert "marts/features, people are partitioned" in message
    assert sandbox.starts("rudderstack") == 0


@pytest.mark.skipif(not STORES_WITHOUT_PARTITION, reason="this version of Dagster stores no such output")
@pytest.mark.covers("start.missing-partition")
def test_on_missing_partition_start_allows_a_run_without_a_partition(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    asset = build_remote_run_asset(PROFILES, key="features", partitions_def=DAYS, on_missing_partition="start")
    assert materialize([asset], sandbox, instance).success
    assert sandbox.runs("rudderstack")[-1].parameters == []
    assert instance.get_materialized_partitions(dg.AssetKey("features")) == set()
    assert materialize([asset], sandbox, instance, partition_key="2026-11-03").success
    assert instance.get_materialized_partitions(dg.AssetKey("features")) == {"2026-11-03"}


@pytest.mark.skipif(not STORES_WITHOUT_PARTITION, reason="this version of Dagster stores no such output")
def test_on_missing_partition_start_works_in_a_user_defined_asset(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    @dg.asset(partitions_def=DAYS)
    def features(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
        yield from rudderstack.run(context, PROFILES, on_missing_partition="start")

    assert materialize([features], sandbox, instance).success
    assert sandbox.starts("rudderstack") == 1


def test_on_missing_partition_start_is_rejected_where_dagster_cannot_store_the_result(
    sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "STORES_WITHOUT_PARTITION", False)
    asset = build_remote_run_asset(PROFILES, key="features", partitions_def=DAYS, on_missing_partition="start")
    result = materialize([asset], sandbox, instance)
    assert "needs a later version of Dagster" in failure(result)
    assert sandbox.starts("rudderstack") == 0
    assert materialize([asset], sandbox, instance, partition_key="2026-11-03").success


@pytest.mark.parametrize("suite", [well_known.SUITE_CLEAN, well_known.SUITE_DOWN], ids=["succeeds", "fails"])
def test_deferred_run_without_a_partition_is_reported(
    suite: str, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    run = TestGenTestRun(test_suite_id=suite)
    asset = build_remote_run_asset(run, key="it", partitions_def=DAYS, on_missing_partition="start", wait="defer")
    assert materialize([asset], sandbox, instance).success
    driver = Driver(build_completion_sensor([asset]), [asset], sandbox, instance)
    driver.ticks(clock, 40)
    materialized = instance.fetch_materializations(dg.AssetKey("it"), limit=9).records
    assert len(materialized) == (1 if suite == well_known.SUITE_CLEAN else 0)
    assert ["ended with status error" in failure(result) for result in driver.runs] == [True] * (1 - len(materialized))
    assert sandbox.starts("testgen") == 1


@pytest.mark.parametrize("wait", ["poll", "defer"])
def test_invalid_on_missing_partition_is_rejected(wait: Any) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="on_missing_partition is 'all'; it must be"):
        build_remote_run_asset(TESTS, key="it", on_missing_partition="all", wait=wait)
