"""A run that a colleague started at the vendor becomes a materialization with checks, once the sensor is on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from ui_browser import metadata, open_until_shown
from ui_demo import TESTGEN, RunningDemo

from dagster_runs.sandbox import Behavior

REPORTED_WITHIN = 180.0


@pytest.mark.smoke
def test_run_of_a_colleague_is_reported(demo: RunningDemo, page: Page) -> None:
    page.goto(f"{demo.url}/locations/customer_data/sensors/remote_run_observation")
    # The input is hidden behind what looks like a switch.
    page.get_by_role("checkbox").first.evaluate("element => element.click()")
    demo.sandbox.set_behavior(TESTGEN.target_id, Behavior(running_seconds=1, counts={"passed": 12, "failed": 1}))
    remote = demo.sandbox.start_run(TESTGEN.target_id, vendor="testgen", kind="run-tests")
    demo.sandbox.advance(60)

    shown = metadata(page, "dagster_runs/run_id", remote.id)
    open_until_shown(page, demo.asset_url(TESTGEN.key), shown, seconds=REPORTED_WITHIN)
    expect(metadata(page, "testgen/tests_failed", 1)).to_be_visible()
    checks = demo.asset_url(TESTGEN.key, view="checks") + "&checkDetail=tests_passed"
    open_until_shown(page, checks, page.get_by_text("12 passed, 1 failed"))
    assert demo.active_runs() == []
