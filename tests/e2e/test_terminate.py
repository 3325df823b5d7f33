"""*Terminate* in the UI cancels the run at the vendor, or reports that it is still active and where to stop it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import press_terminate
from ui_demo import AMPERITY, FIVE, HOURS, PROPHECY, RUDDERSTACK, SEGMENTFLOW, TESTGEN, Asset, RunningDemo

from dagster_runs.sandbox import Behavior

_WHERE = {
    PROPHECY: "use Prophecy's run history. See ",
    RUDDERSTACK: "open the project at https://app.rudderstack.com and stop the run there",
    SEGMENTFLOW: "stop the journey at https://dashboard.segmentflow.ai",
}


@pytest.fixture(scope="module")
def terminated(demo: RunningDemo, page: Page) -> dict[Asset, str]:
    """Dagster runs that were terminated in the UI while their remote runs were active."""
    launched = demo.launch_all(FIVE, Behavior(running_seconds=HOURS))
    for run_id in launched.values():
        demo.wait_until_logged(run_id, "INFO Started the")
        press_terminate(page, demo.run_url(run_id))
    for run_id in launched.values():
        assert demo.wait_until_ended(run_id) == "CANCELED"
    return launched


@pytest.mark.smoke
@pytest.mark.parametrize("asset", [AMPERITY, TESTGEN], ids=str)
def test_termination_cancels_the_remote_run(
    demo: RunningDemo, page: Page, terminated: dict[Asset, str], asset: Asset
) -> None:
    remote = demo.only_remote(asset)
    assert remote.state == "canceled"
    page.goto(demo.run_url(terminated[asset]))
    expect(page.get_by_text("Canceled").first).to_be_visible()
    expect(page.get_by_text(f"{remote.id} of {asset.target_id} ended with status canceled").first).to_be_visible()


@pytest.mark.parametrize("asset", list(_WHERE), ids=str)
def test_uncancelable_run_stays_active_and_the_log_says_where_to_stop_it(
    demo: RunningDemo, page: Page, terminated: dict[Asset, str], asset: Asset
) -> None:
    remote = demo.only_remote(asset)
    assert (remote.cancel_requested_at, remote.ended_at) == (None, None)
    line = demo.wait_until_logged(terminated[asset], "through its API, so the run is still active")
    assert line.startswith("WARNING ")
    assert remote.id in line
    assert _WHERE[asset] in line
    page.goto(demo.run_url(terminated[asset]))
    expect(page.get_by_text("Canceled").first).to_be_visible()
    expect(page.get_by_text(line.removeprefix("WARNING ")).first).to_be_visible()


def test_url_in_the_prophecy_log_line_opens_the_run(
    demo: RunningDemo, page: Page, terminated: dict[Asset, str]
) -> None:
    line = demo.wait_until_logged(terminated[PROPHECY], _WHERE[PROPHECY])
    page.goto(line.partition("See ")[2])
    expect(page.get_by_text(f"{demo.only_remote(PROPHECY).id}, {PROPHECY.key}: RUNNING")).to_be_visible()
