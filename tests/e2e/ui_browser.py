"""A Chromium for the UI tests. Playwright cannot always download one, so the system's is used if there is one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, TimeoutError, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE = 30_000
_ARGUMENTS = [
    "--no-sandbox",  # containers often run as root, where Chromium's sandbox does not work
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]


@contextmanager
def browser(*, width: int = 1500, height: int = 1000, scale: float = 1) -> Iterator[BrowserContext]:
    """Starts a browser with a new profile, in English and UTC, so that pages do not depend on the machine."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_executable(), args=_ARGUMENTS)
        try:
            context = chromium.new_context(
                viewport={"width": width, "height": height},
                device_scale_factor=scale,
                locale="en-GB",
                timezone_id="UTC",
            )
            context.set_default_timeout(_PATIENCE)
            expect.set_options(timeout=_PATIENCE)
            yield context
        finally:
            chromium.close()


def _executable() -> str | None:
    """Returns the Chromium of the environment or the system; None for the one that Playwright downloaded."""
    return os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)


def metadata_row(page: Page, key: str) -> Locator:
    """Returns the row of a metadata entry, on any page of an asset."""
    return page.locator("tr").filter(has=page.get_by_text(key, exact=True))


def metadata(page: Page, key: str, value: object) -> Locator:
    """Returns the metadata entry with this value."""
    # The first one, because a table among the values may contain the same text.
    return metadata_row(page, key).get_by_text(str(value), exact=True).first


def open_until_shown(page: Page, url: str, shown: Locator, *, seconds: float = 60) -> None:
    """Reloads a page until it shows the locator, because asset pages do not refresh everything."""
    deadline = time.monotonic() + seconds
    while True:
        page.goto(url)
        try:
            shown.first.wait_for(timeout=8_000)
            return
        except TimeoutError:
            assert time.monotonic() < deadline, f"{url} does not show {shown} within {seconds} s"


def press_terminate(page: Page, run_url: str) -> None:
    """Clicks the button and confirms the dialog."""
    page.goto(run_url)
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()


def press_reexecute_from_failure(page: Page, run_url: str) -> None:
    """Uses the menu next to *Re-execute*, because the button itself differs between runs."""
    page.goto(run_url)
    _press_arrow_next_to(page, "Re-execute")
    page.get_by_role("menuitem", name="From failure").click()


def press_materialize(page: Page, asset_url: str) -> Locator:
    """Opens the dialog to choose days of a partitioned asset."""
    page.goto(asset_url)
    _button(page, "Materialize").click()
    return page.get_by_role("dialog")


def open_launchpad(page: Page, asset_url: str) -> Locator:
    """Opens the launchpad and waits for its editor."""
    page.goto(asset_url)
    _press_arrow_next_to(page, "Materialize")
    page.get_by_role("menuitem", name="Open launchpad").click()
    launchpad = page.get_by_role("dialog")
    # Text entered before the editor is initialized would be lost.
    expect(launchpad.locator(".CodeMirror")).to_contain_text("resources")
    expect(launchpad.get_by_role("button", name="Materialize")).to_be_enabled()
    return launchpad


def choose_partition(page: Page, launchpad: Locator, partition: str) -> None:
    """Chooses the partition in the launchpad, which then resets its editor."""
    launchpad.get_by_placeholder("Partition").click()
    page.keyboard.type(partition)
    page.get_by_role("menuitem", name=partition).click()
    expect(launchpad.get_by_text(f"partition: {partition}")).to_be_visible()


def write_config(page: Page, launchpad: Locator, config: str) -> None:
    """Replaces the content of the launchpad's editor, like pasting."""
    launchpad.locator(".CodeMirror").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(config)


def _button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name).locator("visible=true").first


def _press_arrow_next_to(page: Page, name: str) -> None:
    """Clicks the arrow next to a button, which has no name."""
    button = _button(page, name)
    button.locator("xpath=following::button[1]").click()
