"""When a run's quality is good enough."""

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self


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
