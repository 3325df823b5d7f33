"""A deferred run: no process waits, a sensor reports it, downstream assets materialize, and a job cancels it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata_row, open_until_shown
from ui_demo import HOURS, PROPHECY, RunningDemo, wait_for

from dagster_runs.sandbox import Behavior

MODEL, SCORES = "churn_model", "churn_scores"
REPORTED_WITHIN = 90.0


@pytest.fixture(autouse=True)
def forgotten(demo: RunningDemo) -> None:
    demo.sandbox.reset()


def defer(demo: RunningDemo, behavior: Behavior) -> str:
    """Materializes the deferred asset and returns the id of its remote run."""
    demo.sandbox.set_behavior(PROPHECY.target_id, behavior)
    assert demo.wait_until_ended(demo.launch(MODEL)) == "SUCCESS"
    return demo.only_remote(PROPHECY).id


def test_deferred_run_is_reported_and_downstream_assets_materialize(demo: RunningDemo, page: Page) -> None:
    remote = defer(demo, Behavior(running_seconds=HOURS))
    assert demo.only_remote(PROPHECY).state == "RUNNING"
    assert demo.active_runs() == [], "no Dagster run waits"
    open_until_shown(page, demo.asset_url(MODEL, view="events"), metadata_row(page, "dagster_runs/run_id"))
    expect(page.get_by_text(remote).first).to_be_visible()

    demo.sandbox.advance(HOURS)
    shown = metadata_row(page, "dagster_runs/deferred_by")
    open_until_shown(page, demo.asset_url(MODEL), shown, seconds=REPORTED_WITHIN)
    expect(metadata_row(page, "dagster_runs/run_id")).to_be_visible()
    page.goto(demo.asset_url(MODEL, view="checks"))
    expect(page.get_by_text("run_status", exact=True).first).to_be_visible()
    open_until_shown(page, demo.asset_url(SCORES), metadata_row(page, "customers"), seconds=REPORTED_WITHIN)


def test_failed_deferred_run_fails_a_dagster_run_with_the_vendor_error(demo: RunningDemo, page: Page) -> None:
    remote = defer(demo, Behavior(running_seconds=5, outcome="fail", error="no column o.amount"))
    demo.sandbox.advance(60)
    run_id = wait_for(
        lambda: next(iter(demo.runs_with("dagster_runs/finishes", remote)), None), seconds=REPORTED_WITHIN
    )
    assert demo.wait_until_ended(run_id) == "FAILURE"
    message = page.get_by_text("no column o.amount")
    open_until_shown(page, demo.asset_url(MODEL, view="checks") + "&checkDetail=run_status", message)
    assert demo.sandbox.starts("prophecy") == 1


def test_run_in_flight_is_in_the_tick_and_the_vendor_cannot_cancel_it(demo: RunningDemo, page: Page) -> None:
    remote = defer(demo, Behavior(running_seconds=HOURS))
    url = f"{demo.url}/locations/customer_data/sensors/remote_run_completion"
    result = page.get_by_role("button", name="0 runs requested").first  # of the newest tick
    open_until_shown(page, url, result)
    result.click()
    expect(page.get_by_text("in flight").first).to_be_visible()

    config = {"ops": {"cancel_remote_runs_op": {"config": {"asset": MODEL}}}}
    run_id = demo.launch_job("cancel_remote_runs", config)
    assert demo.wait_until_ended(run_id) == "FAILURE"
    assert "through its API, so the run is still active" in demo.log(run_id)
    assert remote in demo.log(run_id)
