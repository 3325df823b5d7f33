"""What the vendor reports about tables: it never stops the code location."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dagster_runs.sandbox import well_known
from tests.components.checking import on_load
from tests.components.discovering import WORKSPACE, refresh
from tests.components.projects import Log, Project
from tests.components.test_table_checks import check_specs, checks, spec_of
from tests.table_checks.suites import needs_split_steps

DISCOVER = f"{WORKSPACE}\n  discover: {{suites: {{include: [orders], options: {{checks: CHECKS}}}}}}\n"
ASSETS = """
import dagster as dg


@dg.asset(key=["demo", "orders"], metadata={"dagster/table_name": "demo.orders"})
def orders() -> None: ...


@dg.asset(deps=[orders], metadata={"dagster/table_name": "demo.revenue"})
def revenue() -> None: ...
"""


def write(
    project: Project, tests: list[Mapping[str, Any]], keys: str, checks: str = "{}", assets: str = ASSETS
) -> None:
    """Writes a project, and a state whose suite has these tests."""
    project.write(f"{DISCOVER.replace('CHECKS', checks)}  table_keys: {keys}")
    (project.defs_folder / "tables.py").write_text(ASSETS)
    path = refresh(project)
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "tests": {well_known.SUITE_ORDERS: tests}}))


def on(table: str, schema: str | None = "demo") -> Mapping[str, Any]:
    return {"table": table, "schema": schema, "column": None, "test_type": "Required", "test_id": "d1"}


ORDERS = "demo/orders:testgen__tests"


@pytest.mark.parametrize(
    ("keys", "other", "problem"),
    [
        ("{by: convention}", on("a b"), "the table demo.a b is left out: the asset demo/a b has a key that"),
        ("{by: convention}", on("../ö"), "the table demo.../ö is left out: the asset demo/../ö has a key that"),
        ("{by: convention}", on(""), None),
        (
            '{by: mapping, tables: {"*": "{schema}/{table}"}}',
            on("x", None),
            "the table x is left out: The asset key '{schema}/{table}' has {schema}, but the table x is in no "
            "schema. To choose the asset of a table, name it in tables",
        ),
        (
            "{by: convention}",
            on("suites/orders", "testgen"),
            "the table testgen.suites/orders is left out: the asset testgen/suites/orders",
        ),
        ("{by: convention}", on("s", "demo/orders"), None),
    ],
)
def test_table_that_cannot_have_checks_is_left_out(
    project: Project, keys: str, other: Mapping[str, Any], problem: str | None, log: Log
) -> None:
    write(project, [on("orders"), other], keys)
    assert checks(project.load()) == {ORDERS}
    assert problem is None or problem in log.text


def test_tables_that_dagster_cannot_distinguish(project: Project, log: Log) -> None:
    write(project, [on("a_b"), on("a-b"), on("orders")], "{by: convention}")
    assert checks(project.load()) == {ORDERS, "demo/a-b:testgen__tests"}
    assert "the table demo.a_b is left out: Dagster cannot distinguish its checks from those of demo/a-b" in log.text


def test_table_of_the_suite_s_own_asset_is_left_out(project: Project, log: Log) -> None:
    write(project, [on("orders", "suites")], '{by: mapping, tables: {"*": "testgen/{schema}/{table}"}}')
    assert checks(project.load()) == set()
    assert "its asset would be testgen/suites/orders, which shows the runs" in log.text
    assert "none, because suites.orders has been left out" in log.text


def test_warnings_are_short(project: Project, log: Log) -> None:
    write(project, [on("orders"), *(on(f"t {number}") for number in range(50))], "{by: convention}")
    assert checks(project.load()) == {ORDERS}
    assert len(log.messages) == 6
    assert "and 25 more are left out for similar reasons" in log.text


def test_tables_without_an_asset_are_not_unknown(project: Project, log: Log) -> None:
    write(project, [on("refunds")], "{by: table_name}", "{unmapped: ignore}")
    assert checks(project.load()) == set()
    (warning,) = log.messages
    assert warning.endswith("the checks of testgen/suites/orders: none, because demo.refunds has no asset")


@pytest.mark.parametrize("keys", ["{by: convention}", '{by: mapping, tables: {"*": "demo/{table}"}}'])
def test_case_of_the_database_does_not_matter(project: Project, keys: str, log: Log) -> None:
    write(project, [on("ORDERS", "DEMO"), on("REFUNDS", "DEMO")], keys)
    found = checks(project.load())
    assert ORDERS in found
    (other,) = found - {ORDERS}
    assert f"no assets with these keys, in any case, in the folder defs: {other.partition(':')[0]}. If" in log.text


@needs_split_steps
def test_upstream_table_that_is_tested_later(project: Project, log: Log) -> None:
    write(project, [on("orders"), on("revenue")], "{by: table_name}", "{blocking: true}")
    defs = project.load()
    assert checks(defs) == {ORDERS, "revenue:testgen__tests"}
    assert all(spec.blocking for spec in check_specs(defs) if spec.name == "testgen__tests")
    assert "the first step will refuse to start a run. The checks of demo/orders cannot block" in log.text


def test_tables_in_the_options_of_all_discovered_suites(project: Project, log: Log) -> None:
    options = "{suites: {include: [orders, clean], options: {checks: {tables: {orders: o, refunds: r}}}}}"
    project.write(f"{WORKSPACE}\n  discover: {options}")
    path = refresh(project)
    tests = {well_known.SUITE_ORDERS: [on("orders")], well_known.SUITE_CLEAN: [on("refunds")]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "tests": tests}))
    defs = project.load()
    assert checks(defs) == {"o:testgen__tests", "r:testgen__tests"}
    assert {dep.asset_key.to_user_string() for dep in spec_of(defs, "testgen/suites/clean").deps} == {"r"}
    assert log.messages == []


def test_table_of_two_listed_suites(project: Project, log: Log) -> None:
    suites = "".join(
        f"    - {{test_suite_id: {id}, key: q/{name}, checks: {{tables: {tables}}}}}\n"
        for id, name, tables in ((well_known.SUITE_ORDERS, "a", "{}"), (well_known.SUITE_CLEAN, "b", "{orders: o}"))
    )
    yaml = f"{WORKSPACE}  discover: {{suites: false}}\n  table_keys: {{by: mapping, tables: {{orders: o}}}}\n"
    project.write(f"{yaml}  suites:\n{suites}")
    path = refresh(project)
    tests = {well_known.SUITE_ORDERS: [on("orders")], well_known.SUITE_CLEAN: [on("orders")]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "tests": tests}))
    assert checks(project.load()) == {"o:testgen__tests"}
    assert "q/b: o already has the checks of q/a" in log.text
    project.write(f"{yaml}  suites:\n{suites.replace('{}', '{orders: o}')}")
    (answer,) = on_load(project)
    assert "suites.1.checks: o already has the checks of q/a" in answer
