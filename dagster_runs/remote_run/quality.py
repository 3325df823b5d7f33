"""Quality gates, which decide whether a run's results are good enough, for every vendor with quality results."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from typing_extensions import Self

from dagster_runs.remote_run.field_errors import explained
from dagster_runs.remote_run.types import CheckOutcome

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


class QualityGate(BaseModel):
    """The thresholds for the quality results of a run.

    Without thresholds, any failed test fails the checks, and the score is shown but not judged.

    Args:
        min_score: The lowest score, from 0 to 1, that passes. Below it, `quality_score` fails with severity ERROR.
        warn_score: Below this score but not below ``min_score``, `quality_score` fails with severity WARN.
        max_failures: The tolerated number of failed or broken tests (for a profiling run: definite hygiene issues).
        max_warnings: The tolerated number of tests with warnings (for a profiling run: likely hygiene issues).
        blocking: Whether a check that fails with ERROR prevents the materialization of downstream assets in the same
            run.

    Example:
        ``QualityGate(min_score=0.95, blocking=True)``
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise explained(cls, error) from None

    min_score: float | None = Field(default=None, ge=0, le=1)
    warn_score: float | None = Field(default=None, ge=0, le=1)
    max_failures: int = Field(default=0, ge=0)
    max_warnings: int = Field(default=0, ge=0)
    blocking: bool = False

    @model_validator(mode="after")
    def _warn_above_min(self) -> Self:
        if self.min_score is not None and self.warn_score is not None and self.warn_score < self.min_score:
            raise ValueError(
                f"warn_score ({self.warn_score}) is below min_score ({self.min_score}), so it would have no effect"
            )
        return self


def check_counts(
    name: str, summary: str, *, failures: int, warnings: int, gate: QualityGate, metadata: Mapping[str, Any]
) -> CheckOutcome:
    """Fails with ERROR for more failures than the gate tolerates, with WARN for more warnings.

    Args:
        name: The name of the check.
        summary: The description of the outcome, which states the counts.
        failures: The number of failures.
        warnings: The number of warnings.
        gate: The quality gate.
        metadata: The metadata of the outcome.
    """
    severity = ERROR if failures > gate.max_failures else WARN
    passed = failures <= gate.max_failures and warnings <= gate.max_warnings
    if passed:
        return CheckOutcome(name, passed=True, description=summary, metadata=metadata)
    return CheckOutcome(name, passed=False, severity=severity, description=summary, metadata=metadata)


def check_score(name: str, score: float | None, gate: QualityGate, *, without_score: str) -> CheckOutcome:
    """Compares a score from 0 to 1 with the gate's thresholds.

    Args:
        name: The name of the check.
        score: The score; ``None`` if the vendor has none.
        gate: The quality gate.
        without_score: The description of the outcome if there is no score.
    """
    values = {"min_score": gate.min_score, "warn_score": gate.warn_score, "score": score}
    metadata = {key: value for key, value in values.items() if value is not None}

    def failed(description: str, severity: dg.AssetCheckSeverity = ERROR) -> CheckOutcome:
        return CheckOutcome(name, passed=False, severity=severity, description=description, metadata=metadata)

    if score is None:
        return failed(without_score, WARN if gate.min_score is None else ERROR)
    if gate.min_score is not None and score < gate.min_score:
        return failed(f"Score {score:.4f} is below the required {gate.min_score:g}")
    if gate.warn_score is not None and score < gate.warn_score:
        return failed(f"Score {score:.4f} is below {gate.warn_score:g}", WARN)
    return CheckOutcome(name, passed=True, description=f"Score {score:.4f}", metadata=metadata)
