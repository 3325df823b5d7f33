"""Sensors as a user's test calls them, and assets that were wiped while a run of them was active."""

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


def given(sensor: dg.SensorDefinition, defs: dg.Definitions, resources: Any) -> dict[str, Any]:
    return {"resources": {"testgen": resources["testgen"]}}


def given_over_definitions(sensor: dg.SensorDefinition, defs: dg.Definitions, resources: Any) -> dict[str, Any]:
    return {"definitions": defs, "resources": {"testgen": resources["testgen"]}}


def called(sensor: dg.SensorDefinition, context: dg.SensorEvaluationContext) -> tuple[str | None, list[Any]]:
    result: Any = sensor(context)
    return result.cursor, list(result.asset_events or [])


def evaluated(sensor: dg.SensorDefinition, context: dg.SensorEvaluationContext) -> tuple[str | None, list[Any]]:
    data = sensor.evaluate_tick(context)
    return data.cursor, list(data.asset_events or [])


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        pytest.param(from_definitions, called, marks=pytest.mark.fixes("6.14")),
        pytest.param(from_definitions, evaluated, marks=pytest.mark.fixes("6.14")),
        pytest.param(given, called, marks=pytest.mark.fixes("6.14")),
        pytest.param(given_over_definitions, called, marks=pytest.mark.fixes("6.14")),
        (given, evaluated),
        (given_over_definitions, evaluated),
    ],
)
@pytest.mark.parametrize("build", [build_completion_sensor, build_observation_sensor])
def test_a_sensor_is_called_with_a_context(
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


def test_a_context_without_resources_says_what_to_pass(instance: dg.DagsterInstance) -> None:
    sensor = build_completion_sensor([deferred(TESTS, "quality")])
    with (
        dg.build_sensor_context(instance=instance) as context,
        pytest.raises(Exception, match="pass resources= or definitions="),
    ):
        sensor(context)


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize("outcome", ["succeed", "fail"])
@pytest.mark.covers("defer.wiped")
def test_a_run_of_a_wiped_asset_is_named_and_followed_to_its_end(
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
