"""A code location for Dagster's web server and daemon. The environment has the sandbox's address."""

import os

import dagster as dg

from dagster_runs import TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import well_known
from dagster_runs.testing import sandbox_resources

SUITE = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
REGIONS = dg.StaticPartitionsDefinition(["north", "south"])
ASSETS = [
    build_remote_run_asset(SUITE, key="poll", timeout=5),
    build_remote_run_asset(SUITE, key="defer", wait="defer"),
    build_remote_run_asset(SUITE, key="poll_by_region", timeout=5, partitions_def=REGIONS),
    build_remote_run_asset(SUITE, key="defer_by_region", wait="defer", partitions_def=REGIONS),
]
defs = dg.Definitions(
    assets=ASSETS,
    jobs=[dg.define_asset_job(f"{asset.key.to_user_string()}_job", [asset]) for asset in ASSETS],
    resources=sandbox_resources(os.environ["SANDBOX_URL"]),
    executor=dg.in_process_executor,
)


def poll_job() -> dg.JobDefinition:
    """Returns the job that polls, for `dagster.reconstructable`."""
    return defs.resolve_job_def("poll_job")


def defer_job() -> dg.JobDefinition:
    """Returns the job that defers, for `dagster.reconstructable`."""
    return defs.resolve_job_def("defer_job")
