"""The code location of a queue group: deferred assets with a queue and limits, and their completion sensor."""

from __future__ import annotations

from functools import cache
from typing import Any

import dagster as dg

from dagster_runs import QualityGate, build_completion_sensor, build_remote_run_asset
from dagster_runs.remote_run.types import DAY
from tests.chaos.code_location import resources
from tests.chaos.queue_plan import QUEUE_SLOTS, Place, QueueSlot, asset_of

INTERVAL = 5
"""The minimum interval of the sensor, in seconds. The harness runs ticks more often."""


def _asset(group: int, slot: QueueSlot) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> Any:
        return slot.kind.of(Place(group, slot, context.partition_key).target)

    run.__annotations__["return"] = slot.kind.run_class
    return build_remote_run_asset(
        run,
        key=asset_of(group, slot),
        partitions_def=dg.StaticPartitionsDefinition(slot.partitions),
        gate=QualityGate(blocking=True) if slot.has_gate else None,
        wait="defer",
        on_in_flight="queue",
        max_in_flight=slot.limit,
        timeout=DAY,
    )


@cache
def definitions(group: int) -> dg.Definitions:
    assets = [_asset(group, slot) for slot in QUEUE_SLOTS]
    return dg.Definitions(
        assets=assets,
        jobs=[  # their partitions differ
            dg.define_asset_job(job_of(asset.key.path[-1]), [asset]) for asset in assets
        ],
        sensors=[
            build_completion_sensor(assets, name=sensor_of(group), minimum_interval_seconds=INTERVAL),
        ],
        executor=dg.in_process_executor,
        resources=resources(),
    )


def job_of(asset: str) -> str:
    """Returns the name of the job of an asset."""
    return f"request_{asset}"


def sensor_of(group: int) -> str:
    """Returns the name of the completion sensor of a group."""
    return f"completion_{group}"


def resolve_job(group: int, name: str) -> dg.JobDefinition:
    """Returns a job of the group, which may be one that the sensor has created."""
    return definitions(group).resolve_job_def(name)


def reconstructable_job(group: int, name: str) -> Any:
    """Returns the same job in the form in which Dagster executes it."""
    return dg.build_reconstructable_job(__name__, resolve_job.__name__, (group, name))
