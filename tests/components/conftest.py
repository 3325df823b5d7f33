import logging
from collections.abc import Iterator

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.components.projects import Log, Project, loading, new_project, sandbox_variables


@pytest.fixture
def variables(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the variables that connect the workspaces to the sandbox."""
    for name, value in sandbox_variables(sandbox).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(variables: None, clock: SandboxClock) -> Iterator[Project]:
    with new_project() as project:
        yield project


@pytest.fixture
def log() -> Iterator[Log]:
    handler, logger = Log(), logging.getLogger("dagster_runs")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def in_development(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Behaves like `dg`, which refreshes the state whenever it loads definitions.

    A test that executes a job of a code location leaves the process in the state of a step, which never refreshes.
    """
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    with loading():
        yield
