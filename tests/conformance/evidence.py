"""Whether what a row names exists: tests, and places in the package."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.conformance.table import Table

TESTS = Path(__file__).parents[1]


def problems(table: Table) -> Iterator[str]:
    """What is wrong with a vendor's rows."""
    for row in table.rows:
        said = f"{table.vendor}, {row.kind} {row.name!r}"
        if row.where and not row.proof:
            yield f"{said}: no test proves it"
        if not row.where and not row.note:
            yield f"{said}: left out without a reason"
        yield from (f"{said}: {place} does not exist" for place in row.where if not exists(table, place))
        yield from (f"{said}: no test {test}" for test in row.proof if not is_test(table, test))
    seen = [(row.kind, row.name) for row in table.rows]
    twice = sorted({pair for pair in seen if seen.count(pair) > 1})
    yield from (f"{table.vendor}: {kind} {name!r} is there twice" for kind, name in twice)


def module_of(table: Table, place: str) -> tuple[str, str]:
    """The full name of the place's module, and the place in it."""
    module, _, path = place.partition(":")
    return (module if module.startswith("dagster_runs") else f"dagster_runs.vendors.{table.folder}.{module}"), path


def exists(table: Table, place: str) -> bool:
    """Whether the place is there: a class, a method, a field of a model, a word in a mapping (``_WORDS[running]``)."""
    module, path = module_of(table, place)
    try:
        found: Any = import_module(module)
        for part in path.replace("[", ".[").split("."):
            found = _part(found, part)
    except (ImportError, AttributeError, KeyError):
        return False
    return True


def _part(owner: Any, name: str) -> Any:
    if name.startswith("["):
        return owner[name.strip("[]")]
    if isinstance(owner, type) and issubclass(owner, BaseModel) and name in owner.model_fields:
        return owner.model_fields[name]
    return getattr(owner, name)


def test_file(table: Table, test: str) -> str:
    """The test's file, within tests/."""
    name = test.partition("::")[0]
    return table.files.get(name, name)


def is_test(table: Table, test: str) -> bool:
    """Whether pytest would run such a test."""
    return test.partition("::")[2] in _tests_in(test_file(table, test))


@cache
def _tests_in(file: str) -> frozenset[str]:
    path = TESTS / file
    return frozenset(_named(ast.parse(path.read_text()).body)) if path.is_file() else frozenset()


def _named(nodes: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _named(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not _is_skipped(node):
            yield prefix + node.name


def _is_skipped(test: ast.FunctionDef) -> bool:
    marks = (ast.unparse(decorator) for decorator in test.decorator_list)
    return any(mark.startswith(("pytest.mark.skip", "pytest.mark.xfail")) for mark in marks)
