"""Finds the tests that cover each id: `@pytest.mark.covers("amperity.state.running")`.

The markers are read from the source of all tests instead of being collected by pytest. So tests that need a browser, a
real server or a database count as well, and no test has to be imported.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, order=True)
class CoveringTest:
    """A test that pytest runs.

    Attributes:
        file: Its path within tests/.
        line: Where it begins.
        ids: The ids that its marker names.
    """

    file: str
    line: int
    ids: tuple[str, ...]


def links(tests: Iterable[CoveringTest]) -> str:
    """Returns links to the files of these tests, for a page in docs/. Each file contains the id of the row."""
    files = dict.fromkeys(test.file for test in tests)
    return "<br>".join(f"[{file.rpartition('/')[2]}](../tests/{file})" for file in files)


@cache
def covering_tests() -> tuple[CoveringTest, ...]:
    """Returns all tests with the marker, by file and line."""
    files = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    return tuple(test for file in files for test in read_tests((TESTS / file).read_text(), file.as_posix()))


@cache
def by_id() -> Mapping[str, tuple[CoveringTest, ...]]:
    """Returns the tests that cover each id."""
    found: dict[str, list[CoveringTest]] = {}
    for test in covering_tests():
        for id in test.ids:
            found.setdefault(id, []).append(test)
    return {id: tuple(tests) for id, tests in found.items()}


def read_tests(source: str, file: str) -> Iterator[CoveringTest]:
    """Yields the tests of a file with the marker, except those that are always skipped or expected to fail."""
    return _read(ast.parse(source).body, file)


def _read(nodes: Iterable[ast.stmt], file: str) -> Iterator[CoveringTest]:
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _read(node.body, file)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not _is_skipped(node):
            ids = tuple(id for decorator in node.decorator_list for id in _ids(decorator))
            if ids:
                yield CoveringTest(file, node.lineno, ids)


def _ids(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.covers":
        yield from (ast.literal_eval(argument) for argument in decorator.args)


def _is_skipped(test: ast.FunctionDef) -> bool:
    marks = (ast.unparse(decorator) for decorator in test.decorator_list)
    return any(mark.startswith(("pytest.mark.skip", "pytest.mark.xfail")) for mark in marks)
