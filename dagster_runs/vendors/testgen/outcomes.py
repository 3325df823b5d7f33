"""From TestGen's results to metadata and checks: pure functions.

Neither the score nor the job's status is safe to judge by. TestGen gives an empty suite, a suite whose only test is
broken, and a profile of no tables each the status ``completed`` and the score 1.0; so the counts decide.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.quality import QualityGate, judged_counts, judged_score
from dagster_runs.remote_run.tables import numbers, table
from dagster_runs.remote_run.types import CheckOutcome
from dagster_runs.vendors.testgen.models import FailingTest, ProfilingResult, TestCounts, TestResult

_NOTHING_KNOWN = "TestGen's answer holds no counts, so nothing is known of the data"
_NO_SCORE = "TestGen gave no score within the time that it usually takes"
_NO_TESTS = "No tests ran, so nothing is known of the data (TestGen's score is 1.0 all the same)"
_ALL_BROKEN = "No test judged the data, so nothing is known of it"
_NO_TABLES = "No tables were profiled, so nothing is known of the data (TestGen's score is 1.0 all the same)"


def test_run_metadata(result: TestResult | None) -> dict[str, Any]:
    """Score and counts of a test run, as far as they are known."""
    if result is None:
        return {}
    counts = result.counts.model_dump() if result.counts else {}
    return numbers("testgen", {"score": result.score, **{f"tests_{name}": count for name, count in counts.items()}})


def profiling_run_metadata(result: ProfilingResult | None) -> dict[str, Any]:
    """Score, sizes and issues of a profiling run, as far as they are known."""
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


def without_idle_zeros(result: ProfilingResult | None) -> ProfilingResult | None:
    """What a profiling run that did not succeed has found, without the zeros of what it did not come to."""
    if result is None or not result.tables:
        return None
    has_issues = result.issues is not None and any(result.issues.model_dump(exclude_none=True).values())
    return result if has_issues else result.model_copy(update={"issues": None})


def tests_passed(counts: TestCounts | None, gate: QualityGate, failing: Sequence[FailingTest] = ()) -> CheckOutcome:
    """ERROR for failed and broken tests beyond what the gate tolerates, WARN for warnings.

    Args:
        counts: How many tests ended how.
        gate: What is tolerated.
        failing: The tests that did not pass, to be shown.
    """
    name = "tests_passed"
    shown: dict[str, Any] = counts.model_dump(exclude={"log", "dismissed"}) if counts is not None else {}
    if failing:
        shown["failing_tests"] = failing_tests_table(failing)
    why = why_no_tests(counts)
    if counts is None or why is not None:
        return CheckOutcome(name, passed=False, description=why, metadata=shown)
    said = f"{counts.passed} passed, {counts.failed} failed, {counts.error} broken, {counts.warning} with a warning"
    failures = counts.failed + counts.error
    return judged_counts(name, said, failures=failures, warnings=counts.warning, gate=gate, metadata=shown)


def hygiene_issues(result: ProfilingResult | None, gate: QualityGate) -> CheckOutcome:
    """ERROR for definite issues beyond what the gate tolerates as failures, WARN for likely ones as warnings."""
    name = "hygiene_issues"
    why = why_no_profile(result)
    if result is None or result.issues is None or why is not None:
        return CheckOutcome(name, passed=False, description=why or _NOTHING_KNOWN)
    issues = result.issues
    said = f"{issues.definite} definite, {issues.likely} likely and {issues.possible} possible issues"
    shown = issues.model_dump(exclude_none=True)
    return judged_counts(name, said, failures=issues.definite, warnings=issues.likely, gate=gate, metadata=shown)


def quality_score(score: float | None, gate: QualityGate, *, nothing_examined: str | None) -> CheckOutcome:
    """The score against the gate's thresholds.

    Args:
        score: From 0 to 1; ``None`` if TestGen has none, as for a draft of a suite.
        gate: The thresholds.
        nothing_examined: Why the score means nothing, if it does.
    """
    name = "quality_score"
    judged = judged_score(name, score, gate, without_score=_NO_SCORE)
    if nothing_examined is None:
        return judged
    # The score is shown, and judged by nobody.
    return CheckOutcome(name, passed=False, description=nothing_examined, metadata=judged.metadata)


def why_no_tests(counts: TestCounts | None) -> str | None:
    """Why a test run's score means nothing, if it does."""
    if counts is None:
        return _NOTHING_KNOWN
    if counts.examined:
        return None
    return f"{_ALL_BROKEN} ({counts.error} broken, {counts.log} logged)" if counts.error + counts.log else _NO_TESTS


def why_no_profile(result: ProfilingResult | None) -> str | None:
    """Why a profiling run's score means nothing, if it does."""
    if result is None or result.tables is None:
        return _NOTHING_KNOWN
    return _NO_TABLES if result.tables == 0 else None


def failing_tests_table(tests: Sequence[FailingTest]) -> dg.TableMetadataValue:
    """The tests that did not pass, one row each."""
    return table(
        [
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
    )
