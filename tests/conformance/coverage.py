"""Which tests cover which ids: `@pytest.mark.covers("amperity.state.running")`, read from the source of all tests.

Read from the source, not collected by pytest: what needs a browser, a real server or a database counts as well, and
nothing has to be imported for it.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
_CAPITAL = re.compile("([A-Z])")


@dataclass(frozen=True, order=True)
class CoveringTest:
    """A test that pytest runs.

    Attributes:
        file: Its path within tests/.
        line: Where it begins.
        names: Its name, after that of its class if it is in one.
        ids: What its marker names.
    """

    file: str
    line: int
    names: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Its name to be read: ``TestWhatIsSent::test_every_field`` → what is sent: every field."""
        spaced = [_CAPITAL.sub(r" \1", name.removeprefix("Test")).strip().lower() for name in self.names]
        return ": ".join(name.removeprefix("test_").replace("_", " ") for name in spaced)

    def link(self) -> str:
        """For a page in docs/."""
        return f"[{self.sentence}](../tests/{self.file})"


@cache
def covering_tests() -> tuple[CoveringTest, ...]:
    """All tests with the marker, by file and line."""
    files = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    return tuple(test for file in files for test in read_tests((TESTS / file).read_text(), file.as_posix()))


@cache
def by_id() -> Mapping[str, tuple[CoveringTest, ...]]:
    """The tests of each id that some test covers."""
    found: dict[str, list[CoveringTest]] = {}
    for test in covering_tests():
        for id in test.ids:
            found.setdefault(id, []).append(test)
    return {id: tuple(tests) for id, tests in found.items()}


def read_tests(source: str, file: str) -> Iterator[CoveringTest]:
    """The tests of a file with the marker, except those that are always skipped or expected to fail."""
    return _read(ast.parse(source).body, file, ())


def _read(nodes: Iterable[ast.stmt], file: str, classes: tuple[str, ...]) -> Iterator[CoveringTest]:
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _read(node.body, file, (*classes, node.name))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not _is_skipped(node):
            ids = tuple(id for decorator in node.decorator_list for id in _ids(decorator))
            if ids:
                yield CoveringTest(file, node.lineno, (*classes, node.name), ids)


def _ids(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.covers":
        yield from (ast.literal_eval(argument) for argument in decorator.args)


def _is_skipped(test: ast.FunctionDef) -> bool:
    marks = (ast.unparse(decorator) for decorator in test.decorator_list)
    return any(mark.startswith(("pytest.mark.skip", "pytest.mark.xfail")) for mark in marks)
