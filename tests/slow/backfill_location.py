"""A code location with a partitioned deferred asset and an asset downstream of it, for a real daemon."""

import os

import dagster as dg

from dagster_runs import TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.sandbox import well_known
from dagster_runs.testing import sandbox_resources

PARTITIONS = [f"p{number:02}" for number in range(int(os.environ["BACKFILL_PARTITIONS"]))]
partitions_def = dg.StaticPartitionsDefinition(PARTITIONS)
tested = build_remote_run_asset(
    TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN),
    key="tested",
    wait="defer",
    partitions_def=partitions_def,
    max_in_flight=int(os.environ.get("BACKFILL_LIMIT") or 0) or None,
)


@dg.asset(deps=[tested], partitions_def=partitions_def)
def downstream() -> None:
    """Built from the tested data."""


defs = dg.Definitions(
    assets=[tested, downstream],
    sensors=[build_completion_sensor([tested], default_status=dg.DefaultSensorStatus.RUNNING)],
    resources=sandbox_resources(os.environ["SANDBOX_URL"]),
    executor=dg.in_process_executor,
)
