"""All imports are declared dependencies, and a missing optional dependency is reported with what to install."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dagster_runs"
MODULES = {"pyyaml": "yaml"}
OPTIONAL = ("sandbox", "testing")  # need the extra `sandbox`
PLUGIN = PACKAGE / "pytest_plugin.py"  # only pytest imports it


def declared() -> tuple[set[str], set[str]]:
    """Returns the modules of the dependencies, and those of the extra `sandbox`."""
    text = (ROOT / "pyproject.toml").read_text()

    def modules(name: str) -> set[str]:
        found = re.search(rf"^{name} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        names = re.findall(r'"([A-Za-z0-9-]+)[^"]*"', found.group(1))
        return {MODULES.get(one, one.replace("-", "_")) for one in names}

    return modules("dependencies"), modules("sandbox")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"dagster_runs"}


def test_imports_are_declared_dependencies() -> None:
    dependencies, extra = declared()
    assert "dagster" in dependencies
    for path in PACKAGE.rglob("*.py"):
        optional = path.relative_to(PACKAGE).parts[0] in OPTIONAL
        plugin = {"pytest"} if path == PLUGIN else set[str]()
        assert imported(path) <= dependencies | (extra if optional else plugin), path


def test_declared_dependencies_are_imported() -> None:
    dependencies, extra = declared()
    used = set().union(*(imported(path) for path in PACKAGE.rglob("*.py")))
    assert dependencies | extra <= used


@pytest.mark.parametrize("what", ["import dagster_runs.testing", "runpy.run_module('dagster_runs.sandbox')"])
def test_sandbox_without_its_extra_reports_what_to_install(what: str) -> None:
    code = f"import runpy, sys; sys.modules['aiohttp'] = None; {what}"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "aiohttp" in last
    assert "pip install 'dagster-runs[sandbox]'" in last
