"""After one run of the job *everything*: assets of all vendors, their checks and links, and what bad data blocks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata, metadata_row, open_until_shown
from ui_demo import PROPHECY, TESTGEN, Asset, RunningDemo

ORDERS = "testgen/orders_quality"


@pytest.fixture(scope="module")
def run_id(demo: RunningDemo) -> str:
    demo.sandbox.set_speed(10)
    run_id = demo.launch()
    assert demo.wait_until_ended(run_id, 200) == "FAILURE"
    return run_id


def test_failed_gate_blocks_only_its_downstream_assets(demo: RunningDemo, page: Page, run_id: str) -> None:
    assert demo.materialized(run_id) == {
        "audience",
        "crm_audience",
        "customer_360",
        "testgen/customers_tests",
        "testgen/features_quality",
        "testgen/marketing",
        "testgen/marketing_customers",
        "testgen/marketing_products",
        "testgen/orders_quality",
        "testgen/orders_tests",
        "testgen/warehouse_profile",
        "testgen/warehouse_tests",
        "user_features",
        "welcome_journey",
    }
    assert not {"revenue_report", "order_totals"} & set(demo.steps(run_id))

    open_until_shown(page, demo.asset_url("audience"), metadata(page, "audiences", 3))
    page.goto(demo.asset_url("revenue_report"))
    expect(page.get_by_text("Never materialized").or_(page.get_by_text("Failed")).first).to_be_visible()
    expect(page.get_by_text("currency")).to_have_count(0)

    page.goto(demo.run_url(run_id))
    page.get_by_text("Not executed (2)").click()
    expect(page.get_by_text("revenue_report").last).to_be_visible()


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("crm_audience", "rudderstack/rows_succeeded"),
        ("customer_360", "prophecy/pipeline_url"),
        ("testgen/features_quality", "testgen/score"),
        ("testgen/warehouse_tests", "testgen/test_count"),
        ("user_features", "rudderstack/tasks"),
        ("welcome_journey", "segmentflow/journey_id"),
    ],
)
def test_asset_page_shows_the_result_of_its_run(
    demo: RunningDemo, page: Page, run_id: str, key: str, entry: str
) -> None:
    open_until_shown(page, demo.asset_url(key), metadata_row(page, entry))
    expect(metadata_row(page, "dagster_runs/run_id")).to_be_visible()
    page.goto(demo.asset_url(key, view="checks"))
    expect(page.get_by_text("run_status", exact=True).first).to_be_visible()


def test_check_page_shows_the_error_of_a_failed_pipeline(demo: RunningDemo, page: Page, run_id: str) -> None:
    message = page.get_by_text("cannot be resolved")
    open_until_shown(page, demo.asset_url("churn_report", view="checks") + "&checkDetail=run_status", message)
    expect(page.get_by_text("The Prophecy pipeline run ended with status ERROR").first).to_be_visible()


@pytest.mark.parametrize(
    ("asset", "entry"),
    [(TESTGEN, "dagster_runs/url"), (PROPHECY, "dagster_runs/url"), (PROPHECY, "prophecy/pipeline_url")],
    ids=str,
)
def test_run_link_opens_the_vendor_page_of_the_run(
    demo: RunningDemo, page: Page, run_id: str, asset: Asset, entry: str
) -> None:
    link = metadata_row(page, entry).get_by_role("link", name="http").first
    open_until_shown(page, demo.asset_url(asset.key), link)
    address = link.get_attribute("href")
    assert address is not None
    response = page.goto(address)
    assert response is not None
    assert response.ok
    # Another asset may have run the same target.
    ids = [run.id for run in demo.sandbox.runs(asset.vendor) if run.target_id == asset.target_id]
    expect(page.get_by_text(re.compile("|".join(map(re.escape, ids)))).first).to_be_visible()


def test_check_page_shows_scores_and_counts(demo: RunningDemo, page: Page, run_id: str) -> None:
    url = demo.asset_url(ORDERS, view="checks")
    open_until_shown(page, f"{url}&checkDetail=quality_score", page.get_by_text("Score 0.8713 is below the required"))
    expect(page.get_by_text("This is a blocking asset check")).to_be_visible()
    expect(metadata(page, "min_score", "0.95")).to_be_visible()
    expect(metadata(page, "score", "0.8713")).to_be_visible()

    message = page.get_by_text("41 passed, 5 failed, 0 broken, 2 with a warning")
    open_until_shown(page, f"{url}&checkDetail=tests_passed", message)
    for name, count in (("passed", 41), ("failed", 5), ("warning", 2)):
        expect(metadata(page, name, count)).to_be_visible()
