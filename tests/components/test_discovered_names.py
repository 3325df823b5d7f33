"""The keys of what is discovered, which must not change."""

from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage

from dagster_runs import TestGenResource
from dagster_runs.components.discovered_names import lasting_names
from dagster_runs.components.testgen_discovery import Discovery
from dagster_runs.components.testgen_state import Found, Server
from dagster_runs.sandbox import Sandbox
from dagster_runs.vendors.testgen.lists import catalog
from tests.components.discovering import WORKSPACE, add_suite, keys, refresh, refresh_any
from tests.components.projects import Project, loading


@pytest.mark.usefixtures("in_development")
def test_key_does_not_change_when_other_suites_are_added_or_excluded(project: Project, sandbox: Sandbox) -> None:
    project.write(f"{WORKSPACE}\n  discover: {{suites: {{include: [fin*], exclude: [fin*draft]}}}}")
    add_suite(sandbox, 2, "finance daily")
    add_suite(sandbox, 3, "finance-daily draft")
    add_suite(sandbox, 4, "finance daily (draft)")  # excluded only by one of the two names
    first = {"testgen/suites/finance_daily", "testgen/suites/finance_daily_draft"}
    assert keys(project.load()) == first
    add_suite(sandbox, 1, "finance-daily")
    assert keys(project.load()) == first | {"testgen/suites/finance_daily_11111111"}
    add_suite(sandbox, 2, "finance nightly")  # renamed
    assert keys(project.load()) == first | {"testgen/suites/finance_daily_11111111"}
    project.write(f"{WORKSPACE}\n  discover: {{suites: {{include: [finance-daily]}}}}")
    assert keys(project.load()) == {"testgen/suites/finance_daily_11111111"}


def test_key_of_a_suite_that_yaml_includes_later_is_kept(project: Project, sandbox: Sandbox) -> None:
    add_suite(sandbox, 2, "finance daily")
    project.write(f"{WORKSPACE}\n  discover: {{suites: {{include: [orders]}}}}")
    refresh(project)
    project.write(f"{WORKSPACE}\n  discover: {{suites: {{include: [fin*]}}}}")
    assert keys(project.load()) == {"testgen/suites/finance_daily"}
    add_suite(sandbox, 1, "finance-daily")
    refresh(project)
    assert keys(project.load()) == {"testgen/suites/finance_daily", "testgen/suites/finance_daily_11111111"}


def test_key_from_a_state_without_names_is_kept_when_the_other_suite_is_deleted() -> None:
    named = {
        "11111111-0000-4000-8000-000000000001": "finance daily",
        "22222222-0000-4000-8000-000000000002": "finance-daily",
    }
    resource = TestGenResource(base_url="https://testgen.example.com", access_token="x", project_code="DEFAULT")
    discovery = Discovery({"suites": {}}, dg.ResolutionContext.default(), resource, "testgen")

    def found(*ids: str) -> Found:
        suites = [catalog.ListedSuite(test_suite_id=id, test_suite_name=named[id]) for id in ids]
        now = datetime.now(timezone.utc)
        return Found(fetched_at=now, server=Server(shape="5"), project_code="DEFAULT", suites=suites, table_groups=[])

    first, second = named
    loaded = discovery.names(found(first, second))["suites"]
    assert loaded[second] == "finance_daily_22222222"
    assert discovery.names(found(second), found(first, second))["suites"] == {second: loaded[second]}


def test_names_are_kept_in_dagster_s_storage(
    project: Project, sandbox: Sandbox, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    yaml = f"{WORKSPACE}\n  discover: {{suites: {{include: [fin*]}}}}"
    project.write(f"{yaml}\n  defs_state: {{management_type: VERSIONED_STATE_STORAGE}}")
    storage = dg.UPathDefsStateStorage(tmp_path)
    storage.register_instance(instance)
    with set_defs_state_storage(storage):
        for number, name in ((2, "finance daily"), (1, "finance-daily")):
            add_suite(sandbox, number, name)
            refresh_any(project)
        with loading():
            found = keys(project.load())
    assert found == {"testgen/suites/finance_daily", "testgen/suites/finance_daily_11111111"}


def test_names_are_unique_and_do_not_depend_on_the_order() -> None:
    named = [
        ("11111111-a", "My orders"),
        ("22222222-b", "my-orders!"),
        ("33333333-c", "My-orders"),
        ("33333333-d", "My*orders"),
        ("44444444-d", "ä"),
    ]
    assert lasting_names(named, {}) == {
        "11111111-a": "My_orders_11111111",
        "22222222-b": "my_orders",
        "33333333-c": "My_orders_33333333",
        "33333333-d": "My_orders_33333333_d",
        "44444444-d": "44444444",
    }
    assert lasting_names(reversed(named), {}) == lasting_names(named, {})


def test_names_are_kept() -> None:
    kept = {"11111111-a": "orders", "22222222-b": "customers"}
    named = [("11111111-A", "sales"), ("33333333-c", "orders"), ("44444444-d", "refunds")]
    assert lasting_names(named, kept) == {**kept, "33333333-c": "orders_33333333", "44444444-d": "refunds"}
