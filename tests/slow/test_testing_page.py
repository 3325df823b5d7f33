"""The tests on docs/testing.md pass as printed, in a project of their own, with the fixtures that pytest finds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()
PROJECT = """
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
defs_module = "defs"
"""
# A file's name in backticks, or a block, which has the file that was named last before it.
_NAME_OR_BLOCK = re.compile(r"`([\w/]+\.(?:py|yaml))`|^```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Returns the files of the page. The one block without a name is a script."""
    found: dict[str, str] = {}
    name = ""
    for named, block in _NAME_OR_BLOCK.findall(PAGE):
        if named:
            name = named
        else:
            found[name or "script.py"] = block
            name = ""
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in {**files(), "pyproject.toml": PROJECT, "defs/__init__.py": ""}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # for `examples`
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=project, env=environment)


def test_tests_on_the_page_pass(project: Path) -> None:
    tests = sum(text.count("\ndef test_") for text in files().values())
    ended = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert ended.returncode == 0, ended.stdout
    [passed] = re.findall(r"^(\d+) passed", ended.stdout, re.MULTILINE)
    assert int(passed) == tests + 1  # one has two parameters
    assert tests >= 14


def test_script_on_the_page_runs(project: Path) -> None:
    ended = run(project, "script.py")
    assert ended.returncode == 0, ended.stderr


def test_package_without_the_extra_does_not_disturb_other_tests(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_other(): ...\n\ndef test_kit(dagster_runs_vendors): ...\n", encoding="utf-8"
    )
    code = "import sys; sys.modules['aiohttp'] = None; import pytest; sys.exit(pytest.main(['-q', '-p', 'no:anyio']))"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed, 1 error" in ended.stdout
    assert "pip install 'dagster-runs[sandbox]'" in ended.stdout
