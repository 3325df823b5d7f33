"""Discovery at the sandbox, for tests."""

import asyncio
from pathlib import Path

import dagster as dg

from dagster_runs.sandbox import Behavior, Sandbox
from tests.components.projects import Project, component_in

WORKSPACE = """
type: dagster_runs.TestGenComponent
attributes:
  workspace:
    base_url: "{{ env.TESTGEN_URL }}"
    access_token: "{{ env.TESTGEN_TOKEN }}"
    project_code: DEFAULT
    ui_url: https://testgen.example.com
"""


def keys(defs: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}


def refresh(project: Project, folder: str = "runs") -> Path:
    """Does what `dg utils refresh-defs-state` does; returns the file."""
    refresh_any(project, folder)
    (path,) = project.defs_folder.glob(".local_defs_state/*/state")
    return path


def refresh_any(project: Project, folder: str = "runs") -> None:
    component = component_in(project, folder)
    assert isinstance(component, dg.StateBackedComponent)
    asyncio.run(component.refresh_state(project.sandbox.project_root))


def add_suite(sandbox: Sandbox, number: int, name: str, behavior: Behavior | None = None) -> None:
    id = f"11111111-0000-4000-8000-00000000000{number}"
    sandbox.add_target("testgen", "test_suite", id, behavior or Behavior(), name=name)
