"""A backfill from the dialog of the UI starts one workflow over the whole range."""

from __future__ import annotations

from playwright.sync_api import Page, expect
from ui_browser import metadata, open_until_shown, press_materialize
from ui_demo import AMPERITY, RunningDemo

DAYS = ("2026-11-11", "2026-11-12", "2026-11-13", "2026-11-14")


def test_backfill_of_a_date_range_starts_one_workflow(demo: RunningDemo, page: Page) -> None:
    demo.sandbox.set_speed(10)
    dialog = press_materialize(page, demo.asset_url(AMPERITY.key))
    expect(dialog.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
    chosen = dialog.get_by_role("textbox").first
    chosen.fill(f"[{DAYS[0]}...{DAYS[-1]}]")
    chosen.press("Tab")
    expect(dialog.get_by_text(f"{len(DAYS)} partitions", exact=True)).to_be_visible()
    run_id = demo.launched_by(dialog.get_by_role("button", name="Launch backfill").click)

    assert demo.wait_until_ended(run_id) == "SUCCESS"
    (request,) = [one for one in demo.sandbox.requests("amperity") if one.method == "POST"]
    assert request.body == {
        "config_id": AMPERITY.target_id,
        "range_from": "2026-11-11T00:00:00Z",
        "range_to": "2026-11-15T00:00:00Z",
    }
    remote = demo.only_remote(AMPERITY)
    for day in DAYS:
        url = demo.asset_url(AMPERITY.key, view=f"partitions&partition={day}")
        open_until_shown(page, url, metadata(page, "dagster_runs/run_id", remote.id))
    page.get_by_role("textbox").first.fill(f"[{DAYS[0]}...{DAYS[-1]}]")
    page.get_by_role("textbox").first.press("Tab")
    expect(page.get_by_text(f"Materialized ({len(DAYS)})")).to_be_visible()
    expect(page.get_by_text("Missing (0)")).to_be_visible()
