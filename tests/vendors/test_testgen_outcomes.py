"""Checks of TestGen results. They use the counts, because neither the score nor the job status is reliable."""

import math
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import QualityGate
from dagster_runs.remote_run.types import CheckOutcome
from dagster_runs.vendors.testgen import outcomes
from dagster_runs.vendors.testgen.models import FailingTest, IssueCounts, ProfilingResult, TestCounts, TestResult

ERROR, WARN = "ERROR", "WARN"


def verdict_of(outcome: CheckOutcome) -> str:
    return "pass" if outcome.passed else outcome.severity.value


def counts(**given: int) -> TestCounts:
    return TestCounts(**{"passed": 0, "failed": 0, "warning": 0, "error": 0, **given})


def profile(tables: int | None = 3, **issues: int) -> ProfilingResult:
    found = IssueCounts(**{"definite": 0, "likely": 0, "possible": 0, **issues})
    return ProfilingResult(score=0.9, tables=tables, issues=found)


class TestTestsPassed:
    __test__ = True

    @pytest.mark.parametrize(
        ("given", "gate", "verdict"),
        [
            ({"passed": 9}, {}, "pass"),
            ({"passed": 9, "log": 3, "dismissed": 4}, {}, "pass"),
            ({"log": 1}, {}, ERROR),
            ({"passed": 9, "failed": 1}, {}, ERROR),
            ({"passed": 9, "error": 1}, {}, ERROR),
            ({"passed": 9, "warning": 1}, {}, WARN),
            ({"passed": 9, "warning": 1, "failed": 1}, {}, ERROR),
            ({"error": 1}, {}, ERROR),
            ({}, {}, ERROR),
            ({"dismissed": 5}, {}, ERROR),
            ({"passed": 9, "failed": 2}, {"max_failures": 2}, "pass"),
            ({"passed": 9, "failed": 3}, {"max_failures": 2}, ERROR),
            ({"passed": 9, "failed": 1, "error": 1}, {"max_failures": 1}, ERROR),
            ({"passed": 9, "warning": 2}, {"max_warnings": 2}, "pass"),
            ({"passed": 9, "warning": 3}, {"max_warnings": 2}, WARN),
            ({"passed": 9, "warning": 3, "failed": 1}, {"max_warnings": 2, "max_failures": 1}, WARN),
            ({"passed": 9, "failed": 2}, {"max_warnings": 9}, ERROR),
            ({}, {"max_failures": 99, "max_warnings": 99}, ERROR),
        ],
    )
    @pytest.mark.covers("testgen.field.counts-passed", "testgen.field.counts-failed", "testgen.field.counts-warning")
    def test_depends_on_counts_and_gate(self, given: dict[str, int], gate: dict[str, Any], verdict: str) -> None:
        assert verdict_of(outcomes.tests_passed(counts(**given), QualityGate(**gate))) == verdict

    @pytest.mark.covers("testgen.field.counts-log")
    def test_fails_without_tests_and_says_so(self) -> None:
        assert "No tests ran" in str(outcomes.tests_passed(counts(), QualityGate()).description)

    def test_fails_without_counts_and_says_so(self) -> None:
        outcome = outcomes.tests_passed(None, QualityGate(max_failures=99))
        assert verdict_of(outcome) == ERROR
        assert "no counts" in str(outcome.description)

    def test_reports_the_counts(self) -> None:
        outcome = outcomes.tests_passed(counts(passed=41, failed=5, warning=2, error=1), QualityGate())
        assert outcome.description == "41 passed, 5 failed, 1 broken, 2 with a warning"
        assert outcome.metadata == {"passed": 41, "failed": 5, "warning": 2, "error": 1}


