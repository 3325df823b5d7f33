"""Defines the deferred assets whose runs the measured ticks poll."""

from typing import Any

import dagster as dg

from dagster_runs import ProphecyPipelineRun, RemoteRun, TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.sandbox import well_known


def run_of(vendor: str) -> RemoteRun[Any]:
    """Returns the run of each asset."""
    if vendor == "testgen":
        return TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
    return ProphecyPipelineRun(
        fabric_id=well_known.PROPHECY_FABRIC,
        project_id=well_known.PROPHECY_PROJECT,
        pipeline_name=well_known.PROPHECY_PIPELINE,
    )


def partition_key(number: int) -> str:
    """Returns the key of the asset's partition with this number."""
    return f"partition_{number}"


def deferred_assets(vendor: str, count: int, partitions: int, group: str) -> list[dg.AssetsDefinition]:
    """Returns assets of one vendor. Each group of assets has its own ledgers.

    Runs of the same asset and partition are reported one after another, one per tick. So 1,000 runs of an asset that
    are in flight at the same time belong to 1,000 partitions.

    Args:
        vendor: The vendor.
        count: The number of assets.
        partitions: The number of partitions of each asset.
        group: The first part of the assets' keys.
    """
    keys = [partition_key(number) for number in range(partitions)]
    partitions_def = dg.StaticPartitionsDefinition(keys) if partitions > 1 else None
    return [
        build_remote_run_asset(
            run_of(vendor), key=[group, f"asset_{number}"], wait="defer", partitions_def=partitions_def
        )
        for number in range(count)
    ]


def sensor(assets: list[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """Returns the completion sensor of these assets."""
    return build_completion_sensor(assets)
