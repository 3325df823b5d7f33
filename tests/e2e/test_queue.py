"""A second request of a deferred asset is queued while its run is in flight, and started when that run has ended."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from ui_browser import metadata, open_until_shown
from ui_demo import HOURS, PROPHECY, RunningDemo, wait_for

from dagster_runs.sandbox import Behavior

MODEL = "churn_model"
STARTED_WITHIN = 90.0


def test_second_request_is_queued_and_started_later(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_behavior(PROPHECY.target_id, Behavior(running_seconds=HOURS))
    assert demo.wait_until_ended(demo.launch(MODEL)) == "SUCCESS"
    first = demo.only_remote(PROPHECY).id

    second = demo.launch(MODEL)
    assert demo.wait_until_ended(second) == "SUCCESS"
    assert demo.sandbox.starts("prophecy") == 1
    page.goto(demo.run_url(second))
    expect(page.get_by_text("Queued a Prophecy pipeline run").first).to_be_visible()
    open_until_shown(
        page, demo.asset_url(MODEL, view="events"), page.get_by_text("Queued a Prophecy pipeline run").first
    )
    sensor = f"{demo.url}/locations/customer_data/sensors/remote_run_completion"
    result = page.get_by_role("button", name="0 runs requested").first  # of the newest tick
    open_until_shown(page, sensor, result)
    result.click()
    expect(page.get_by_text("1 queued").first).to_be_visible()

    demo.sandbox.advance(HOURS)
    runs = wait_for(lambda: found if len(found := demo.sandbox.runs("prophecy")) == 2 else None, STARTED_WITHIN)
    second_remote = next(run.id for run in runs if run.id != first)
    demo.sandbox.advance(HOURS)
    open_until_shown(page, demo.asset_url(MODEL), metadata(page, "dagster_runs/run_id", second_remote), seconds=90)
    assert demo.sandbox.starts("prophecy") == 2
