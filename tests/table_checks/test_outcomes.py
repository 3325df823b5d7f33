"""How the results of tests are judged."""

import dagster as dg
import pytest

from dagster_runs.remote_run.data_tests import DataTestResult, SuiteTest
from dagster_runs.remote_run.tables import MAX_NAME
from dagster_runs.table_checks.outcomes import MAX_FAILING_ROWS, checked_severity, outcome_of, why_not_tested

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def results(*statuses: str) -> list[DataTestResult]:
    return [
        DataTestResult(SuiteTest("orders", "sales", "id", "Required", str(number)), status)
        for number, status in enumerate(statuses)
    ]


@pytest.mark.parametrize(
    ("statuses", "passed", "severity"),
    [
        (["passed"], True, None),
        (["passed", "log"], True, None),
        (["passed", "failed"], False, ERROR),
        (["passed", "warning"], False, WARN),
        (["failed", "warning"], False, ERROR),
        (["passed", "error"], False, ERROR),
        (["error"], False, ERROR),
        (["passed", "exploded"], False, ERROR),
        (["passed", ""], False, ERROR),
    ],
)
def test_outcome(statuses: list[str], passed: bool, severity: dg.AssetCheckSeverity | None) -> None:
    outcome = outcome_of("c", results(*statuses), checked_severity(None), prefix="testgen")
    assert outcome.passed is passed
    assert severity is None or outcome.severity is severity


@pytest.mark.parametrize(
    ("statuses", "why"), [([], "no result"), (["log"], "only test just logs"), (["log", "log"], "2 tests only log")]
)
def test_nothing_that_judges_the_data_is_not_a_success(statuses: list[str], why: str) -> None:
    assert why in (why_not_tested(results(*statuses)) or "")


@pytest.mark.parametrize("status", ["passed", "failed", "warning", "error"])
def test_anything_else_is_tested(status: str) -> None:
    assert why_not_tested(results(status, "log")) is None


def test_severity_can_be_chosen() -> None:
    severity = checked_severity({"failed": "WARN", "warning": "ERROR"})
    assert outcome_of("c", results("failed"), severity, prefix="t").severity is WARN
    assert outcome_of("c", results("failed", "warning"), severity, prefix="t").severity is ERROR


def test_table_of_failing_tests_has_the_worst_first_and_is_capped() -> None:
    some = results(*["warning"] * 60, "error", "failed", "passed")
    metadata = outcome_of("c", some, checked_severity(None), prefix="testgen").metadata
    table = metadata["testgen/failing_tests"]
    assert [record.data["status"] for record in table.records][:3] == ["failed", "error", "warning"]
    assert len(table.records) == MAX_FAILING_ROWS
    assert metadata["testgen/failing_tests_left_out"].value.startswith("12 of 62 rows")
    assert metadata["testgen/tests_warning"].value == 60


def test_long_names_leave_room_for_the_message() -> None:
    column = "customer_lifetime_value_including_refunds_in_us_dollars"
    one = DataTestResult(SuiteTest("orders", "sales", column), "failed")
    [row] = outcome_of("c", [one], checked_severity(None), prefix="t").metadata["t/failing_tests"].records
    assert row.data["column"] == "customer_lifetime_v…efunds_in_us_dollars"
    assert len(str(row.data["column"])) <= MAX_NAME


def test_compared_tables_are_named() -> None:
    one = DataTestResult(SuiteTest("orders", "sales"), "passed", compared_with="crm.orders")
    metadata = outcome_of("c", [one], checked_severity(None), prefix="testgen").metadata
    assert metadata["testgen/compared_with"].value == "crm.orders"
