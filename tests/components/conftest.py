from collections.abc import Iterator

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.components.projects import Project, new_project, sandbox_variables


@pytest.fixture
def variables(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the variables that connect the workspaces to the sandbox."""
    for name, value in sandbox_variables(sandbox).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(variables: None, clock: SandboxClock) -> Iterator[Project]:
    with new_project() as project:
        yield project
