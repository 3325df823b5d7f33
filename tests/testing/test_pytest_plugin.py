"""The fixtures that pytest finds by the package's entry point."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import pytest_plugin
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import ScriptedVendors
from dagster_runs.transport import connection
from dagster_runs.transport.clock import Clock, current_clock

NAMES = {
    "dagster_runs_clock",
    "dagster_runs_instance",
    "dagster_runs_location",
    "dagster_runs_resources",
    "dagster_runs_sandbox",
    "dagster_runs_simulated_vendors",
    "dagster_runs_vendors",
}


def test_entry_point_is_declared_and_installed() -> None:
    found = {point.value for point in entry_points(group="pytest11")}
    assert "dagster_runs.pytest_plugin" in found


def test_plugin_imports_neither_dagster_nor_a_library() -> None:
    code = "import pytest, sys; import dagster_runs.pytest_plugin; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(ended.stdout.split())
    assert {"dagster", "requests", "urllib3", "pydantic", "aiohttp", "yaml", "sqlalchemy"} & loaded == set()
    assert {name for name in loaded if name.startswith("dagster_runs")} == {
        "dagster_runs",
        "dagster_runs.pytest_plugin",
        "dagster_runs.version",
    }


def fixtures() -> Iterator[tuple[str, ast.expr]]:
    """Yields the fixtures of the plugin with their decorators."""
    for node in ast.parse(Path(pytest_plugin.__file__).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield from ((node.name, decorator) for decorator in node.decorator_list)


def test_fixtures_have_names_of_their_own_and_are_used_only_if_a_test_names_them() -> None:
    names = {name for name, _ in fixtures()}
    assert {name for name in names if not name.startswith("_")} == NAMES
    assert all(name.lstrip("_").startswith("dagster_runs_") for name in names)
    assert all("autouse" not in ast.unparse(decorator) for _, decorator in fixtures())


def test_test_that_names_no_fixture_has_the_real_clock_and_network() -> None:
    assert type(current_clock()) is Clock
    assert connection._adapter_for_tests is None


def test_instance_and_sandbox_are_empty_for_each_test(
    dagster_runs_instance: dg.DagsterInstance, dagster_runs_sandbox: Sandbox
) -> None:
    for _ in range(2):
        assert dagster_runs_instance.get_runs() == []
    assert dagster_runs_sandbox.requests() == []
    dagster_runs_sandbox.start_run(well_known.SUITE_CLEAN, vendor="testgen")
    assert type(current_clock()) is Clock


def test_sandbox_is_the_same_server_and_was_emptied(dagster_runs_sandbox: Sandbox) -> None:
    assert dagster_runs_sandbox.runs() == []


def test_resources_reach_the_vendors_of_the_test(
    dagster_runs_vendors: ScriptedVendors, dagster_runs_resources: dict[str, Any]
) -> None:
    assert set(dagster_runs_resources) == {"amperity", "prophecy", "rudderstack", "segmentflow", "testgen"}
    assert dagster_runs_resources["testgen"].base_url.startswith(dagster_runs_vendors.url)
