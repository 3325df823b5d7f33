"""Measures how long a thousand assets take to load, each time in a new process."""

import subprocess
import sys

from benchmarks.processes import ROOT, environment

ASSETS = 1000
_TIMED = """
import time, sys, dagster as dg
import dagster_runs
from dagster_runs import RudderStackProfilesRun, build_remote_run_asset, RudderStackResource
run = RudderStackProfilesRun(profiles_id="first")
begun = time.perf_counter()
{assets}
defs = dg.Definitions(assets=assets, resources={{"rudderstack": RudderStackResource(access_token=dg.EnvVar("NONE"))}})
dg.Definitions.validate_loadable(defs)
print(1000 * (time.perf_counter() - begun))
"""
_OURS = (
    'assets = [build_remote_run_asset(RudderStackProfilesRun(profiles_id=f"id_{n}"), key=f"asset_{n}") '
    f"for n in range({ASSETS})]"
)
_PLAIN = """
def plain(n):
    @dg.asset(name=f"asset_{n}", check_specs=[dg.AssetCheckSpec("run_status", asset=f"asset_{n}")],
              required_resource_keys={"rudderstack"})
    def it(): ...
    return it
assets = [plain(n) for n in range(COUNT)]
""".replace("COUNT", str(ASSETS))


def ours(times: int) -> list[float]:
    """Returns the milliseconds that it takes to define and load remote assets."""
    return _measure(_OURS, times)


def plain(times: int) -> list[float]:
    """Returns the same for plain Dagster assets with the same number of checks."""
    return _measure(_PLAIN, times)


def _measure(assets: str, times: int) -> list[float]:
    code = _TIMED.format(assets=assets)
    command = [sys.executable, "-c", code]
    return [float(subprocess.check_output(command, cwd=ROOT, env=environment())) for _ in range(times)]
