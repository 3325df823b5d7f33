"""A code location with deferred assets of two vendors, one of which has an unset variable."""

import os

import dagster as dg

from dagster_runs import RudderStackResource, build_cancel_job, build_completion_sensor
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS
from tests.sensors.driving import deferred

assets = [deferred(PROFILES, "features"), deferred(TESTS, "quality")]
defs = dg.Definitions(
    assets=assets,
    jobs=[build_cancel_job(assets)],
    sensors=[build_completion_sensor(assets)],
    resources={
        "testgen": sandbox_resources(os.environ["SANDBOX_URL"])["testgen"],
        "rudderstack": RudderStackResource(access_token=dg.EnvVar("DAGSTER_RUNS_TESTS_VARIABLE_THAT_IS_UNSET")),
    },
)
