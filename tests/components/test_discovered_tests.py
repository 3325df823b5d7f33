"""What discovery knows about the tests of suites, and what happens if it cannot read some of them."""

import json
import os
from pathlib import Path

import pytest

from dagster_runs.components.testgen_fetch import Listed, fetch, identified
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.call_budget import with_call_budget
from dagster_runs.vendors.testgen import TestGenResource
from tests.components.discovering import WORKSPACE, add_suite, refresh
from tests.components.projects import Log, Project
from tests.components.test_table_checks import checks, finish_run
from tests.table_checks.suites import result

ALL = f"{WORKSPACE}\n  discover: {{suites: {{options: {{checks: {{}}}}}}, table_groups: true}}\n"
CONVENTION = f"{ALL}  table_keys: {{by: convention}}\n"


def tables_in(path: Path) -> dict[str, set[str]]:
    """Returns the tables that the state knows, by the last character of the suite's id."""
    return {id[-1]: {one["table"] for one in tests} for id, tests in json.loads(path.read_text())["tests"].items()}


def run(sandbox: Sandbox, number: int, *tables: str) -> str:
    """Adds a suite that tests tables, and runs it; returns the run."""
    add_suite(sandbox, number, f"suite {number}", Behavior(results=[result(table) for table in tables]))
    started = sandbox.start_run(f"11111111-0000-4000-8000-00000000000{number}", vendor="testgen")
    sandbox.advance(120)
    return started.id


def reads(sandbox: Sandbox) -> list[str]:
    return [one.path for one in sandbox.requests("testgen") if one.path.endswith("/results")]


@pytest.mark.parametrize(
    "fault", [Fault("status", status=500), Fault("status", status=403), Fault("not_json"), Fault("html", status=404)]
)
def test_results_that_cannot_be_read_do_not_stop_discovery(
    project: Project, sandbox: Sandbox, fault: Fault, log: Log
) -> None:
    ids = [run(sandbox, number, f"table_{number}") for number in (1, 2)]
    project.write(CONVENTION)
    sandbox.add_fault(Fault(fault.kind, status=fault.status, path=f"{ids[0]}/results"))
    assert tables_in(refresh(project)) == {"2": {"table_2"}}
    assert (
        "The tests of the test suite suite 1 could not be read, and stay as they were in the stored state" in log.text
    )
    sandbox.clear_faults()
    refresh(project)
    run(sandbox, 2, "table_2")
    sandbox.add_fault(Fault("status", path="/results"))
    assert tables_in(refresh(project)) == {"1": {"table_1"}, "2": {"table_2"}}


def test_a_run_without_results_does_not_take_the_checks_away(project: Project, sandbox: Sandbox) -> None:
    run(sandbox, 1, "orders")
    project.write(CONVENTION)
    refresh(project)
    run(sandbox, 1)
    assert tables_in(refresh(project)) == {"1": {"orders"}}
    assert checks(project.load()) == {"demo/orders:testgen__tests"}


@pytest.mark.usefixtures("in_development")
def test_loading_reads_only_what_has_run_since(project: Project, sandbox: Sandbox) -> None:
    for number in (1, 2):
        run(sandbox, number, "orders")
    finish_run(sandbox, well_known.TABLE_GROUP)
    project.write(CONVENTION.replace("table_groups: true", "table_groups: {options: {checks: {}}}"))
    project.load()
    before = len(reads(sandbox))
    columns = len([one for one in sandbox.requests("testgen") if one.path.endswith("/columns")])
    project.load()
    assert len(reads(sandbox)) == before
    assert len([one for one in sandbox.requests("testgen") if one.path.endswith("/columns")]) == columns
    new = run(sandbox, 2, "orders", "refunds")
    project.load()
    assert [path for path in reads(sandbox)[before:] if new not in path] == []
    before = len(reads(sandbox))
    refresh(project)
    assert len(reads(sandbox)) == before + 2


def test_lists_are_stored_if_there_is_no_time_for_the_tests(
    sandbox: Sandbox, variables: None, clock: SandboxClock, log: Log
) -> None:
    run(sandbox, 1, "orders")
    resource = TestGenResource(
        base_url=os.environ["TESTGEN_URL"], access_token=os.environ["TESTGEN_TOKEN"], project_code="DEFAULT"
    )

    def has_checks(one: Listed) -> bool:
        clock.sleep(1)  # after the lists were read
        return identified(one)[1] == "suite 1"

    with with_call_budget(clock.monotonic() + 1):
        found = fetch(resource, "a", has_checks, None, is_quick=True)
    assert len(found.suites) > 1
    assert found.tests == {}
    assert "There was no time left to read the tests of the test suite suite 1, which stay as they were" in log.text
    with with_call_budget(clock.monotonic() + 100):
        again = fetch(resource, "a", has_checks, found, is_quick=True)
    assert [one.table for one in again.known["11111111-0000-4000-8000-000000000001"]] == ["orders"]


def test_suite_that_has_the_checks_of_a_table_keeps_them(project: Project, sandbox: Sandbox, log: Log) -> None:
    run(sandbox, 2, "orders")
    project.write(CONVENTION)
    refresh(project)
    run(sandbox, 1, "orders")
    refresh(project)
    project.load()
    assert "suite_1: demo/orders already has the checks of testgen/suites/suite_2" in log.text
