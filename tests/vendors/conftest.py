from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dagster_runs import RudderStackResource, TestGenResource
from dagster_runs.sandbox import Sandbox, well_known
from tests.transport.scripted import Origin

TestGenMaker = Callable[..., TestGenResource]


@pytest.fixture
def rudderstack(sandbox: Sandbox) -> RudderStackResource:
    return RudderStackResource(access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{sandbox.url}/rudderstack")


@pytest.fixture
def testgen_at(sandbox: Sandbox) -> TestGenMaker:
    """A connection to one of the two mounts: ``testgen`` (5.134) or ``testgen-old`` (5.33)."""

    def make(mount: str, **fields: Any) -> TestGenResource:
        given = {
            "base_url": f"{sandbox.url}/{mount}",
            "access_token": well_known.TESTGEN_TOKEN,
            "project_code": well_known.TESTGEN_PROJECT,
            "ui_url": f"{sandbox.url}/{mount}/ui",
            **fields,
        }
        return TestGenResource(**given)

    return make


@pytest.fixture
def testgen(testgen_at: TestGenMaker) -> TestGenResource:
    return testgen_at("testgen")


@pytest.fixture
def testgen_old(testgen_at: TestGenMaker) -> TestGenResource:
    return testgen_at("testgen-old")


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """A server that answers what the test says; one for the whole module, for tests with very many examples."""
    with Origin() as origin:
        yield origin
