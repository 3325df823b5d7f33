"""Backfills of deferred assets by a real webserver and a real daemon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.chaos.processes import end_group
from tests.kills.worker import REPOSITORY

PARTITIONS = os.environ.get("BACKFILL_PARTITIONS", "2")
"""The number of partitions. Each is a Dagster run with a process, and so is its downstream asset."""
LIMIT = os.environ.get("BACKFILL_LIMIT", "1")
"""The maximum number of remote runs in flight; empty for no limit."""
MAX_WAIT_SECONDS = 150.0 + 30.0 * int(PARTITIONS)
pytestmark = pytest.mark.timeout(MAX_WAIT_SECONDS + 120)
_CONFIG = """
telemetry: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 4}}
"""
_LAUNCH = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_STATUS = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
    ... on PartitionBackfill { status } } }"""


@contextmanager
def dagster_dev(home: Path, sandbox: Sandbox, **environment: str) -> Iterator[str]:
    """Run the webserver and the daemon. Yields the URL of GraphQL."""
    (home / "dagster.yaml").write_text(_CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["dagster", "dev", "-m", "tests.slow.backfill_location", "-h", "127.0.0.1", "-p", str(port)]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "DAGSTER_HOME": str(home),
                "SANDBOX_URL": sandbox.url,
                "BACKFILL_PARTITIONS": PARTITIONS,
                **environment,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        process.terminate()
        end_group(process.pid)


def query(url: str, text: str, **variables: Any) -> Any:
    """Send a query once the webserver responds, and return its result."""
    deadline = time.monotonic() + 90
    while True:
        try:
            response = requests.post(url, json={"query": text, "variables": variables}, timeout=30)
            [result] = response.json()["data"].values()
        except (requests.ConnectionError, ValueError, AttributeError, KeyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return result


@pytest.mark.covers("defer.backfill")
def test_backfill_succeeds_and_continues_downstream(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.set_speed(10)
    sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(running_seconds=100))
    most = 0
    with dagster_dev(tmp_path, sandbox, **({"BACKFILL_LIMIT": LIMIT} if LIMIT else {})) as url:
        params = {
            "assetSelection": [{"path": ["tested"]}, {"path": ["downstream"]}],
            "partitionNames": [f"p{number:02}" for number in range(int(PARTITIONS))],
        }
        launched = query(url, _LAUNCH, params=params)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        status = ""
        while status not in ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"):
            assert time.monotonic() < deadline, status
            time.sleep(1)
            most = max(most, sum(run.state not in ("completed", "error", "canceled") for run in sandbox.runs()))
            status = query(url, _STATUS, id=launched["backfillId"])["status"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        materialized = {
            key: instance.fetch_materializations(dg.AssetKey(key), limit=1000).records
            for key in ("tested", "downstream")
        }
    assert status in ("COMPLETED", "COMPLETED_SUCCESS")
    for records in materialized.values():
        assert sorted(record.partition_key for record in records) == params["partitionNames"]
    assert sandbox.starts(None) == int(PARTITIONS)
    assert most <= int(LIMIT or PARTITIONS)
