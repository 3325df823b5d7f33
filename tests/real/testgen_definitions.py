"""A code location for tests with a real Dagster: launched through the UI, with a process for each step.

Where the server is, and how to log in, comes from the environment; see `test_processes.py`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import TestGenResource, TestGenTestRun, build_remote_run_asset

sys.path.insert(0, str(Path(__file__).parent))

from testgen_fixtures import CLEAN_SUITE, NAP_SUITE, PROJECT, SLOW_SUITE

_SERVER: dict[str, Any] = {
    "base_url": os.environ["TESTGEN_REAL_URL"],
    "project_code": PROJECT,
    "poll_interval": 1,
    "dagster_url": "http://127.0.0.1:3000",
}


def asset(key: str, suite: str, **options: Any) -> dg.AssetsDefinition:
    """Returns an asset that times out before the tests do, so that no run outlives them."""
    return build_remote_run_asset(TestGenTestRun(test_suite_id=suite), key=key, timeout=120, **options)


_ONE_RETRY = dg.RetryPolicy(max_retries=1)

defs = dg.Definitions(
    assets=[
        asset("slow", SLOW_SUITE),
        asset("nap", NAP_SUITE, resource_key="testgen_oauth", retry_policy=_ONE_RETRY),
        asset("clean", CLEAN_SUITE, retry_policy=_ONE_RETRY),
        asset("refused", CLEAN_SUITE, resource_key="testgen_refused"),
    ],
    resources={
        "testgen": TestGenResource(**_SERVER, access_token=dg.EnvVar("TESTGEN_REAL_ACCESS_TOKEN")),
        "testgen_oauth": TestGenResource(
            **_SERVER,
            client_id=dg.EnvVar("TESTGEN_REAL_CLIENT_ID"),
            client_secret=dg.EnvVar("TESTGEN_REAL_CLIENT_SECRET"),
            refresh_token=dg.EnvVar("TESTGEN_REAL_REFRESH_TOKEN"),
        ),
        "testgen_refused": TestGenResource(**_SERVER, access_token=dg.EnvVar("TESTGEN_REAL_WRONG_TOKEN")),
    },
)