class TestQualityScore:
    __test__ = True

    @pytest.mark.parametrize(
        ("score", "gate", "verdict"),
        [
            (0.3, {}, "pass"),
            (1.0, {"min_score": 1.0}, "pass"),
            (0.95, {"min_score": 0.95}, "pass"),
            (0.9499, {"min_score": 0.95}, ERROR),
            (0.0, {"min_score": 0.95}, ERROR),
            (0.0, {}, "pass"),
            (0.96, {"min_score": 0.95, "warn_score": 0.99}, WARN),
            (0.99, {"min_score": 0.95, "warn_score": 0.99}, "pass"),
            (0.5, {"min_score": 0.95, "warn_score": 0.99}, ERROR),
            (0.5, {"warn_score": 0.99}, WARN),
            (None, {}, WARN),
            (None, {"warn_score": 0.9}, WARN),
            (None, {"min_score": 0.9}, ERROR),
            (None, {"min_score": 0.0}, ERROR),
            (math.nan, {"min_score": 0.9}, ERROR),
            (math.inf, {"min_score": 0.9}, ERROR),
        ],
    )
    def test_depends_on_the_gate(self, score: float | None, gate: dict[str, Any], verdict: str) -> None:
        # Through the model, like a score from the server.
        got = TestResult.model_validate({"score": score}).score
        assert verdict_of(outcomes.quality_score(got, QualityGate(**gate), nothing_examined=None)) == verdict

    @pytest.mark.covers("testgen.rule.score-without-tests")
    def test_fails_if_nothing_was_examined(self) -> None:
        why = outcomes.why_no_tests(counts())
        outcome = outcomes.quality_score(1.0, QualityGate(min_score=0.5), nothing_examined=why)
        assert verdict_of(outcome) == ERROR
        assert outcome.description == why

    @pytest.mark.parametrize(
        ("why", "text"),
        [
            (outcomes.why_no_tests(None), "no counts"),
            (outcomes.why_no_tests(counts()), "No tests"),
            (outcomes.why_no_tests(counts(dismissed=3)), "No tests"),
            (outcomes.why_no_tests(counts(error=1)), "No test judged the data"),
            (outcomes.why_no_tests(counts(log=1)), "No test judged the data"),
            (outcomes.why_no_tests(counts(warning=1)), None),
            (outcomes.why_no_profile(None), "no counts"),
            (outcomes.why_no_profile(profile(tables=None)), "no counts"),
            (outcomes.why_no_profile(profile(tables=0)), "No tables"),
            (outcomes.why_no_profile(profile(tables=1)), None),
        ],
    )
    def test_reason_for_an_invalid_score(self, why: str | None, text: str | None) -> None:
        assert why is None if text is None else text in str(why)

    def test_reports_score_and_thresholds(self) -> None:
        outcome = outcomes.quality_score(0.9, QualityGate(min_score=0.95, warn_score=0.99), nothing_examined=None)
        assert outcome.metadata == {"score": 0.9, "min_score": 0.95, "warn_score": 0.99}
        assert outcome.description == "Score 0.9000 is below the required 0.95"


class TestHygieneIssues:
    __test__ = True

    @pytest.mark.parametrize(
        ("result", "gate", "verdict"),
        [
            (profile(), {}, "pass"),
            (profile(possible=9, dismissed=9, pii_high=5), {}, "pass"),
            (profile(definite=1), {}, ERROR),
            (profile(likely=1), {}, WARN),
            (profile(definite=1, likely=1), {}, ERROR),
            (profile(definite=2), {"max_failures": 2}, "pass"),
            (profile(likely=2), {"max_warnings": 2}, "pass"),
            (profile(likely=3), {"max_warnings": 2}, WARN),
            (profile(tables=0), {}, ERROR),
            (profile(tables=0), {"max_failures": 9}, ERROR),
            (profile(tables=None), {}, ERROR),
            (ProfilingResult(score=1.0, tables=3), {}, ERROR),
            (None, {}, ERROR),
        ],
    )
    def test_depends_on_counts_and_gate(
        self, result: ProfilingResult | None, gate: dict[str, Any], verdict: str
    ) -> None:
        assert verdict_of(outcomes.hygiene_issues(result, QualityGate(**gate))) == verdict

    def test_fails_without_tables_and_says_so(self) -> None:
        assert "No tables" in str(outcomes.hygiene_issues(profile(tables=0), QualityGate()).description)

    def test_reports_the_counts(self) -> None:
        outcome = outcomes.hygiene_issues(profile(definite=2, likely=1, possible=3), QualityGate())
        assert outcome.description == "2 definite, 1 likely and 3 possible issues"
        assert outcome.metadata == {"definite": 2, "likely": 1, "possible": 3}


