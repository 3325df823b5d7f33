"""Takes the screenshots in `docs/` from the demo: `python -m tests.e2e.screenshots [DIRECTORY]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from playwright.sync_api import Page, expect  # noqa: E402
from ui_browser import browser, metadata, metadata_row, open_launchpad, open_until_shown, write_config  # noqa: E402
from ui_demo import ROOT, RunningDemo, running_demo, wait_for  # noqa: E402

from dagster_runs.sandbox import Behavior, well_known  # noqa: E402

ORDERS = ("testgen", "orders_quality")
GATES = 'key:"testgen/features_quality"+1 or key:"testgen/orders_quality"+1'
# The launchpad overrides fields of the run for one launch.
OVERRIDE = """\
ops:
  testgen__orders_quality:
    config:
      match_schema_name: staging
"""


def take(demo: RunningDemo, page: Page, docs: Path) -> None:
    """Takes all screenshots, in the order of events."""

    def shoot(name: str) -> None:
        # Nothing should appear hovered over, and animations need a moment.
        page.mouse.move(0, 0)
        page.wait_for_timeout(1_500)
        page.screenshot(path=docs / f"{name}.png")
        print(docs / f"{name}.png")

    suite = Behavior(running_seconds=16, hold="running", hold_seconds=20)
    demo.sandbox.set_behavior(well_known.SUITE_ORDERS, suite)
    run_id = demo.launch()
    wait_for(lambda: demo.sandbox.starts("testgen") > 0)
    open_until_shown(page, demo.asset_url(*ORDERS, view="events"), metadata(page, "testgen/progress/tests_passed", 20))
    shoot("asset-while-running")

    demo.sandbox.set_speed(5)
    demo.wait_until_ended(run_id)
    open_until_shown(page, demo.asset_url(*ORDERS), metadata_row(page, "testgen/score"))
    shoot("asset-page")
    message = page.get_by_text("is below the required")
    open_until_shown(page, demo.asset_url(*ORDERS, view="checks") + "&checkDetail=quality_score", message)
    shoot("checks")
    lineage(demo, page, shoot)
    launchpad(demo, page, shoot)


def lineage(demo: RunningDemo, page: Page, shoot: Callable[[str], None]) -> None:
    """Opens the lineage with the gates and their downstream assets, and expands the groups."""
    groups = ",".join(f"global@global:{group}" for group in ("quality", "activation"))
    page.goto(f"{demo.url}/asset-groups~{quote(GATES, safe='')}/?expanded={quote(groups)}")
    expect(page.get_by_text("Never materialized").or_(page.get_by_text("Failed")).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Loading...")).to_have_count(0, timeout=30_000)
    shoot("held-back")


def launchpad(demo: RunningDemo, page: Page, shoot: Callable[[str], None]) -> None:
    """Opens the launchpad with one field overridden."""
    dialog = open_launchpad(page, demo.asset_url(*ORDERS))
    write_config(page, dialog, OVERRIDE)
    # The cursor is in the fields of the run, so that the side panel describes them.
    dialog.locator(".CodeMirror").evaluate("element => element.CodeMirror.setCursor(3, 6)")
    page.wait_for_timeout(2_000)
    shoot("launchpad")


def main() -> None:
    docs = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        running_demo(Path(home)) as demo,
        browser(width=1400, height=1000, scale=2) as context,
    ):
        take(demo, context.new_page(), docs)


if __name__ == "__main__":
    main()
