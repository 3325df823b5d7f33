"""Plain data about requests and events, which is all that the reconciliation reads. Times are real seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["succeeded", "failed", "canceled", "going"]


@dataclass(frozen=True)
class RequestedMaterialization:
    """One requested materialization.

    Attributes:
        number: Identifies it in reports.
        kind: The kind of remote run, for the report.
        target: The target that only this materialization runs.
        cancel_after: Seconds after which its run may be canceled, because of `on_timeout="cancel"`.
        chains: The times of the first and each further request; a start belongs to the last request before it.
        drilled: Whether its process is to be killed between the start and its record.
        checks: The checks of each of its materializations, and whether they are blocking.
        judged_by: The check that fails on bad data.
        finds_bad_data: Whether its first, second, … remote run finds bad data; the last value applies to further runs.
        partitions: All partitions that one remote run fills.
    """

    number: int
    kind: str
    target: str
    chains: tuple[float, ...]
    cancel_after: float | None = None
    drilled: bool = False
    checks: tuple[tuple[str, bool], ...] = ()
    judged_by: str = ""
    finds_bad_data: tuple[bool, ...] = (False,)
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteRun:
    """A run that the sandbox actually started."""

    run_id: str
    target: str
    created_at: float
    outcome: Outcome
    ended_at: float | None = None
    forgotten_at: float | None = None


@dataclass(frozen=True)
class StartRequest:
    """A start request for the target that arrived at the vendor."""

    target: str
    at: float


@dataclass(frozen=True)
class Cancellation:
    """A cancel request for a run."""

    run_id: str
    at: float


@dataclass(frozen=True)
class LedgerRecord:
    """A ledger entry. `entry` is its kind: ``starting``, ``started``, ``not_started`` and so on."""

    number: int
    entry: str
    at: float
    dagster_run: str
    correlation_id: str
    run_id: str | None = None
    attached: bool = False


@dataclass(frozen=True)
class Materialized:
    """A materialization event.

    Attributes:
        partition: The partition that it fills.
        storage_id: Its id in the event log.
        is_complete: Whether its step has ended since, so that everything is reported.
    """

    number: int
    run_id: str | None
    at: float
    dagster_run: str
    partition: str | None = None
    storage_id: int = 0
    is_complete: bool = True


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
        run_id: The remote run, if the check names it.
        partition: The partition that it says it judges.
        target: The materialization that it says it judges.
    """

    number: int
    name: str
    at: float
    dagster_run: str
    passed: bool
    is_blocking: bool = False
    run_id: str | None = None
    partition: str | None = None
    target: Target | None = None


@dataclass(frozen=True)
class StepError:
    """The error of a failed step."""

    number: int
    kind: str
    text: str
    at: float
    dagster_run: str


@dataclass(frozen=True)
class Termination:
    """A Dagster run that was terminated through Dagster."""

    dagster_run: str
    at: float
    numbers: frozenset[int]


@dataclass
class Facts:
    """All facts."""

    requested: list[RequestedMaterialization] = field(default_factory=list)
    remote_runs: list[RemoteRun] = field(default_factory=list)
    start_requests: list[StartRequest] = field(default_factory=list)
    cancellations: list[Cancellation] = field(default_factory=list)
    ledger_records: list[LedgerRecord] = field(default_factory=list)
    materialized: list[Materialized] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    step_errors: list[StepError] = field(default_factory=list)
    terminations: list[Termination] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    dagster_runs: int = 0
    interrupted: dict[str, int] = field(default_factory=dict)
