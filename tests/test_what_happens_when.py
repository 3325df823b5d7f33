"""docs/what-happens-when.md names tests and errors that exist."""

import re
from pathlib import Path

import dagster as dg
import pytest

import dagster_runs
from dagster_runs import QualityGate, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import Sandbox, well_known
from tests.conformance.evidence import is_test
from tests.conformance.table import Table
from tests.remote_run.materializing import checks, materialize

PAGE = Path(__file__).parents[1] / "docs" / "what-happens-when.md"
_PROOF = re.compile(r"\[([^\]]+)\]\(\.\./tests/([^)]+)\)")
_ERROR = re.compile(r"`(\w+Error|Run[A-Z]\w+|StartOutcomeUnknown)`")
_ANYWHERE = Table("", "", {}, [])


def named_test(words: str, file: str) -> str:
    """The test that a link means: ``lost answers: nobody can tell`` is ``TestLostAnswers::test_nobody_can_tell``."""
    *class_, test = words.split(": ")
    names = ["Test" + "".join(word.capitalize() for word in name.split()) for name in class_]
    return "::".join([file, *names, "test_" + test.replace(" ", "_")])


def missing(page: str) -> list[str]:
    """The tests that it names and that pytest would not run."""
    named = [named_test(words, file) for words, file in _PROOF.findall(page)]
    return [test for test in named if not is_test(_ANYWHERE, test)]


def test_every_test_on_the_page_exists() -> None:
    page = PAGE.read_text()
    assert len(_PROOF.findall(page)) > 80
    assert missing(page) == []


def test_every_error_on_the_page_can_be_imported() -> None:
    named = set(_ERROR.findall(PAGE.read_text()))
    assert len(named) > 10
    assert [name for name in named if not hasattr(dagster_runs, name)] == []


def test_every_error_of_a_run_is_on_the_page() -> None:
    errors = [name for name in dir(dagster_runs) if _ERROR.fullmatch(f"`{name}`")]
    bases = {"RemoteRunError", "VendorError"}
    page = PAGE.read_text()
    assert [name for name in errors if name not in bases and f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("link", "is_there"),
    [
        ("[every test on the page exists](../tests/test_what_happens_when.py)", True),
        ("[every test on the page](../tests/test_what_happens_when.py)", False),
        ("[lost answers: nobody can tell](../tests/vendors/test_prophecy_assets.py)", True),
        ("[nobody can tell](../tests/vendors/test_prophecy_assets.py)", False),
        ("[every test on the page exists](../tests/no_such_file.py)", False),
    ],
)
def test_what_counts_as_a_test(link: str, is_there: bool) -> None:
    assert (missing(link) == []) is is_there


@pytest.mark.usefixtures("clock")
def test_bad_data_without_a_blocking_gate_fails_its_checks_only(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
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
