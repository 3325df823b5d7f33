"""From TestGen's results to metadata and checks: pure functions.

Neither the score nor the job's status is safe to judge by. TestGen gives an empty suite, a suite whose only test is
broken, and a profile of no tables each the status ``completed`` and the score 1.0; so the counts decide.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import CheckOutcome
from dagster_runs.remote_run.gate import QualityGate
from dagster_runs.remote_run.tables import table
from dagster_runs.vendors.testgen.models import FailingTest, IssueCounts, ProfilingResult, TestCounts, TestResult

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
_NOTHING_KNOWN = "TestGen's answer holds no counts, so nothing is known of the data"
_NO_TESTS = "No tests ran, so nothing is known of the data (TestGen's score is 1.0 all the same)"
_ALL_BROKEN = "No test judged the data, so nothing is known of it"
_NO_TABLES = "No tables were profiled, so nothing is known of the data (TestGen's score is 1.0 all the same)"


def test_run_metadata(result: TestResult | None) -> dict[str, Any]:
    """Score and counts of a test run, as far as they are known."""
    if result is None:
        return {}
    counts = result.counts.model_dump() if result.counts else {}
    return _numbers({"score": result.score, **{f"tests_{name}": count for name, count in counts.items()}})


def profiling_run_metadata(result: ProfilingResult | None) -> dict[str, Any]:
    """Score, sizes and issues of a profiling run, as far as they are known."""
    if result is None:
        return {}
    issues = result.issues
    return _numbers(
        {
            "score": result.score,
            "table_count": result.tables,
            "column_count": result.columns,
            "record_count": result.records,
            "hygiene_definite": issues and issues.definite,
            "hygiene_likely": issues and issues.likely,
            "hygiene_possible": issues and issues.possible,
            "hygiene_dismissed": issues and issues.dismissed,
            "pii_high": issues and issues.pii_high,
            "pii_moderate": issues and issues.pii_moderate,
        }
    )


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    return {
        f"testgen/{name}": dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.int(value)
        for name, value in values.items()
        if value is not None
    }


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
    if counts is None:
        return CheckOutcome(name, passed=False, description=_NOTHING_KNOWN)
    if counts.examined == 0:
        return CheckOutcome(name, passed=False, description=why_no_tests(counts), metadata=shown)
    said = f"{counts.passed} passed, {counts.failed} failed, {counts.error} broken, {counts.warning} with a warning"
    failures = counts.failed + counts.error
    return _judged(name, said, failures=failures, warnings=counts.warning, gate=gate, metadata=shown)


def hygiene_issues(result: ProfilingResult | None, gate: QualityGate) -> CheckOutcome:
    """ERROR for definite issues beyond what the gate tolerates as failures, WARN for likely ones as warnings."""
    name = "hygiene_issues"
    if result is None or result.issues is None or result.tables is None:
        return CheckOutcome(name, passed=False, description=_NOTHING_KNOWN)
    if result.tables == 0:
        return CheckOutcome(name, passed=False, description=_NO_TABLES)
    issues: IssueCounts = result.issues
    said = f"{issues.definite} definite, {issues.likely} likely and {issues.possible} possible issues"
    return _judged(
        name,
        said,
        failures=issues.definite,
        warnings=issues.likely,
        gate=gate,
        metadata=issues.model_dump(exclude_none=True),
    )


def _judged(
    name: str, said: str, *, failures: int, warnings: int, gate: QualityGate, metadata: dict[str, Any]
) -> CheckOutcome:
    if failures > gate.max_failures:
        return CheckOutcome(name, passed=False, severity=ERROR, description=said, metadata=metadata)
    if warnings > gate.max_warnings:
        return CheckOutcome(name, passed=False, severity=WARN, description=said, metadata=metadata)
    return CheckOutcome(name, passed=True, description=said, metadata=metadata)


def quality_score(score: float | None, gate: QualityGate, *, nothing_examined: str | None) -> CheckOutcome:
    """The score against the gate's thresholds.

    Args:
        score: From 0 to 1; ``None`` if TestGen has none, as for a draft of a suite.
        gate: The thresholds.
        nothing_examined: Why the score means nothing, if it does.
    """
    name = "quality_score"
    thresholds = {"min_score": gate.min_score, "warn_score": gate.warn_score}
    metadata: dict[str, Any] = {key: value for key, value in thresholds.items() if value is not None}
    if score is not None:
        metadata["score"] = score
    if nothing_examined is not None:
        return CheckOutcome(name, passed=False, description=nothing_examined, metadata=metadata)
    if score is None:
        return CheckOutcome(
            name,
            passed=False,
            severity=WARN if gate.min_score is None else ERROR,
            description="TestGen gave no score within the time that it usually takes",
            metadata=metadata,
        )
    if gate.min_score is not None and score < gate.min_score:
        said = f"Score {score:.4f} is below the required {gate.min_score:g}"
        return CheckOutcome(name, passed=False, severity=ERROR, description=said, metadata=metadata)
    if gate.warn_score is not None and score < gate.warn_score:
        said = f"Score {score:.4f} is below {gate.warn_score:g}"
        return CheckOutcome(name, passed=False, severity=WARN, description=said, metadata=metadata)
    return CheckOutcome(name, passed=True, description=f"Score {score:.4f}", metadata=metadata)


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
