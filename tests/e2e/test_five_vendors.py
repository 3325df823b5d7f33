"""Every vendor's asset, seen in the UI."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata_row, open_until_shown
from ui_demo import RunningDemo


def test_a_failed_pipelines_error_is_readable_on_its_check(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_speed(10)
    assert demo.wait_until_ended(demo.launch("churn_report")) == "FAILURE"
    said = page.get_by_text("cannot be resolved")
    open_until_shown(page, demo.asset_url("churn_report", view="checks") + "&checkDetail=run_status", said)
    expect(page.get_by_text("The Prophecy pipeline run ended ERROR").first).to_be_visible()


@pytest.mark.parametrize(
    ("key", "entry", "check"),
    [
        ("customer_360", "prophecy/pipeline_url", "run_status"),
        ("welcome_journey", "segmentflow/journey_id", "run_status"),
        ("user_features", "rudderstack/tasks", "run_status"),
    ],
)
def test_what_a_run_brought_is_on_the_assets_page(
    demo: RunningDemo, page: Page, key: str, entry: str, check: str
) -> None:
    demo.sandbox.set_speed(10)
    assert demo.wait_until_ended(demo.launch(key)) == "SUCCESS"
    open_until_shown(page, demo.asset_url(key), metadata_row(page, entry))
    expect(metadata_row(page, "dagster_runs/run_id")).to_be_visible()
    page.goto(demo.asset_url(key, view="checks"))
    expect(page.get_by_text(check, exact=True).first).to_be_visible()
