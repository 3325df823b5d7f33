"""The asset page shows the remote run while it is active and after it has ended."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata, metadata_row, open_until_shown
from ui_demo import RunningDemo, wait_for

from dagster_runs.sandbox import Behavior, well_known

ORDERS = ("testgen", "orders_quality")


@pytest.mark.smoke
def test_asset_page_shows_the_active_run_and_later_its_result(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(queued_seconds=0, running_seconds=4))
    demo.sandbox.set_speed(0)
    run_id = demo.launch("/".join(ORDERS))
    remote = wait_for(lambda: next(iter(demo.sandbox.runs("testgen")), None))
    demo.sandbox.advance(2)  # the simulated time is stopped, so half of the tests have run

    # On the tab Events: once an asset was materialized, Dagster's Overview shows that until the next materialization.
    open_until_shown(page, demo.asset_url(*ORDERS, view="events"), metadata(page, "testgen/progress/tests_passed", 20))
    expect(metadata(page, "dagster_runs/run_id", remote.id)).to_be_visible()
    expect(metadata(page, "dagster_runs/state", "RUNNING")).to_be_visible()
    link = metadata_row(page, "dagster_runs/url").get_by_role("link", name="http").first
    expect(link).to_have_attribute("href", re.compile(f"^{demo.sandbox.url}/testgen/ui/.*{remote.id}$"))
    assert demo.status(run_id) == "STARTED"

    demo.sandbox.advance(60)
    assert demo.wait_until_ended(run_id) == "FAILURE"  # by its blocking checks

    open_until_shown(page, demo.asset_url(*ORDERS), metadata(page, "dagster_runs/run_id", remote.id))
    expect(metadata(page, "testgen/score", "0.8713")).to_be_visible()
    expect(metadata(page, "dagster_runs/state", "SUCCEEDED")).to_be_visible()
    for name, count in (("passed", 41), ("failed", 5), ("warning", 2), ("error", 0)):
        expect(metadata(page, f"testgen/tests_{name}", count)).to_be_visible()
    expect(page.get_by_text("dagster_runs/ledger")).to_have_count(0)
    expect(page.get_by_text("dagster_runs/attached")).to_have_count(0)
    keys = page.locator("tr").filter(has_text=re.compile("(dagster_runs|testgen)/"))
    expect(keys.first).to_contain_text("dagster_runs/url")
    expect(keys.nth(-2)).to_contain_text("testgen/failing_tests")  # the last one is in the definition's metadata
    assert demo.sandbox.starts("testgen") == 1
