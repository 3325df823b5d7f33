"""A code location in a test launches assets, and runs its sensors as Dagster's daemon does."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.testing import CodeLocation, SandboxClock, ScriptedVendors

TESTS = TestGenTestRun(test_suite_id="8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c")


@dg.op(config_schema={"text": str})
def send(context: dg.OpExecutionContext) -> None: ...


@dg.job
def send_job() -> None:
    send()


@dg.asset(check_specs=[dg.AssetCheckSpec("ok", asset="plain")])
def plain(context: dg.AssetExecutionContext) -> Iterator[Any]:
    team = context.run.tags.get("team", "none")
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)], metadata={"team": team})


@dg.asset_check(asset=plain)
def separate() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


class Slack(dg.ConfigurableResource[Any]):
    channel: str


@dg.sensor(job=send_job)
def each_tick(context: dg.SensorEvaluationContext, slack: Slack) -> Any:
    """Requests one run for each of three ticks, and then the same run again and again."""
    number = min(int(context.cursor or 0) + 1, 3)
    context.update_cursor(str(number))
    config = {"ops": {"send": {"config": {"text": f"{slack.channel} {number}"}}}}
    return dg.RunRequest(run_key=str(number), run_config=config)


@dg.sensor(target=plain)
def skipping() -> Any:
    return dg.SkipReason("nothing to do")


@dg.sensor(job=send_job)
def failing() -> None:
    raise ValueError("a bug in the sensor")


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS)
def after_success() -> None:
    raise AssertionError("is not run")


@pytest.fixture
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[plain],
        asset_checks=[separate],
        jobs=[send_job],
        sensors=[each_tick, skipping, after_success, dg.AutomationConditionSensorDefinition("automatic", target="*")],
        resources={"slack": Slack(channel="#data")},
    )


@pytest.fixture
def location(defs: dg.Definitions, instance: dg.DagsterInstance, dagster_runs_vendors: ScriptedVendors) -> CodeLocation:
    return CodeLocation(defs, instance)


def test_requests_are_executed_once_per_run_key(location: CodeLocation) -> None:
    location.run_for(3600, every=600)
    texts = [request.run_config["ops"]["send"]["config"]["text"] for request in location.requests]
    assert texts == ["#data 1", "#data 2", "#data 3"]
    assert [run.success for run in location.runs] == [True] * 3
    assert location.skip_reasons["skipping"] == "nothing to do"
    assert "after_success" not in location.skip_reasons


def test_only_named_sensors_run(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    location = CodeLocation(defs, instance, ["skipping"])
    location.tick()
    assert set(location.skip_reasons) == {"skipping"}
    with pytest.raises(dg.DagsterInvariantViolationError, match="Could not find sensor 'skiping'"):
        CodeLocation(defs, instance, ["skiping"])


def test_error_of_a_sensor_is_raised(instance: dg.DagsterInstance) -> None:
    location = CodeLocation(dg.Definitions(jobs=[send_job], sensors=[failing]), instance)
    with pytest.raises(Exception, match="a bug in the sensor"):
        location.tick()


def test_what_never_happens_is_reported_with_the_last_ticks(
    defs: dg.Definitions, instance: dg.DagsterInstance, dagster_runs_clock: SandboxClock
) -> None:
    location = CodeLocation(defs, instance, ["skipping"])
    with pytest.raises(TimeoutError, match=r"not done after 600 simulated seconds.*skipping: nothing to do"):
        location.run_until(lambda: location.runs, within=600)
    assert sum(dagster_runs_clock.pauses) == pytest.approx(600, abs=1)


def test_assets_are_launched_with_their_checks_by_definition_or_key(location: CodeLocation) -> None:
    by_definition = location.materialize(plain, tags={"team": "sales"})
    by_key = location.materialize(dg.AssetKey("plain"))
    for result in (by_definition, by_key):
        assert {check.check_name for check in result.get_asset_check_evaluations()} == {"ok", "separate"}
    found = location.materializations("plain")
    assert [one.metadata["team"].value for one in found] == ["sales", "none"]


def test_checks_alone_are_launched_without_their_asset(location: CodeLocation) -> None:
    result = location.materialize(separate)
    assert [check.check_name for check in result.get_asset_check_evaluations()] == ["separate"]
    assert location.materializations("plain") == []


def test_selection_that_is_empty_or_mixed_is_refused(location: CodeLocation) -> None:
    with pytest.raises(ValueError, match="Pass the assets to materialize"):
        location.materialize()
    with pytest.raises(ValueError, match="not both"):
        location.materialize(plain, separate)


def test_deferred_run_of_a_partition_is_reported(
    dagster_runs_vendors: ScriptedVendors, dagster_runs_location: Any
) -> None:
    asset = build_remote_run_asset(
        TESTS, key=["testgen", "quality"], wait="defer", partitions_def=dg.StaticPartitionsDefinition(["a", "b"])
    )
    defs = dg.Definitions(
        assets=[asset], sensors=[build_completion_sensor([asset])], resources=dagster_runs_vendors.resources
    )
    dagster_runs_vendors.script(asset, after=300)
    location = dagster_runs_location(defs)
    assert location.materialize("testgen/quality", partition_key="b").success
    location.run_until(lambda: location.materializations("testgen/quality"), every=100)
    [reported] = location.materializations("testgen/quality")
    assert reported.partition == "b"
    assert location.runs == []