class TestMetadata:
    __test__ = True

    def test_numbers_have_numeric_metadata_types(self) -> None:
        result = TestResult(score=0.87, counts=counts(passed=41, failed=5))
        entries = outcomes.test_run_metadata(result)
        assert isinstance(entries["testgen/score"], dg.FloatMetadataValue)
        assert isinstance(entries["testgen/tests_passed"], dg.IntMetadataValue)
        assert entries["testgen/tests_failed"].value == 5
        assert entries["testgen/tests_dismissed"].value == 0

    def test_unknown_values_are_omitted(self) -> None:
        assert outcomes.test_run_metadata(None) == {}
        assert outcomes.test_run_metadata(TestResult()) == {}
        assert outcomes.profiling_run_metadata(None) == {}
        assert set(outcomes.profiling_run_metadata(ProfilingResult(score=1.0))) == {"testgen/score"}

    def test_zero_is_reported(self) -> None:
        entries = outcomes.profiling_run_metadata(ProfilingResult(tables=0, issues=profile().issues))
        assert entries["testgen/table_count"].value == 0
        assert entries["testgen/hygiene_definite"].value == 0

    @pytest.mark.covers(
        "testgen.field.results-result-status",
        "testgen.field.results-result-message",
        "testgen.field.results-table-name",
        "testgen.field.results-column-names",
        "testgen.field.results-test-type",
        "testgen.field.results-test-type-name",
        "testgen.field.results-result-measure",
        "testgen.field.results-threshold-value",
    )
    def test_failing_tests_table_contains_only_text(self) -> None:
        tests = [
            FailingTest(
                test_type="Min_Val",
                test_type_name="Minimum Value",
                schema_name="demo",
                table_name="orders",
                column_names="total",
                result_status="failed",
                result_measure="3",
                threshold_value="0",
                result_message="<b>Values under limit: 3</b> " + "x" * 1000,
            ),
            FailingTest(test_type="CUSTOM", result_status="error"),
        ]
        shown = outcomes.failing_tests("failing", tests, None)["failing"]
        first, second = (record.data for record in shown.records)
        assert list(first) == ["status", "where", "message", "test", "measure", "threshold"]
        assert (first["status"], first["where"], first["test"]) == ("failed", "orders.total", "Minimum Value")
        assert len(str(first["message"])) == 500
        assert (second["test"], second["where"]) == ("CUSTOM", "")

    def test_failing_tests_table_may_be_empty(self) -> None:
        assert outcomes.failing_tests("failing", [], None)["failing"].records == []


class TestGates:
    __test__ = True

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"min_score": 1.1}, "min_score"),
            ({"min_score": 95}, "min_score"),
            ({"min_score": -0.1}, "min_score"),
            ({"min_score": math.nan}, "min_score"),
            ({"warn_score": 2}, "warn_score"),
            ({"max_failures": -1}, "max_failures"),
            ({"max_warnings": 0.5}, "max_warnings"),
            ({"min_score": 0.9, "warn_score": 0.8}, r"warn_score \(0.8\) is below min_score \(0.9\)"),
            ({"minimum": 0.9}, "minimum"),
        ],
    )
    def test_invalid_gates_are_rejected(self, fields: dict[str, Any], expected: str) -> None:
        with pytest.raises(ValidationError, match=expected):
            QualityGate(**fields)
