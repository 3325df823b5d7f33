"""What was planned and what happened, in plain data: all that the reconciliation looks at. Times are real seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["succeeded", "failed", "canceled", "going"]
Place = tuple[str, str]
"""An asset and a partition."""


@dataclass(frozen=True)
class Planned:
    """One run that was to be deferred.

    Attributes:
        place: Its asset and partition, the first of several.
        target: What only it runs.
        expected: What its failure must say; empty if it is to succeed.
        ends: Whether it does at all.
        further: More partitions that it fills.
        is_bad: Whether it succeeds, and its tests find bad data.
    """

    place: Place
    target: str
    expected: str = ""
    ends: bool = True
    further: tuple[str, ...] = ()
    is_bad: bool = False

    @property
    def places(self) -> list[Place]:
        """All that it fills."""
        asset, first = self.place
        return [(asset, partition) for partition in (first, *self.further)]


@dataclass(frozen=True)
class RemoteRun:
    """A run that the sandbox really started."""

    run_id: str
    target: str
    outcome: Outcome


@dataclass(frozen=True)
class Materialized:
    """A materialization event.

    Attributes:
        storage_id: In the event log.
        dagster_run: That reported it; empty for the sensor.
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
        dagster_run: That reported it; empty for the sensor.
        run_id: The remote run, where the check tells.
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
        is_blocking: Whether a failure holds back what is downstream.
        judges_data: Whether it is the one that fails if the data is bad.
    """

    check: tuple[str, str]
    is_blocking: bool = False
    judges_data: bool = False


@dataclass(frozen=True)
class Publishing:
    """A Dagster run that was to publish an end.

    Attributes:
        began: Whether Dagster has not given it up before, as it does when the code server is away just then.
    """

    dagster_run: str
    place: Place
    run_id: str
    failed: bool
    said: str
    began: bool = True


@dataclass(frozen=True)
class Alert:
    """The failure sensor fired."""

    dagster_run: str
    at: float


@dataclass
class Facts:
    """Everything."""

    planned: list[Planned] = field(default_factory=list)
    remote_runs: list[RemoteRun] = field(default_factory=list)
    materialized: list[Materialized] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    checks: list[Declared] = field(default_factory=list)
    publishing: list[Publishing] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
