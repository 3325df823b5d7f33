"""Deferred assets for the ticks: as many runs of each as are wanted."""

from typing import Any

import dagster as dg

from dagster_runs import ProphecyPipelineRun, RemoteRun, TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.sandbox import well_known


def what(vendor: str) -> RemoteRun[Any]:
    """What each asset runs."""
    if vendor == "testgen":
        return TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
    return ProphecyPipelineRun(
        fabric_id=well_known.PROPHECY_FABRIC,
        project_id=well_known.PROPHECY_PROJECT,
        pipeline_name=well_known.PROPHECY_PIPELINE,
    )


def deferred_assets(vendor: str, count: int, group: str) -> list[dg.AssetsDefinition]:
    """So many assets of one vendor; each group's have ledgers of their own."""
    return [
        build_remote_run_asset(what(vendor), key=[group, f"asset_{number}"], wait="defer") for number in range(count)
    ]


def sensor(assets: list[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """That follows them."""
    return build_completion_sensor(assets)
