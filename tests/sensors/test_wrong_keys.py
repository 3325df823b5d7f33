"""Assets whose keys were changed at load, while a sensor or a job still uses the old keys."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_cancel_job, build_completion_sensor, build_observation_sensor
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import TESTS
from tests.sensors.driving import deferred

SUITE = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)


def load_assets(key_prefix: str | None, **definitions: Any) -> tuple[list[Any], dg.AssetsDefinition]:
    module = ModuleType("quality")
    module.orders = deferred(SUITE, "orders")  # type: ignore[attr-defined]
    return list(dg.load_assets_from_modules([module], key_prefix=key_prefix)), module.orders


@dg.job
def afterwards() -> None: ...


@pytest.mark.parametrize("job", [None, afterwards], ids=["no job", "a job"])
@pytest.mark.parametrize(
    "build", [pytest.param(build_observation_sensor, marks=pytest.mark.fixes("6.6")), build_completion_sensor]
)
@pytest.mark.covers("defer.wrong-keys")
def test_assets_under_their_old_keys_are_refused_at_load(build: Any, job: Any) -> None:
    assets, orders = load_assets("prod")
    sensor = build([orders], job=job)
    defs = dg.Definitions(assets=assets, sensors=[sensor], resources=sandbox_resources("http://127.0.0.1:1"))
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("job", [None, afterwards], ids=["no job", "a job"])
@pytest.mark.parametrize("key_prefix", [None, "prod"])
@pytest.mark.parametrize("build", [build_observation_sensor, build_completion_sensor])
def test_loaded_assets_are_accepted(build: Any, key_prefix: str | None, job: Any) -> None:
    assets, _ = load_assets(key_prefix)
    sensor = build(assets, job=job)
    defs = dg.Definitions(assets=assets, sensors=[sensor], resources=sandbox_resources("http://127.0.0.1:1"))
    dg.Definitions.validate_loadable(defs)
    assert defs.resolve_all_asset_keys() == [key for asset in assets for key in asset.keys]


@pytest.mark.fixes("6.6")
@pytest.mark.parametrize("build", [build_observation_sensor, build_completion_sensor])
@pytest.mark.covers("defer.wrong-keys")
def test_assets_under_their_old_keys_are_refused_by_a_tick_with_definitions(
    build: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    assets, orders = load_assets("prod")
    resources = sandbox_resources(sandbox.url)
    sensor, defs = build([orders]), dg.Definitions(assets=assets, resources=resources)
    with (
        dg.build_sensor_context(
            instance=instance, definitions=defs, resources={"testgen": resources["testgen"]}
        ) as context,
        pytest.raises(dg.DagsterInvalidDefinitionError, match="orders is not defined in this code location"),
    ):
        sensor.evaluate_tick(context)


def test_follow_up_job_for_external_runs_is_still_requested(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    sensor = build_observation_sensor([asset], job=afterwards)
    resources = sandbox_resources(sandbox.url)
    defs = dg.Definitions(assets=[asset], sensors=[sensor], jobs=[afterwards], resources=resources)
    cursor, requested = None, []
    for number in range(8):
        with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
            data = sensor.evaluate_tick(context)
        cursor = data.cursor
        for event in data.asset_events or []:
            instance.report_runless_asset_event(event)
        requested += [request.job_name for request in data.run_requests or []]
        if number == 0:
            sandbox.start_run(TESTS.target)
        clock.sleep(60)
    assert requested == ["afterwards"]


def test_cancel_job_error_mentions_the_key_prefix(
    sandbox: Sandbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_runs.sensors.registry import check_defined, resolve_assets

    assets, orders = load_assets("prod")
    build_cancel_job([orders])
    repository = dg.Definitions(assets=assets, resources=sandbox_resources(sandbox.url)).get_repository_def()
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="key_prefix"):
        check_defined(resolve_assets([orders], deferred=True), repository)
