from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dagster_runs import (
    AmperityResource,
    ProphecyResource,
    RudderStackResource,
    SegmentflowResource,
    TestGenResource,
)
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.transport import auth as auth_module
from tests.transport.scripted import Origin

TestGenMaker = Callable[..., TestGenResource]
AmperityMaker = Callable[..., AmperityResource]


@pytest.fixture
def rudderstack(sandbox: Sandbox) -> RudderStackResource:
    return RudderStackResource(access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{sandbox.url}/rudderstack")


@pytest.fixture
def testgen_at(sandbox: Sandbox) -> TestGenMaker:
    """A resource for one of the two mounts: ``testgen`` (5.134) or ``testgen-old`` (5.33)."""

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


@pytest.fixture
def amperity_at(sandbox: Sandbox) -> AmperityMaker:
    """A resource without a rate limit, here or in the sandbox, because both limits use real time."""
    sandbox.configure("amperity", requests_per_second=None)

    def make(**fields: Any) -> AmperityResource:
        given = {
            "tenant": well_known.AMPERITY_TENANT,
            "access_token": well_known.AMPERITY_TOKEN,
            "base_url": f"{sandbox.url}/amperity",
            "requests_per_second": None,
            **fields,
        }
        return AmperityResource(**given)

    return make


@pytest.fixture
def amperity(amperity_at: AmperityMaker) -> AmperityResource:
    return amperity_at()


@pytest.fixture
def segmentflow(sandbox: Sandbox) -> SegmentflowResource:
    return SegmentflowResource(api_key=well_known.SEGMENTFLOW_API_KEY, base_url=f"{sandbox.url}/segmentflow")


@pytest.fixture
def prophecy(sandbox: Sandbox) -> ProphecyResource:
    return ProphecyResource(access_token=well_known.PROPHECY_TOKEN, base_url=f"{sandbox.url}/prophecy")


@pytest.fixture
def nobody_has_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clears the tokens, which are shared by the whole process and so by earlier tests."""
    monkeypatch.setattr(auth_module, "_shared", {})


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """A server with scripted responses; one for the whole module, for tests with many examples."""
    with Origin() as origin:
        yield origin
