"""What was asked for and what happened, in plain data: all that the reconciliation looks at. Times are real seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["succeeded", "failed", "canceled", "going"]


@dataclass(frozen=True)
class Asked:
    """One materialization that was asked for.

    Attributes:
        number: Names it in reports.
        kind: Of the remote run, for the report.
        target: What only it runs.
        cancel_after: Seconds after which its run may be canceled, since the user chose so for a timeout.
        chains: When it was asked for, and asked for anew: a start after that moment belongs to that asking.
        drilled: Whether its process was to be killed between the start and its record.
        checks: The checks that each of its materializations comes with, and whether they are blocking.
        judged_by: The one that fails if the data is bad.
        finds_bad_data: Whether its first, second, … remote run does; further ones are as the last.
        partitions: All that one remote run fills.
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
    """A run that the sandbox really started."""

    run_id: str
    target: str
    created_at: float
    outcome: Outcome
    ended_at: float | None = None
    forgotten_at: float | None = None


@dataclass(frozen=True)
class StartRequest:
    """A request to start a run of the target that has arrived."""

    target: str
    at: float


@dataclass(frozen=True)
class Cancellation:
    """A request of ours to cancel a run."""

    run_id: str
    at: float


@dataclass(frozen=True)
class Noted:
    """An entry of the ledger. `entry` is as there: ``starting``, ``started``, ``not_started`` and so on."""

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
        storage_id: In the event log.
        is_complete: Whether its step has ended since, so that it has told all that it has to.
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
        run_id: The remote run, where the check tells.
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
class Told:
    """An error that a step ended with."""

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
    """Everything."""

    asked: list[Asked] = field(default_factory=list)
    remote_runs: list[RemoteRun] = field(default_factory=list)
    start_requests: list[StartRequest] = field(default_factory=list)
    cancellations: list[Cancellation] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    materialized: list[Materialized] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    terminations: list[Termination] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    dagster_runs: int = 0
    interrupted: dict[str, int] = field(default_factory=dict)
