"""The tool that runs marked tests against an earlier package, on a repository that the test creates."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.regressions.account import account, is_good
from tests.regressions.items import ITEMS
from tests.regressions.running import Outcome, marked_files, read_report, run_marked
from tests.regressions.trees import ROOT, build_base, check_package

MARKED = """
import subprocess, sys

import pytest

from dagster_runs import answer


@pytest.mark.fixes("6.1")
@pytest.mark.parametrize("wanted", [2])
def test_behavior(wanted):
    assert answer() == wanted


@pytest.mark.fixes("6.1")
def test_behavior_in_a_process():
    said = subprocess.run([sys.executable, "-c", "import dagster_runs as d; print(d.answer())"], capture_output=True)
    assert said.stdout.strip() == b"2"


@pytest.mark.fixes("6.2")
def test_new_name():
    from dagster_runs import new_name


@pytest.mark.fixes("6.3")
@pytest.mark.fixes("6.4")
def test_that_was_never_red():
    assert answer()


def test_without_the_marker():
    raise AssertionError("is not run")
"""
NEEDS_NEW_NAME = """
import pytest

from dagster_runs import new_name


@pytest.mark.fixes("6.5")
def test_of_it():
    assert new_name
"""


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(text)


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Creates a repository. Its only commit has the fault, and its files were changed since."""
    root = tmp_path / "repository"
    (root / "dagster_runs").mkdir(parents=True)
    package = root / "dagster_runs" / "__init__.py"
    package.write_text("def answer(): return 1\n")
    write(root, dagster_runs__testing="OLD = True\n", dagster_runs__gone="")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "old")
    (root / "dagster_runs" / "gone.py").unlink()
    package.write_text("def answer(): return 2\nnew_name = True\n")
    write(root, dagster_runs__testing="OLD = False\n", dagster_runs__sandbox__app="", dagster_runs__new="")
    write(root, tests__one__test_marked=MARKED, tests__two__test_new_name=NEEDS_NEW_NAME, tests__test_plain="")
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["fixes(item): of the test"]\n')
    plugin = root / "tests" / "regressions"
    plugin.mkdir()
    for path in (plugin, plugin.parent, plugin.parent / "one", plugin.parent / "two"):
        (path / "__init__.py").write_text("")
    (plugin / "plugin.py").write_bytes((ROOT / "tests" / "regressions" / "plugin.py").read_bytes())
    return root


def test_base_tree_has_the_old_package_and_the_current_tools(repository: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    build_base("HEAD", base, repository)
    check_package(base)
    assert (base / "dagster_runs" / "__init__.py").read_text() == "def answer(): return 1\n"
    assert (base / "dagster_runs" / "testing.py").read_text() == "OLD = False\n"
    assert (base / "dagster_runs" / "sandbox" / "app.py").exists()
    assert (base / "dagster_runs" / "gone.py").exists()
    assert not (base / "dagster_runs" / "new.py").exists()
    assert (base / "tests" / "one" / "test_marked.py").read_text() == MARKED


def test_unknown_commit_raises_an_error(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="git archive"):
        build_base("no-such-commit", tmp_path / "base", repository)


def test_account_counts_what_is_red_at_the_base_and_green_here(repository: Path, tmp_path: Path) -> None:
    build_base("HEAD", tmp_path / "base", repository)
    files = marked_files(repository)
    assert [path.name for path in files] == ["test_marked.py", "test_new_name.py"]
    here = run_marked(repository, tmp_path / "here", files=files, at_once=2)
    base = run_marked(tmp_path / "base", tmp_path / "there", files=files, at_once=2)
    assert {outcome.result for outcome in here.values()} == {"passed"}
    assert len(here) == 5
    items = {f"6.{number}": "" for number in range(1, 7)}
    lines = {line.item: line for line in account(items, base, here)}
    assert (lines["6.1"].tests, lines["6.1"].red, lines["6.1"].green) == (2, 2, 2)
    assert (lines["6.2"].red, lines["6.2"].cannot_import) == (0, 1)
    assert [len(lines[item].green_at_base) for item in ("6.3", "6.4")] == [1, 1]
    assert (lines["6.5"].red, lines["6.5"].cannot_import) == (0, 1)
    assert [item for item, line in lines.items() if line.is_proved] == ["6.1"]


def test_every_item_must_be_proved_by_a_test() -> None:
    items = {"6.1": "a fault", "6.2": "another"}
    here = {name: Outcome(name, (item,), "passed") for name, item in (("a", "6.1"), ("b", "6.2"))}
    base = {name: Outcome(name, outcome.items, "failed") for name, outcome in here.items()}
    assert is_good(account(items, base, here), items)
    assert not is_good(account({**items, "6.3": "a third"}, base, here), {**items, "6.3": "a third"})
    assert not is_good(account(items, {**base, "b": here["b"]}, here), items)
    assert not is_good(account(items, base, {**here, "b": base["b"]}), items)
    assert not is_good(account(items, base, {**here, "b": Outcome("b", ("6.2",), "skipped")}), items)
    unknown = {**here, "c": Outcome("c", ("7.1",), "passed")}
    assert not is_good(account(items, {**base, "c": Outcome("c", ("7.1",), "failed")}, unknown), items)


def test_fixture_and_teardown_errors_count(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    fixes = '<properties><property name="fixes" value="6.1"/></properties>'
    setup = "failed on setup with &quot;ImportError: cannot import name 'x'&quot;"
    report.write_text(
        f'<testsuites><testsuite><testcase classname="m" name="a">{fixes}<error message="{setup}"/></testcase>'
        f'<testcase classname="m" name="b">{fixes}</testcase>'
        f'<testcase classname="m" name="b">{fixes}<error message="failed on teardown with &quot;x&quot;"/></testcase>'
        f'<testcase classname="m" name="c">{fixes}<skipped/></testcase></testsuite></testsuites>'
    )
    results = {outcome.test: outcome.result for outcome in read_report(report)}
    assert results == {"m::a": "cannot import", "m::b": "failed", "m::c": "skipped"}


def test_each_marker_in_this_repository_names_a_known_item() -> None:
    assert list(ITEMS) == [f"6.{number}" for number in range(1, 18)]
    named = {
        item for path in marked_files(ROOT) for item in re.findall(r'fixes\("([^"]*)"\)', (ROOT / path).read_text())
    }
    assert named <= ITEMS.keys()
