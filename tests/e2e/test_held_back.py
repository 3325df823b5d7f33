"""Bad data holds back what depends on it, and nothing else."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from ui_browser import metadata, open_until_shown
from ui_demo import RunningDemo


def test_only_what_is_behind_the_failed_gate_is_held_back(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_speed(10)
    run_id = demo.launch()
    assert demo.wait_until_ended(run_id) == "FAILURE"

    assert demo.materialized(run_id) == {
        "audience",
        "customer_360",
        "testgen/features_quality",
        "testgen/orders_quality",
        "testgen/warehouse_profile",
        "user_features",
        "welcome_journey",
    }
    assert "revenue_report" not in demo.steps(run_id)

    open_until_shown(page, demo.asset_url("audience"), metadata(page, "audiences", 3))
    page.goto(demo.asset_url("revenue_report"))
    expect(page.get_by_text("Never materialized").or_(page.get_by_text("Failed")).first).to_be_visible()
    expect(page.get_by_text("currency")).to_have_count(0)

    page.goto(f"{demo.url}/runs/{run_id}")
    page.get_by_text("Not executed (1)").click()
    expect(page.get_by_text("revenue_report").last).to_be_visible()
