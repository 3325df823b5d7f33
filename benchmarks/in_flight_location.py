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


def partition_key(number: int) -> str:
    """Of the asset's partition of this number."""
    return f"partition_{number}"


def deferred_assets(vendor: str, count: int, partitions: int, group: str) -> list[dg.AssetsDefinition]:
    """So many assets of one vendor, each of so many partitions; each group's have ledgers of their own.

    Ends of one asset, or of one partition of it, are reported one after the other, a tick each. With 1,000 runs in
    flight of an asset, these are of 1,000 partitions.
    """
    keys = [partition_key(number) for number in range(partitions)]
    partitions_def = dg.StaticPartitionsDefinition(keys) if partitions > 1 else None
    return [
        build_remote_run_asset(
            what(vendor), key=[group, f"asset_{number}"], wait="defer", partitions_def=partitions_def
        )
        for number in range(count)
    ]


def sensor(assets: list[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """That follows them."""
    return build_completion_sensor(assets)
