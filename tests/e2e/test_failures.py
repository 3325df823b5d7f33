"""The UI shows the error of a failed remote run."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata, metadata_row, open_until_shown
from ui_demo import AMPERITY, SEGMENTFLOW, Asset, RunningDemo

from dagster_runs.sandbox import Behavior

_ERROR = "Source file events_2026-11-02.csv is missing"
_EXPECTED = {AMPERITY: ("workflow", "failed"), SEGMENTFLOW: ("journey run", "failed")}


@pytest.fixture(scope="module")
def failed(demo: RunningDemo) -> dict[Asset, str]:
    """Dagster runs whose remote runs have failed."""
    launched = demo.launch_all(_EXPECTED, Behavior(running_seconds=2, outcome="fail", error=_ERROR))
    for run_id in launched.values():
        assert demo.wait_until_ended(run_id) == "FAILURE"
    return launched


@pytest.mark.parametrize("asset", list(_EXPECTED), ids=str)
def test_check_page_shows_the_error(demo: RunningDemo, page: Page, failed: dict[Asset, str], asset: Asset) -> None:
    label, vendor_status = _EXPECTED[asset]
    url = demo.asset_url(asset.key, view="checks") + "&checkDetail=run_status"
    open_until_shown(page, url, metadata(page, "error", _ERROR))
    expect(metadata(page, "vendor_status", vendor_status)).to_be_visible()
    expect(metadata(page, "run_id", demo.only_remote(asset).id)).to_be_visible()
    expect(
        page.get_by_text(f"{asset.vendor.capitalize()} {label} ended with status {vendor_status}").first
    ).to_be_visible()


@pytest.mark.parametrize("asset", list(_EXPECTED), ids=str)
def test_asset_events_show_the_error(demo: RunningDemo, page: Page, failed: dict[Asset, str], asset: Asset) -> None:
    url = demo.asset_url(asset.key, view="events")
    open_until_shown(page, url, metadata(page, "dagster_runs/error", _ERROR))
    expect(metadata(page, "dagster_runs/state", "FAILED")).to_be_visible()
    expect(metadata(page, "dagster_runs/run_id", demo.only_remote(asset).id)).to_be_visible()


def test_amperity_tasks_are_listed_with_their_states(demo: RunningDemo, page: Page, failed: dict[Asset, str]) -> None:
    tasks = metadata_row(page, "amperity/tasks")
    open_until_shown(page, demo.asset_url(AMPERITY.key, view="events"), tasks)
    for task, state in (
        ("Updating domain tables", "succeeded"),
        ("Generating database", "failed"),
        ("Validating database Customer 360", "skipped"),
    ):
        row = tasks.locator("tr").filter(has=page.get_by_text(task, exact=True))
        expect(row.get_by_text(state, exact=True)).to_be_visible()
    expect(tasks.get_by_text(_ERROR)).to_be_visible()


@pytest.mark.parametrize("asset", list(_EXPECTED), ids=str)
def test_run_page_shows_the_error(demo: RunningDemo, page: Page, failed: dict[Asset, str], asset: Asset) -> None:
    page.goto(demo.run_url(failed[asset]))
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible()
    expect(page.get_by_text(_ERROR).first).to_be_visible()
