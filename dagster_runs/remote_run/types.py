"""Values that pass between a vendor's code and the life of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from typing_extensions import Self

from dagster_runs.remote_run.state import RunState
from dagster_runs.transport.clock import current_clock

DAY = 86_400.0


UNREADABLE_ID = "(an entry of the vendor's list without a readable ID)"
"""In place of the ID of a run that may be ours, though its entry in the list does not tell its ID."""


_UNREADABLE_FOR = 3600.0
"""Seconds for which an unreadable entry of a list may still become readable."""


# How far the time of a start, as the ledger has it, may be from the time that the vendor tells of the run.
MAX_VENDOR_CLOCK_SKEW = 5.0
"""Seconds between our clock and the vendor's, once the difference that an answer tells is taken off."""


MAX_HOST_CLOCK_SKEW = 600.0
"""Seconds between the clocks of two machines of ours: another one may have noted the start."""


MAX_START_LATENCY = 360.0
"""Seconds between the note of a start and the last moment at which its request can have arrived."""


@dataclass(frozen=True)
class StartAttempt:
    """One attempt to start a run, as the ledger keeps it.

    Attributes:
        correlation_id: Ours alone; vendors that keep free text get it, so that the run can be found again.
        starting_at: Epoch seconds just before the request.
        dagster_run_id: The Dagster run that starts it.
        dagster_url: Address of that Dagster run in the UI, where the resource knows the UI's.
        by_this_process: Whether ``starting_at`` is by this machine's clock, as the attempt of another process on it is
            too. That of another machine may differ by minutes.
    """

    correlation_id: str
    starting_at: float
    dagster_run_id: str
    dagster_url: str | None = None
    by_this_process: bool = True

    @property
    def earliest(self) -> float:
        """Epoch seconds from which on to look for a run of this start, by a clock that may not be ours."""
        return self.starting_at - MAX_VENDOR_CLOCK_SKEW - MAX_HOST_CLOCK_SKEW

    @property
    def latest(self) -> float:
        """Epoch seconds up to which to look for it."""
        return self.starting_at + MAX_START_LATENCY + MAX_VENDOR_CLOCK_SKEW + MAX_HOST_CLOCK_SKEW

    def may_have_made(self, created_at: float) -> bool | None:
        """Whether a run that was made then, in epoch seconds by our clock, is of this start by its time.

        Returns:
            ``None`` where only a difference between the clocks of two machines could explain it.
        """
        if -MAX_VENDOR_CLOCK_SKEW <= created_at - self.starting_at <= MAX_START_LATENCY + MAX_VENDOR_CLOCK_SKEW:
            return True
        return None if not self.by_this_process and self.earliest <= created_at <= self.latest else False


@dataclass(frozen=True)
class StartCandidate:
    """A run at the vendor that may be the one whose start's answer was lost.

    Attributes:
        run_id: The vendor's id.
        is_ours: Whether it carries our correlation id; otherwise only its kind, target and time fit.
        is_ambiguous: Whether the vendor does not tell yet what it runs, so that it may turn out not to fit.
        url: Where a person can look at it.
    """

    run_id: str
    is_ours: bool
    is_ambiguous: bool = False
    url: str | None = None


@dataclass(frozen=True)
class ListedRun:
    """A run as the vendor's list shows it, whoever started it.

    Attributes:
        run_id: The vendor's id.
        created_at: Epoch seconds by our clock; ``None`` where the list does not tell.
        state: What its state means.
        answer: The list's entry, for the vendor's own code; ``None`` for an entry of which only the ID can be read.
    """

    run_id: str
    created_at: float | None
    state: RunState
    raw: Any = field(repr=False)

    @classmethod
    def unreadable(cls, run_id: str, created_at: float | None) -> Self:
        """An entry of which only the ID can be read: the run it belongs to has to be polled individually."""
        return cls(run_id, created_at, RunState.UNKNOWN, None)

    @property
    def target_if_unreadable(self) -> str | None:
        """What `RemoteRun.target_of_listed` returns for an unreadable entry.

        ``None`` (not known yet) for an hour, since a vendor may complete the entry. Then empty: a run that is not
        known keeps the sensor reading the list from that run's creation on.
        """
        is_new = self.created_at is not None and current_clock().wall() - self.created_at < _UNREADABLE_FOR
        return None if is_new else ""


@dataclass(frozen=True)
class CheckOutcome:
    """The result of one check on a run's result, before it belongs to an asset."""

    name: str
    passed: bool
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        """Whether it fails in a way that a blocking check blocks on."""
        return not self.passed and self.severity == dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True)
class RunResult:
    """What a finished run brought.

    Attributes:
        metadata: The vendor's own entries, with their full keys (``testgen/score``).
        checks: Outcomes of the checks that `RemoteRun.data_checks` names.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckOutcome] = ()
