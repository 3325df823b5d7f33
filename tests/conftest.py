import gc
from collections.abc import Iterator

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock, fast_forward
from tests.cheaper_dagster import make_dagster_cheaper


def pytest_addoption(parser: pytest.Parser) -> None:
    rows = "docs/vendors.md or docs/what-happens-when.md"
    parser.addoption("--covers", action="append", metavar="ID", help=f"Run only the tests of this row of {rows}.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that cover one of the wanted rows."""
    wanted = config.getoption("covers")
    if not wanted:
        return
    kept = [item for item in items if any(set(wanted) & set(mark.args) for mark in item.iter_markers("covers"))]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end: Dagster's and SQLAlchemy's modules, and all tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def _cheaper_dagster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_dagster_cheaper(patch)
        yield


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The sandbox, with nothing in it yet."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def clock(sandbox: Sandbox) -> Iterator[SandboxClock]:
    """Pauses take no time."""
    with fast_forward(sandbox) as clock:
        yield clock


@pytest.fixture(scope="session")
def running_instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def instance(running_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster instance with nothing in it yet: made once, since its tables take longer than most tests."""
    running_instance.wipe()
    return running_instance
