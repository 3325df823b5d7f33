"""A Chromium to look at the UI with. Playwright cannot always download its own, so it is the system's."""

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
    "--no-sandbox",  # containers often run as root, where Chromium's own sandbox cannot
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
    """A fresh profile, in English and UTC, so that what is shown does not depend on the machine."""
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
    """The Chromium of the environment or of the system; None for the one that Playwright has downloaded."""
    return os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)


def metadata_row(page: Page, key: str) -> Locator:
    """The row of a metadata entry, on any of an asset's pages."""
    return page.locator("tr").filter(has=page.get_by_text(key, exact=True))


def metadata(page: Page, key: str, value: object) -> Locator:
    """A metadata entry that has this value."""
    # The first: a table among the values may have the same words in it.
    return metadata_row(page, key).get_by_text(str(value), exact=True).first


def open_until_shown(page: Page, url: str, shown: Locator, *, seconds: float = 60) -> None:
    """Load a page until it shows something: not everything on an asset's page is renewed without that."""
    deadline = time.monotonic() + seconds
    while True:
        page.goto(url)
        try:
            shown.first.wait_for(timeout=8_000)
            return
        except TimeoutError:
            assert time.monotonic() < deadline, f"{url} does not show {shown} within {seconds} s"


def press_terminate(page: Page, run_url: str) -> None:
    """The way a person does: the button, and the dialog that asks whether it is meant."""
    page.goto(run_url)
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()


def press_reexecute_from_failure(page: Page, run_url: str) -> None:
    """From the menu beside *Re-execute*, whose own button differs from run to run."""
    page.goto(run_url)
    _press_arrow_beside(page, "Re-execute")
    page.get_by_role("menuitem", name="From failure").click()


def press_materialize(page: Page, asset_url: str) -> Locator:
    """Open the dialog in which a partitioned asset's days are chosen."""
    page.goto(asset_url)
    _button(page, "Materialize").click()
    return page.get_by_role("dialog")


def open_launchpad(page: Page, asset_url: str) -> Locator:
    """The launchpad's dialog, with its editor ready."""
    page.goto(asset_url)
    _press_arrow_beside(page, "Materialize")
    page.get_by_role("menuitem", name="Open launchpad").click()
    launchpad = page.get_by_role("dialog")
    # What is written before it has filled itself in would be lost.
    expect(launchpad.locator(".CodeMirror")).to_contain_text("resources")
    expect(launchpad.get_by_role("button", name="Materialize")).to_be_enabled()
    return launchpad


def choose_partition(page: Page, launchpad: Locator, partition: str) -> None:
    """Choose the partition of this launch in the launchpad, which then fills itself in anew."""
    launchpad.get_by_placeholder("Partition").click()
    page.keyboard.type(partition)
    page.get_by_role("menuitem", name=partition).click()
    expect(launchpad.get_by_text(f"partition: {partition}")).to_be_visible()


def write_config(page: Page, launchpad: Locator, config: str) -> None:
    """Replace what the launchpad's editor holds, as by pasting."""
    launchpad.locator(".CodeMirror").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(config)


def _button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name).locator("visible=true").first


def _press_arrow_beside(page: Page, name: str) -> None:
    """Such an arrow is a button without a name."""
    button = _button(page, name)
    button.locator("xpath=following::button[1]").click()
