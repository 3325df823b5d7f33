"""Quality results against the user's `QualityGate`, for every vendor that has such results."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import CheckOutcome
from dagster_runs.remote_run.gate import QualityGate

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def judged_counts(
    name: str, said: str, *, failures: int, warnings: int, gate: QualityGate, metadata: Mapping[str, Any]
) -> CheckOutcome:
    """ERROR for more failures than the gate tolerates, WARN for more warnings.

    Args:
        name: The check's name.
        said: The counts in words.
        failures: How many results are bad.
        warnings: How many are doubtful.
        gate: What is tolerated.
        metadata: What the check shows.
    """
    severity = ERROR if failures > gate.max_failures else WARN
    passed = failures <= gate.max_failures and warnings <= gate.max_warnings
    if passed:
        return CheckOutcome(name, passed=True, description=said, metadata=metadata)
    return CheckOutcome(name, passed=False, severity=severity, description=said, metadata=metadata)


def judged_score(name: str, score: float | None, gate: QualityGate, *, without_score: str) -> CheckOutcome:
    """A score from 0 to 1 against the gate's thresholds.

    Args:
        name: The check's name.
        score: ``None`` if the vendor has none.
        gate: The thresholds.
        without_score: What to say then.
    """
    values = {"min_score": gate.min_score, "warn_score": gate.warn_score, "score": score}
    metadata = {key: value for key, value in values.items() if value is not None}

    def failed(said: str, severity: dg.AssetCheckSeverity = ERROR) -> CheckOutcome:
        return CheckOutcome(name, passed=False, severity=severity, description=said, metadata=metadata)

    if score is None:
        return failed(without_score, WARN if gate.min_score is None else ERROR)
    if gate.min_score is not None and score < gate.min_score:
        return failed(f"Score {score:.4f} is below the required {gate.min_score:g}")
    if gate.warn_score is not None and score < gate.warn_score:
        return failed(f"Score {score:.4f} is below {gate.warn_score:g}", WARN)
    return CheckOutcome(name, passed=True, description=f"Score {score:.4f}", metadata=metadata)
