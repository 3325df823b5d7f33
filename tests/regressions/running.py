"""Runs the marked tests of a tree, and reads their results from pytest's JUnit reports."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from tests.regressions.plugin import PROPERTY
from tests.regressions.trees import environment

Result = Literal["passed", "failed", "cannot import", "skipped"]
_MARKED = re.compile(r"\bfixes\(")
_CANNOT_IMPORT = re.compile(r"^(?:\w+\.)*(?:ImportError|ModuleNotFoundError)\b")
_TIMEOUT_SECONDS = 3600.0
"""Seconds for the tests of one folder. Each test also has its own timeout."""
_WORST_LAST: tuple[Result, ...] = ("passed", "skipped", "cannot import", "failed")


@dataclass(frozen=True)
class Outcome:
    """The result of one test.

    Attributes:
        test: Its module and name.
        items: The items whose fix it proves.
        result: The result; ``cannot import`` if a name is missing, so the test did not run.
        message: Why it did not pass.
    """

    test: str
    items: tuple[str, ...]
    result: Result
    message: str = ""


def marked_files(root: Path) -> list[Path]:
    """Returns the test modules that use the marker, relative to ``root``, without this tool's own tests."""
    found = (path.relative_to(root) for path in sorted((root / "tests").rglob("test_*.py")))
    return [
        path
        for path in found
        if path.parts[:2] != ("tests", "regressions") and _MARKED.search((root / path).read_text(encoding="utf-8"))
    ]


def run_marked(tree: Path, reports: Path, *, files: Sequence[Path], at_once: int) -> dict[str, Outcome]:
    """Runs the marked tests, one process per folder, so a conftest that cannot be imported stops only its folder.

    Args:
        tree: The folder with the package and the tests.
        reports: A folder for pytest's reports and output.
        files: The modules, relative to the tree.
        at_once: The number of processes that run in parallel.
    """
    reports.mkdir(parents=True, exist_ok=True)
    folders = [list(some) for _, some in groupby(sorted(files), key=lambda path: path.parent)]
    with ThreadPoolExecutor(at_once) as pool:
        found = pool.map(lambda some: _run(tree, reports, some), folders)
    return {outcome.test: outcome for outcomes in found for outcome in outcomes}


def _run(tree: Path, reports: Path, files: Sequence[Path]) -> list[Outcome]:
    name = "-".join(files[0].parent.parts)
    report = (reports / f"{name}.xml").resolve()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.regressions.plugin", "-p", "no:xdist"]
    command += ["--continue-on-collection-errors", f"--junitxml={report}", "-o", "junit_family=xunit1"]
    if not (tree / "dagster_runs" / "pytest_plugin.py").exists():
        command += ["-p", "no:dagster_runs"]  # of the environment's package, which is not the tree's
    with (reports / f"{name}.log").open("wb") as log:
        done = subprocess.run(
            [*command, *map(str, files)],
            cwd=tree,
            env=environment(tree),
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    if done.returncode not in (0, 1, 2, 4, 5):  # passed, failed, interrupted, conftest failed, nothing collected
        raise RuntimeError(f"pytest ended with {done.returncode} in {tree}; see {log.name}")
    return list(read_report(report)) if report.exists() else []


def read_report(report: Path) -> Iterator[Outcome]:
    """Reads test results from a JUnit report. A test that failed and whose teardown failed too is in it twice."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        items = tuple(one.get("value", "") for one in case.iter("property") if one.get("name") == PROPERTY)
        if not items:
            continue  # a module that could not be imported; its tests are not in the report
        test = f"{case.get('classname')}::{case.get('name')}"
        result, message = _result(case)
        known = found.get(test)
        if known is None or _WORST_LAST.index(known.result) < _WORST_LAST.index(result):
            found[test] = Outcome(test, items, result, message)
    yield from found.values()


def _result(case: ElementTree.Element) -> tuple[Result, str]:
    bad = [one for one in case if one.tag in ("failure", "error")]
    if bad:
        message = bad[0].get("message", "")
        # The message of a fixture error begins with "failed on setup with …".
        cause = message.partition('with "')[2] or message
        return ("cannot import" if _CANNOT_IMPORT.match(cause) else "failed"), message
    return ("skipped", "") if case.find("skipped") is not None else ("passed", "")
