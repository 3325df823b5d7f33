"""A code location whose runs wait for hours: polled, deferred, and of dagster-rudderstack."""

import os

import dagster as dg

from benchmarks import peer
from dagster_runs import RudderStackProfilesRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.testing import sandbox_resources

URL = os.environ["BENCHMARK_SANDBOX"]
COUNT = int(os.environ["BENCHMARK_RUNS"])
"""The number of runs of each kind."""

polled = [
    build_remote_run_asset(RudderStackProfilesRun(profiles_id=f"poll_{number}"), key=f"poll_{number}")
    for number in range(COUNT)
]
deferred = [
    build_remote_run_asset(RudderStackProfilesRun(profiles_id=f"defer_{number}"), key=f"defer_{number}", wait="defer")
    for number in range(COUNT)
]
defs = dg.Definitions(
    assets=[*polled, *deferred],
    jobs=[peer.job(URL, f"peer_{number}", f"peer_{number}") for number in range(COUNT)],
    sensors=[build_completion_sensor(deferred)],
    resources=sandbox_resources(URL),
)
