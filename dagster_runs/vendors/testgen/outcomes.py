"""Converts TestGen's results to metadata and check outcomes, with pure functions.

The score and the job's status are not enough to judge a result. TestGen reports the status ``completed`` and the score
1.0 for an empty suite, for a suite whose only test is broken, and for a profile of no tables. So the counts decide.
"""

from collections.abc import Sequence
from typing import Any

from dagster_runs.remote_run.quality import QualityGate, check_counts, check_score
from dagster_runs.remote_run.tables import Cell, numbers, table_entries
from dagster_runs.remote_run.types import CheckOutcome
from dagster_runs.vendors.testgen.models import FailingTest, ProfilingResult, TestCounts, TestResult

_NOTHING_KNOWN = "TestGen's response contains no counts, so the quality of the data is unknown"
_NO_SCORE = "TestGen did not report a score within the time that it usually takes"
_NO_TESTS = "No tests ran, so the quality of the data is unknown (TestGen still reports a score of 1.0)"
_ALL_BROKEN = "No test judged the data, so its quality is unknown"
_NO_TABLES = "No tables were profiled, so the quality of the data is unknown (TestGen still reports a score of 1.0)"


def test_run_metadata(result: TestResult | None) -> dict[str, Any]:
    """Returns the score and the counts of a test run as metadata, as far as they are known."""
    if result is None:
        return {}
    counts = result.counts.model_dump() if result.counts else {}
    return numbers("testgen", {"score": result.score, **{f"tests_{name}": count for name, count in counts.items()}})


def profiling_run_metadata(result: ProfilingResult | None) -> dict[str, Any]:
    """Returns the score, the sizes and the issue counts of a profiling run as metadata, as far as they are known."""
    if result is None:
        return {}
    issues = result.issues.model_dump() if result.issues else {}
    return numbers(
        "testgen",
        {
            "score": result.score,
            "table_count": result.tables,
            "column_count": result.columns,
            "record_count": result.records,
            **{name if name.startswith("pii") else f"hygiene_{name}": count for name, count in issues.items()},
        },
    )


def drop_zero_counts(result: ProfilingResult | None) -> ProfilingResult | None:
    """Returns the partial result of an unsuccessful profiling run, without the zero counts of unreached stages."""
    if result is None or not result.tables:
        return None
    has_issues = result.issues is not None and any(result.issues.model_dump(exclude_none=True).values())
    return result if has_issues else result.model_copy(update={"issues": None})


def of_test_run(
    result: TestResult | None, gate: QualityGate | None, failing: Sequence[FailingTest] = ()
) -> tuple[CheckOutcome, ...]:
    """Returns the outcomes of the checks of a test run.

    Args:
        result: The counts and the score.
        gate: The quality gate; ``None`` for the default one.
        failing: The tests that did not pass, to show in the metadata.
    """
    judge = gate or QualityGate()
    counts, score = (result.counts, result.score) if result is not None else (None, None)
    passed = tests_passed(counts, judge, failing)
    return passed, quality_score(score, judge, nothing_examined=why_no_tests(counts))


def of_profiling_run(result: ProfilingResult | None, gate: QualityGate | None) -> tuple[CheckOutcome, ...]:
    """Returns the outcomes of the checks of a profiling run.

    Args:
        result: The counts and the score.
        gate: The quality gate; ``None`` for the default one.
    """
    judge = gate or QualityGate()
    score = result.score if result is not None else None
    return hygiene_issues(result, judge), quality_score(score, judge, nothing_examined=why_no_profile(result))


def tests_passed(counts: TestCounts | None, gate: QualityGate, failing: Sequence[FailingTest] = ()) -> CheckOutcome:
    """Fails with ERROR for more failed and broken tests than the gate tolerates, with WARN for more warnings.

    Args:
        counts: The number of tests by result.
        gate: The quality gate.
        failing: The tests that did not pass, to show in the metadata.
    """
    name = "tests_passed"
    shown: dict[str, Any] = counts.model_dump(exclude={"log", "dismissed"}) if counts is not None else {}
    if failing:
        shown |= failing_tests("failing_tests", failing, counts)
    why = why_no_tests(counts)
    if counts is None or why is not None:
        return CheckOutcome(name, passed=False, description=why, metadata=shown)
    summary = f"{counts.passed} passed, {counts.failed} failed, {counts.error} broken, {counts.warning} with a warning"
    failures = counts.failed + counts.error
    return check_counts(name, summary, failures=failures, warnings=counts.warning, gate=gate, metadata=shown)


def hygiene_issues(result: ProfilingResult | None, gate: QualityGate) -> CheckOutcome:
    """Fails with ERROR for more definite issues than the gate's ``max_failures``, with WARN for likely issues.

    Likely issues count against the gate's ``max_warnings``.
    """
    name = "hygiene_issues"
    why = why_no_profile(result)
    if result is None or result.issues is None or why is not None:
        return CheckOutcome(name, passed=False, description=why or _NOTHING_KNOWN)
    issues = result.issues
    summary = f"{issues.definite} definite, {issues.likely} likely and {issues.possible} possible issues"
    shown = issues.model_dump(exclude_none=True)
    return check_counts(name, summary, failures=issues.definite, warnings=issues.likely, gate=gate, metadata=shown)


def quality_score(score: float | None, gate: QualityGate, *, nothing_examined: str | None) -> CheckOutcome:
    """Compares the score with the gate's thresholds.

    Args:
        score: From 0 to 1; ``None`` if TestGen has none, as for a draft of a suite.
        gate: The quality gate.
        nothing_examined: Why the score is meaningless; ``None`` if it is meaningful.
    """
    name = "quality_score"
    judged = check_score(name, score, gate, without_score=_NO_SCORE)
    if nothing_examined is None:
        return judged
    # The score is shown in the metadata but not judged.
    return CheckOutcome(name, passed=False, description=nothing_examined, metadata=judged.metadata)


def why_no_tests(counts: TestCounts | None) -> str | None:
    """Returns why a test run's score is meaningless; ``None`` if it is meaningful."""
    if counts is None:
        return _NOTHING_KNOWN
    if counts.examined:
        return None
    return f"{_ALL_BROKEN} ({counts.error} broken, {counts.log} logged)" if counts.error + counts.log else _NO_TESTS


def why_no_profile(result: ProfilingResult | None) -> str | None:
    """Returns why a profiling run's score is meaningless; ``None`` if it is meaningful."""
    if result is None or result.tables is None:
        return _NOTHING_KNOWN
    return _NO_TABLES if result.tables == 0 else None


def failing_tests(name: str, tests: Sequence[FailingTest], counts: TestCounts | None) -> dict[str, Any]:
    """Returns a table of the tests that did not pass as metadata, with one row per test.

    Args:
        name: The key of the table.
        tests: The tests, worst first. They may be only the first ones.
        counts: The number of tests by result.
    """
    total = counts.failed + counts.error + counts.warning if counts is not None else None
    rows: list[dict[str, Cell]] = [
        {
            "status": test.result_status,
            "where": ".".join(part for part in (test.table_name, test.column_names) if part),
            "message": test.result_message,
            "test": test.test_type_name or test.test_type,
            "measure": test.result_measure,
            "threshold": test.threshold_value,
        }
        for test in tests
    ]
    return table_entries(name, rows, total=total)
