"""Plain data about the plan and the events, which is all that the reconciliation reads. Times are real seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["succeeded", "failed", "canceled", "going"]
Place = tuple[str, str]
"""An asset and a partition."""


@dataclass(frozen=True)
class Planned:
    """A planned deferred run.

    Attributes:
        place: Its asset and first partition.
        target: The target that only it runs.
        expected: Text that its failure must contain; empty if it must succeed.
        ends: Whether it ever ends.
        further: The other partitions that it fills.
        is_bad: Whether it succeeds and its tests find bad data.
    """

    place: Place
    target: str
    expected: str = ""
    ends: bool = True
    further: tuple[str, ...] = ()
    is_bad: bool = False

    @property
    def places(self) -> list[Place]:
        """Returns all assets and partitions that it fills."""
        asset, first = self.place
        return [(asset, partition) for partition in (first, *self.further)]


@dataclass(frozen=True)
class RemoteRun:
    """A run that the sandbox actually started."""

    run_id: str
    target: str
    outcome: Outcome


@dataclass(frozen=True)
class Materialized:
    """A materialization event.

    Attributes:
        storage_id: Its id in the event log.
        dagster_run: The Dagster run that reported it; empty for the sensor.
    """

    place: Place
    run_id: str | None
    storage_id: int = 0
    dagster_run: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Target:
    """The materialization that a check evaluation says it judges."""

    storage_id: int
    dagster_run: str
    at: float


@dataclass(frozen=True)
class Evaluated:
    """A check evaluation.

    Attributes:
        check: The asset and the check.
        dagster_run: The Dagster run that reported it; empty for the sensor.
        run_id: The remote run, if the check names it.
        partition: The partition that it says it judges.
        target: The materialization that it says it judges.
    """

    check: tuple[str, str]
    dagster_run: str
    run_id: str | None = None
    partition: str | None = None
    target: Target | None = None
    passed: bool = True
    is_blocking: bool = False


@dataclass(frozen=True)
class Declared:
    """A check of an asset.

    Attributes:
        check: The asset and the check.
        is_blocking: Whether a failure blocks downstream assets.
        judges_data: Whether it is the check that fails on bad data.
    """

    check: tuple[str, str]
    is_blocking: bool = False
    judges_data: bool = False


@dataclass(frozen=True)
class Publishing:
    """A Dagster run that was requested to report an outcome.

    Attributes:
        began: Whether it started. Dagster fails it before that if the code server is unavailable.
    """

    dagster_run: str
    place: Place
    run_id: str
    failed: bool
    message: str
    began: bool = True


@dataclass(frozen=True)
class Alert:
    """An event of the failure sensor."""

    dagster_run: str
    at: float


@dataclass
class Facts:
    """All facts."""

    planned: list[Planned] = field(default_factory=list)
    remote_runs: list[RemoteRun] = field(default_factory=list)
    materialized: list[Materialized] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    checks: list[Declared] = field(default_factory=list)
    publishing: list[Publishing] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
