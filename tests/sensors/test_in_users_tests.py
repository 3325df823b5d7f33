"""Sensors called as in a user's tests, and assets that are wiped while one of their runs is active."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor, build_observation_sensor
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import TESTS, failure, materialize
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


def from_definitions(sensor: dg.SensorDefinition, defs: dg.Definitions, resources: Any) -> dict[str, Any]:
    return {"definitions": defs}


def from_resources(sensor: dg.SensorDefinition, defs: dg.Definitions, resources: Any) -> dict[str, Any]:
    return {"resources": {"testgen": resources["testgen"]}}


def from_resources_and_definitions(sensor: dg.SensorDefinition, defs: dg.Definitions, resources: Any) -> dict[str, Any]:
    return {"definitions": defs, "resources": {"testgen": resources["testgen"]}}


def by_direct_call(sensor: dg.SensorDefinition, context: dg.SensorEvaluationContext) -> tuple[str | None, list[Any]]:
    result: Any = sensor(context)
    return result.cursor, list(result.asset_events or [])


def by_evaluate_tick(sensor: dg.SensorDefinition, context: dg.SensorEvaluationContext) -> tuple[str | None, list[Any]]:
    data = sensor.evaluate_tick(context)
    return data.cursor, list(data.asset_events or [])


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        pytest.param(from_definitions, by_direct_call, marks=pytest.mark.fixes("6.14")),
        pytest.param(from_definitions, by_evaluate_tick, marks=pytest.mark.fixes("6.14")),
        pytest.param(from_resources, by_direct_call, marks=pytest.mark.fixes("6.14")),
        pytest.param(from_resources_and_definitions, by_direct_call, marks=pytest.mark.fixes("6.14")),
        (from_resources, by_evaluate_tick),
        (from_resources_and_definitions, by_evaluate_tick),
    ],
)
@pytest.mark.parametrize("build", [build_completion_sensor, build_observation_sensor])
def test_sensor_can_be_called_with_a_context(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, build: Any, arguments: Any, call: Any
) -> None:
    asset = deferred(TESTS, "quality")
    sensor, resources = build([asset]), sandbox_resources(sandbox.url)
    defs = dg.Definitions(assets=[asset], sensors=[sensor], resources=resources)
    if build is build_completion_sensor:
        materialize([asset], sandbox, instance)
    cursor: str | None = None
    events: list[Any] = []
    for number in range(6):
        with dg.build_sensor_context(instance=instance, cursor=cursor, **arguments(sensor, defs, resources)) as context:
            cursor, found = call(sensor, context)
        events += found
        for event in found:
            instance.report_runless_asset_event(event)
        if number == 0 and build is build_observation_sensor:
            sandbox.start_run(TESTS.target)
        clock.sleep(60)
    assert [event.asset_key for event in events if isinstance(event, dg.AssetMaterialization)] == [
        dg.AssetKey("quality")
    ]


def test_context_without_resources_raises_an_error_that_says_what_to_pass(instance: dg.DagsterInstance) -> None:
    sensor = build_completion_sensor([deferred(TESTS, "quality")])
    with (
        dg.build_sensor_context(instance=instance) as context,
        pytest.raises(Exception, match="pass resources= or definitions="),
    ):
        sensor(context)


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize("outcome", ["succeed", "fail"])
@pytest.mark.covers("defer.wiped")
def test_active_run_of_a_wiped_asset_is_logged_and_still_reported(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    outcome: Any,
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=400, outcome=outcome))
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 3)
    instance.wipe_assets([dg.AssetKey("it")])
    capfd.readouterr()
    driver.ticks(clock, 20)
    [run] = sandbox.runs()
    assert capfd.readouterr().err.count(f"TestGen run {run.id} of it is active, but the asset was wiped") == 1
    driver.ticks(clock, 40)
    assert sandbox.starts(None) == 1
    if outcome == "succeed":
        assert reported(instance, "it") == [run.id]
    else:
        [finishing] = driver.runs
        assert "the asset was wiped" in failure(finishing)
