"""A Chromium to look at the UI with. Playwright cannot always download its own, so it is the system's."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, TimeoutError, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
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
            context.set_default_timeout(20_000)
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
            shown.first.wait_for(timeout=4_000)
            return
        except TimeoutError:
            assert time.monotonic() < deadline, f"{url} does not show {shown} within {seconds} s"
