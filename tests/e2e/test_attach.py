"""A Dagster run whose process was killed is re-executed from failure and attaches to the active remote run."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata, open_until_shown, press_reexecute_from_failure
from ui_demo import AMPERITY, FIVE, PROPHECY, RUDDERSTACK, SEGMENTFLOW, TESTGEN, Asset, RunningDemo

from dagster_runs.sandbox import Behavior

_CRASHED = (AMPERITY, PROPHECY, SEGMENTFLOW)
_EVICTED = (RUDDERSTACK, TESTGEN)


@pytest.fixture(scope="module")
def resumed(demo: RunningDemo, page: Page) -> dict[Asset, str]:
    """Re-executions from failure of Dagster runs that lost a process during a remote run."""
    demo.sandbox.set_speed(
        0
    )  # the simulated time is stopped, so every remote run stays active and takes no longer than usual
    lost = demo.launch_all(FIVE, Behavior())
    for asset, run_id in lost.items():
        demo.wait_until_logged(run_id, "INFO Started the")
        if asset in _CRASHED:
            os.kill(demo.pid_of(run_id, "step"), signal.SIGKILL)
        else:
            os.kill(demo.pid_of(run_id, "run"), signal.SIGTERM)
    resumed = {}
    for asset, run_id in lost.items():
        assert demo.wait_until_ended(run_id) == "FAILURE"
        url = demo.run_url(run_id)
        resumed[asset] = demo.launched_by(lambda url=url: press_reexecute_from_failure(page, url))
    for asset, run_id in resumed.items():
        demo.wait_until_logged(run_id, "INFO Attaching to")
        assert demo.only_remote(asset).ended_at is None, "it stayed active"
    demo.sandbox.advance(60)
    for run_id in resumed.values():
        assert demo.wait_until_ended(run_id) == "SUCCESS"
    return resumed


@pytest.mark.parametrize("asset", FIVE, ids=str)
def test_reexecution_attaches_to_the_only_remote_run_and_reports_its_result(
    demo: RunningDemo, page: Page, resumed: dict[Asset, str], asset: Asset
) -> None:
    assert demo.sandbox.starts(asset.vendor) == 1
    assert demo.materialized(resumed[asset]) == {asset.key}
    remote = demo.only_remote(asset)
    day = f"partitions&partition={asset.partition}" if asset.partition else None
    open_until_shown(page, demo.asset_url(asset.key, view=day), metadata(page, "dagster_runs/run_id", remote.id))
    expect(metadata(page, "dagster_runs/attached", "true")).to_be_visible()
    expect(metadata(page, "dagster_runs/state", "SUCCEEDED")).to_be_visible()
