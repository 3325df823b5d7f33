"""The rows are complete and match the code, and docs/vendors.md is up to date."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import get_origin

import pytest
from pydantic import BaseModel

from dagster_runs import RemoteRun, RemoteRunResource
from tests.conformance import what_happens
from tests.conformance.coverage import by_id, covering_tests
from tests.conformance.evidence import exists, module_of, problems
from tests.conformance.page import PAGE, TABLES, page
from tests.conformance.table import Row, Table, left_out, used

each_vendor = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.folder)


@each_vendor
def test_every_row_has_a_test_or_a_reason(table: Table) -> None:
    assert list(problems(table, by_id())) == []


def test_no_test_covers_an_unknown_id() -> None:
    ids = {table.full_id(row) for table in TABLES for row in table.rows}
    ids |= {id for page in what_happens.PAGES for id in what_happens.row_ids(page.read_text())}
    assert [(test.file, id) for test in covering_tests() for id in test.ids if id not in ids] == []


def modules(table: Table) -> Iterator[ModuleType]:
    package = import_module(f"dagster_runs.vendors.{table.folder}")
    yield from (import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__))


def own_classes(table: Table) -> Iterator[type[BaseModel]]:
    """The vendor's models, runs and resources."""
    for module in modules(table):
        for thing in vars(module).values():
            # With Python 3.10, `list[str]` is an instance of type, but no class.
            is_class = isinstance(thing, type) and get_origin(thing) is None
            if is_class and issubclass(thing, BaseModel) and thing.__module__ == module.__name__:
                yield thing


def named(table: Table) -> set[tuple[str, str]]:
    return {module_of(table, place) for row in table.rows for place in row.where}


@each_vendor
def test_every_field_in_the_code_is_in_the_table(table: Table) -> None:
    general = {*RemoteRunResource.model_fields, *RemoteRun.model_fields}
    rows = named(table)
    missing = [
        f"{of.__name__}.{field}"
        for of in own_classes(table)
        for field in of.__annotations__
        if field in of.model_fields and field not in general and (of.__module__, f"{of.__name__}.{field}") not in rows
    ]
    assert missing == []


@each_vendor
def test_every_status_in_the_code_is_in_the_table(table: Table) -> None:
    rows = named(table)
    statuses = [(module.__name__, status) for module in modules(table) for status in getattr(module, "_STATES", {})]
    assert statuses
    assert [status for module, status in statuses if (module, f"_STATES[{status}]") not in rows] == []


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make conformance`"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (used("field", "x", "x", "models:Task.task_id"), "no test covers rudderstack.field.x"),
        (used("field", "covered", "x", "models:Task.nothing"), "does not exist"),
        (left_out("field", "x", "x", ""), "not used, without a reason"),
    ],
)
def test_row_without_a_test_or_a_reason_is_reported(row: Row, says: str) -> None:
    [problem] = problems(Table("RudderStack", "rudderstack", [row]), {"rudderstack.field.covered"})
    assert says in problem


def test_duplicate_id_is_reported() -> None:
    rows = [left_out("field", "x", name, "why") for name in ("one", "two")]
    [problem] = problems(Table("RudderStack", "rudderstack", rows), ())
    assert "'x' occurs twice" in problem


def test_exists_recognizes_code_places() -> None:
    table = Table("RudderStack", "rudderstack", [])
    assert exists(table, "run:_STATES[running]")
    assert not exists(table, "run:_STATES[walking]")
    assert exists(table, "resource:RudderStackResource.start_profiles_run")
    assert exists(table, "dagster_runs.transport.auth:bearer")
