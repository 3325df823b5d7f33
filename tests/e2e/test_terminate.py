"""*Terminate* in the UI: cancels at the vendor, or says plainly that the run goes on and where to stop it."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from ui_demo import RunningDemo, wait_for

from dagster_runs.sandbox import Behaviour, SandboxRun, well_known


def going(demo: RunningDemo, vendor: str) -> SandboxRun:
    """The vendor's run, once it is really going."""
    return wait_for(lambda: next((run for run in demo.sandbox.runs(vendor) if run.state == "running"), None))


def press_terminate(demo: RunningDemo, page: Page, run_id: str) -> None:
    """The way a person does: the button, and the dialog that asks whether it is meant."""
    page.goto(f"{demo.url}/runs/{run_id}")
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()


def test_a_testgen_run_is_cancelled(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_behaviour(well_known.SUITE_ORDERS, Behaviour(running_seconds=3600))
    run_id = demo.launch("testgen/orders_quality")
    remote = going(demo, "testgen")

    press_terminate(demo, page, run_id)

    assert demo.wait_until_ended(run_id) == "CANCELED"
    (canceled,) = demo.sandbox.runs("testgen")
    assert (canceled.id, canceled.state) == (remote.id, "canceled")
    assert f"test run {remote.id} of {remote.target_id} ended canceled" in demo.log(run_id)
    page.goto(f"{demo.url}/runs/{run_id}")
    expect(page.get_by_text("Canceled").first).to_be_visible()


def test_a_rudderstack_run_is_left_going_and_the_log_says_where_to_stop_it(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_behaviour(well_known.PROFILES_FEATURES, Behaviour(running_seconds=3600))
    run_id = demo.launch("user_features")
    remote = going(demo, "rudderstack")

    press_terminate(demo, page, run_id)

    assert demo.wait_until_ended(run_id) == "CANCELED"
    (left,) = demo.sandbox.runs("rudderstack")
    assert left.state == "running"
    said = f"RudderStack offers no way to cancel Profiles run {remote.id}"
    page.goto(f"{demo.url}/runs/{run_id}")
    expect(page.get_by_text(said).first).to_be_attached()
    (line,) = [line for line in demo.log(run_id).splitlines() if line.startswith(f"WARNING {said}")]
    assert "open the project at https://app.rudderstack.com and stop the run there" in line
