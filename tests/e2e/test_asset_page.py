"""What a person sees of a remote run on its asset's pages, while it is going and afterwards."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from ui_browser import metadata, metadata_row, open_until_shown
from ui_demo import RunningDemo, wait_for

from dagster_runs.sandbox import Behaviour, well_known

ORDERS = ("testgen", "orders_quality")
HOURS = 3600.0


def test_shows_the_run_while_it_is_going_and_its_result_afterwards(demo: RunningDemo, page: Page) -> None:
    # The suite stands still when half of its tests have run.
    demo.sandbox.set_behaviour(
        well_known.SUITE_ORDERS, Behaviour(running_seconds=4, hold="running", hold_seconds=HOURS)
    )
    run_id = demo.launch("/".join(ORDERS))
    remote = wait_for(lambda: next(iter(demo.sandbox.runs("testgen")), None))

    # On the tab Events: once an asset was materialized, Dagster's Overview shows that until the next materialization.
    open_until_shown(page, demo.asset_url(*ORDERS, view="events"), metadata(page, "testgen/tests_passed", 20))
    expect(metadata(page, "dagster_runs/run_id", remote.id)).to_be_visible()
    expect(metadata(page, "dagster_runs/state", "RUNNING")).to_be_visible()
    link = metadata_row(page, "dagster_runs/url").get_by_role("link", name="http").first
    expect(link).to_have_attribute("href", re.compile(f"^{demo.sandbox.url}/testgen/ui/.*{remote.id}$"))
    assert demo.status(run_id) == "STARTED"

    demo.sandbox.advance(HOURS)
    assert demo.wait_until_ended(run_id) == "FAILURE"  # by its blocking checks

    open_until_shown(page, demo.asset_url(*ORDERS), metadata(page, "dagster_runs/run_id", remote.id))
    expect(metadata(page, "testgen/score", "0.8713")).to_be_visible()
    expect(metadata(page, "dagster_runs/state", "SUCCEEDED")).to_be_visible()
    for name, count in (("passed", 41), ("failed", 5), ("warning", 2), ("error", 0)):
        expect(metadata(page, f"testgen/tests_{name}", count)).to_be_visible()
    expect(page.get_by_text("dagster_runs/ledger")).to_have_count(0)
    assert demo.sandbox.starts("testgen") == 1


def test_the_link_leads_to_the_vendors_page_of_the_run(demo: RunningDemo, page: Page) -> None:
    run_id = demo.launch("/".join(ORDERS))
    demo.wait_until_ended(run_id)
    (remote,) = demo.sandbox.runs("testgen")

    link = metadata_row(page, "dagster_runs/url").get_by_role("link", name="http").first
    open_until_shown(page, demo.asset_url(*ORDERS), link)
    address = link.get_attribute("href")
    assert address is not None
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok
    expect(page.get_by_text(remote.id).first).to_be_visible()


def test_the_checks_show_their_numbers(demo: RunningDemo, page: Page) -> None:
    demo.wait_until_ended(demo.launch("/".join(ORDERS)))

    url = demo.asset_url(*ORDERS, view="checks")
    open_until_shown(page, f"{url}&checkDetail=quality_score", page.get_by_text("Score 0.8713 is below the required"))
    expect(page.get_by_text("This is a blocking asset check")).to_be_visible()
    expect(metadata(page, "min_score", "0.95")).to_be_visible()
    expect(metadata(page, "score", "0.8713")).to_be_visible()

    said = page.get_by_text("41 passed, 5 failed, 0 broken, 2 with a warning")
    open_until_shown(page, f"{url}&checkDetail=tests_passed", said)
    for name, count in (("passed", 41), ("failed", 5), ("warning", 2)):
        expect(metadata(page, name, count)).to_be_visible()
