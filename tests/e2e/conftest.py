"""One demo and one browser for all tests of this folder; a page and a fresh sandbox for each module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from playwright.sync_api import BrowserContext, Page  # noqa: E402
from ui_browser import browser  # noqa: E402
from ui_demo import RunningDemo, running_demo  # noqa: E402

SLOWEST_TEST = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(SLOWEST_TEST))


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dagster_home")


@pytest.fixture(scope="session")
def session_demo(session_home: Path) -> Iterator[RunningDemo]:
    with running_demo(session_home) as demo:
        yield demo


@pytest.fixture(scope="session")
def session_browser() -> Iterator[BrowserContext]:
    with browser() as context:
        yield context


@pytest.fixture(scope="module")
def demo(session_demo: RunningDemo) -> Iterator[RunningDemo]:
    """The demo, with a sandbox that was reset after the previous modules."""
    session_demo.sandbox.reset()
    session_demo.sandbox.set_speed(1)
    yield session_demo
    # Active runs of a module must not wait for a vendor that has lost them.
    session_demo.end_all_runs()


@pytest.fixture(scope="module")
def page(session_browser: BrowserContext) -> Iterator[Page]:
    page = session_browser.new_page()
    yield page
    page.close()
