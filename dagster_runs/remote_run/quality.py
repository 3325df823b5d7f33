"""Quality gates: when a run's results are good enough, for every vendor that has such results."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.types import CheckOutcome

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


class QualityGate(BaseModel):
    """How a run with quality results is judged.

    Without thresholds every failed test fails the checks, and the score is shown but not judged.

    Args:
        min_score: Lowest score, from 0 to 1, that passes; below it `quality_score` fails with severity ERROR.
        warn_score: Below this score, and not below ``min_score``, `quality_score` fails with severity WARN.
        max_failures: How many failed or broken tests (definite hygiene issues, for a profiling run) are tolerated.
        max_warnings: How many tests with warnings (likely hygiene issues) are tolerated.
        blocking: Whether a check that fails with ERROR keeps downstream assets from being materialized in the same run.

    Example:
        ``QualityGate(min_score=0.95, blocking=True)``
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_score: float | None = Field(default=None, ge=0, le=1)
    warn_score: float | None = Field(default=None, ge=0, le=1)
    max_failures: int = Field(default=0, ge=0)
    max_warnings: int = Field(default=0, ge=0)
    blocking: bool = False

    @model_validator(mode="after")
    def _warn_above_min(self) -> Self:
        if self.min_score is not None and self.warn_score is not None and self.warn_score < self.min_score:
            raise ValueError(
                f"warn_score ({self.warn_score}) lies below min_score ({self.min_score}), so it would never be reached"
            )
        return self


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
