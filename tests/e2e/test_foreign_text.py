"""The UI shows text from a vendor as text: neither HTML nor markdown is rendered."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import open_until_shown
from ui_demo import RunningDemo

from dagster_runs.sandbox import Behavior, Fault, well_known

HTML = '<b>bold</b> <img src=x onerror="document.title=1">'
MARKDOWN = "**stars** [click me](https://evil.example) ![pixel](https://evil.example/pixel.png)"
ERROR = f"oops {HTML} {MARKDOWN}"
ORDERS = ("testgen", "orders_quality")


@pytest.fixture(scope="module")
def failed(demo: RunningDemo) -> str:
    """A Dagster run whose remote run failed with this error."""
    demo.sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=2, outcome="fail", error=ERROR))
    run_id = demo.launch("/".join(ORDERS))
    assert demo.wait_until_ended(run_id) == "FAILURE"
    return run_id


def assert_not_rendered(page: Page) -> None:
    assert page.locator("b, strong").filter(has_text="bold").count() == 0
    assert page.locator("b, strong, em").filter(has_text="stars").count() == 0
    assert page.locator("a[href*='evil.example'], img[src*='evil.example'], img[src='x']").count() == 0


@pytest.mark.parametrize("view", ["events", "checks&checkDetail=run_status"])
def test_error_of_a_failed_run_is_not_rendered_on_the_asset_page(
    demo: RunningDemo, page: Page, failed: str, view: str
) -> None:
    open_until_shown(page, demo.asset_url(*ORDERS, view=view), page.get_by_text("oops"))
    expect(page.get_by_text("<b>bold</b>").first).to_be_visible()
    expect(page.get_by_text("**stars**").first).to_be_visible()
    assert_not_rendered(page)


def test_error_is_not_rendered_in_the_run_log(demo: RunningDemo, page: Page, failed: str) -> None:
    open_until_shown(page, f"{demo.url}/runs/{failed}", page.get_by_text("oops"))
    expect(page.get_by_text("<b>bold</b>").first).to_be_visible()
    assert_not_rendered(page)


def test_error_of_a_rejected_start_is_not_rendered(demo: RunningDemo, page: Page) -> None:
    refusal = Fault("status", status=422, body={"detail": ERROR}, method="POST", path="/test-runs$", times=1)
    demo.sandbox.add_fault(refusal)
    assert demo.wait_until_ended(demo.launch("/".join(ORDERS))) == "FAILURE"
    open_until_shown(page, demo.asset_url(*ORDERS, view="events"), page.get_by_text("oops"))
    expect(page.get_by_text("**stars**").first).to_be_visible()
    assert_not_rendered(page)


def test_failing_tests_table_is_not_rendered(demo: RunningDemo, page: Page) -> None:
    row = {"test_type": "Required", "result_status": "failed", "result_message": ERROR, "table_name": "orders"}
    demo.sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=2, results=[row]))
    demo.wait_until_ended(demo.launch("/".join(ORDERS)))
    open_until_shown(page, demo.asset_url(*ORDERS), page.get_by_text("oops"))
    expect(page.get_by_text("<b>bold</b>").first).to_be_attached()
    assert_not_rendered(page)
