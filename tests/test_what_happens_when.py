"""Checks that tests cover each row of docs/what-happens-when.md and of the pages like it, and that errors exist."""

import re
from pathlib import Path

import dagster as dg
import pytest

import dagster_runs
from dagster_runs import QualityGate, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import Sandbox, well_known
from tests.conformance.coverage import by_id, read_tests
from tests.conformance.what_happens import PAGE, PAGES, row_ids, with_tests
from tests.remote_run.materializing import checks, materialize

_ERROR = re.compile(r"`(\w+Error|Run[A-Z]\w+|StartOutcomeUnknown)`")
_COVERING = """
class TestOutages:
    @pytest.mark.covers("wait.outage", "wait.other")
    def test_end_nothing(self) -> None: ...

    @pytest.mark.skip
    @pytest.mark.covers("wait.outage")
    def test_that_is_skipped(self) -> None: ...

def helper() -> None: ...
"""


def test_every_row_is_covered_by_a_test() -> None:
    ids = [id for page in PAGES for id in row_ids(page.read_text())]
    assert len(ids) > 160
    assert len(set(ids)) == len(ids)
    assert [id for id in ids if id not in by_id()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_row_has_an_id(path: Path) -> None:
    lines = path.read_text().splitlines()
    with_links = [line for line in lines if line.startswith("|") and "](../tests/" in line]
    assert len(with_links) == len(row_ids(path.read_text()))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_last_column_is_up_to_date(path: Path) -> None:
    page = path.read_text()
    assert page == with_tests(page, by_id()), "run `make conformance`"


def test_row_links_to_its_test_files() -> None:
    page = '| <a id="wait.outage"></a>an outage | a \\| b | old |\n| <a id="wait.none"></a>no test | c | |\n| x | y |\n'
    [test] = read_tests(_COVERING, "test_outages.py")
    written = with_tests(page, {id: [test] for id in test.ids})
    link = "[test_outages.py](../tests/test_outages.py)"
    assert written.splitlines() == [
        f'| <a id="wait.outage"></a>an outage | a \\| b | {link} |',
        '| <a id="wait.none"></a>no test | c |  |',
        "| x | y |",
    ]
    assert row_ids(page) == ["wait.outage", "wait.none"]


def test_every_error_on_the_page_can_be_imported() -> None:
    named = set(_ERROR.findall(PAGE.read_text()))
    assert len(named) > 10
    assert [name for name in named if not hasattr(dagster_runs, name)] == []


def test_every_error_of_a_run_is_on_the_page() -> None:
    errors = [name for name in dir(dagster_runs) if _ERROR.fullmatch(f"`{name}`")]
    bases = {"RemoteRunError", "VendorError"}
    page = PAGE.read_text()
    assert [name for name in errors if name not in bases and f"`{name}`" not in page] == []


@pytest.mark.usefixtures("clock")
@pytest.mark.covers("end.bad-data")
def test_bad_data_without_a_blocking_gate_fails_only_its_checks(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    orders = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    quality = build_remote_run_asset(orders, key="quality", gate=QualityGate(min_score=0.95))

    @dg.asset(deps=[quality])
    def report() -> None: ...

    result = materialize([quality, report], sandbox, instance)
    assert result.success
    assert {name for name, check in checks(result).items() if not check.passed} == {"tests_passed", "quality_score"}
    assert {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()} == {
        "quality",
        "report",
    }
