"""The values that are exchanged between a vendor's code and the code that executes runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from typing_extensions import Self

from dagster_runs.remote_run.data_tests import DataTestResult
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.table_profiles import TableProfile
from dagster_runs.transport.clock import current_clock

DAY = 86_400.0


UNREADABLE_ID = "(an entry of the vendor's list without a readable ID)"
"""Replaces the id of a run that may be ours if its entry in the vendor's list has no readable id."""


_UNREADABLE_FOR = 3600.0
"""Seconds for which an unreadable entry of a list may still become readable."""


# The limits on the difference between a start's time in the ledger and the run's creation time at the vendor.
MAX_VENDOR_CLOCK_SKEW = 5.0
"""Seconds between our clock and the vendor's, after correction by the ``Date`` of a response."""


MAX_HOST_CLOCK_SKEW = 600.0
"""Seconds between the clocks of two of our machines. Another machine may have recorded the start."""


MAX_START_LATENCY = 360.0
"""Seconds between the ledger entry of a start and the latest possible arrival of its request."""


def as_run_id(run_id: Any) -> str:
    """Returns a vendor's id of a run as text. A whole number is its digits.

    Raises:
        TypeError: It is neither text nor a whole number.
    """
    if isinstance(run_id, str):
        return str.__str__(run_id)  # also the value of an enum
    if isinstance(run_id, int) and not isinstance(run_id, bool):
        return str(run_id)
    raise TypeError(f"the id of a run is {run_id!r}; it must be text or a whole number")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class StartAttempt:
    """One attempt to start a run, as recorded in the ledger.

    Attributes:
        correlation_id: A unique id. It is sent to vendors that store custom text, so that the run can be found.
        starting_at: The time just before the request, in epoch seconds.
        dagster_run_id: The Dagster run that starts the remote run.
        dagster_url: The URL of that Dagster run in the UI, if the resource has ``dagster_url``.
        by_this_process: Whether ``starting_at`` is by this machine's clock. True also for another process on this
            machine. The clock of another machine may differ by minutes.
    """

    correlation_id: str
    starting_at: float
    dagster_run_id: str
    dagster_url: str | None = None
    by_this_process: bool = True

    @property
    def earliest(self) -> float:
        """The start of the time window to search for the run, in epoch seconds by a clock that may differ from ours."""
        return self.starting_at - MAX_VENDOR_CLOCK_SKEW - MAX_HOST_CLOCK_SKEW

    @property
    def latest(self) -> float:
        """The end of the time window to search for the run, in epoch seconds by a clock that may differ from ours."""
        return self.starting_at + MAX_START_LATENCY + MAX_VENDOR_CLOCK_SKEW + MAX_HOST_CLOCK_SKEW

    def may_have_created(self, created_at: float | None) -> bool | None:
        """Whether this attempt may have created a run with this creation time, in epoch seconds by our clock.

        Returns:
            ``None`` if only a difference between the clocks of two machines could explain the creation time, or if the
            creation time is unknown.
        """
        if created_at is None:
            return None
        if -MAX_VENDOR_CLOCK_SKEW <= created_at - self.starting_at <= MAX_START_LATENCY + MAX_VENDOR_CLOCK_SKEW:
            return True
        return None if not self.by_this_process and self.earliest <= created_at <= self.latest else False


@dataclass(frozen=True)
class StartCandidate:
    """A run at the vendor that may result from a start whose response was lost.

    Attributes:
        run_id: The vendor's id of the run.
        is_ours: Whether the run has our correlation id. Otherwise only its kind, target and time match.
        is_ambiguous: Whether the match is uncertain, e.g. because the vendor does not report the run's target yet.
        url: The URL of the run's page.
    """

    run_id: str
    is_ours: bool
    is_ambiguous: bool = False
    url: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "run_id", as_run_id(self.run_id))
        for name in ("is_ours", "is_ambiguous"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} of a StartCandidate is {getattr(self, name)!r}; it must be True or False")
        is_id = bool(self.run_id.strip()) and self.run_id.isprintable() and self.run_id != UNREADABLE_ID
        if not is_id and (self.is_ours or not self.is_ambiguous):
            raise TypeError(
                f"a StartCandidate without a valid run_id ({self.run_id!r}) must be ambiguous, and not ours"
            )


def each_once(candidates: Iterable[StartCandidate]) -> list[StartCandidate]:
    """Returns each run once. A list may contain a run twice, and the run may be readable in only one of the entries."""
    found: dict[str, StartCandidate] = {}
    for candidate in candidates:
        if candidate.run_id not in found or found[candidate.run_id].is_ambiguous:
            found[candidate.run_id] = candidate
    return list(found.values())


@dataclass(frozen=True)
class ListedRun:
    """A run in the vendor's list. It may have been started outside Dagster.

    Attributes:
        run_id: The vendor's id of the run.
        created_at: The creation time in epoch seconds by our clock; ``None`` if the list does not contain it.
        state: The state that the vendor's status maps to.
        raw: The list's entry, for the vendor's own code; ``None`` if only the id of the entry is readable.
    """

    run_id: str
    created_at: float | None
    state: RunState
    raw: Any = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "run_id", as_run_id(self.run_id))
        if not isinstance(self.state, RunState):
            raise TypeError(f"the state of a ListedRun is {self.state!r}; it must be a RunState, as of parse_state()")
        if self.created_at is not None and not _is_number(self.created_at):
            raise TypeError(
                f"created_at of a ListedRun is {self.created_at!r}; it must be epoch seconds by our clock, as of "
                "HttpClient.by_our_clock(), or None"
            )

    @classmethod
    def unreadable(cls, run_id: str, created_at: float | None) -> Self:
        """Returns a run for an entry whose only readable part is the id. It must be polled individually."""
        return cls(run_id, created_at, RunState.UNKNOWN, None)

    @property
    def target_if_unreadable(self) -> str | None:
        """The value that `RemoteRun.target_of_listed` returns for an unreadable entry.

        ``None`` (not known yet) for an hour, since the vendor may complete the entry. Then empty, because as long as
        the target is unknown, the sensor keeps reading the list from the creation of that run.
        """
        is_new = self.created_at is not None and current_clock().wall() - self.created_at < _UNREADABLE_FOR
        return None if is_new else ""


@dataclass(frozen=True)
class DataCheck:
    """A check on the data of a run.

    Attributes:
        description: What it checks, for users.
        on_failure: Whether it is also reported for a run that did not succeed. Not for a check that judges data: a test
            that did not run says nothing about the data.
    """

    description: str
    on_failure: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check on a run's result, before it is assigned to an asset."""

    name: str
    passed: bool
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A text such as "no" would count as passed.
        if not isinstance(self.passed, bool):
            raise TypeError(f"passed of the check {self.name!r} is {self.passed!r}; it must be True or False")
        if not isinstance(self.severity, dg.AssetCheckSeverity):
            raise TypeError(f"severity of the check {self.name!r} is {self.severity!r}; use dg.AssetCheckSeverity")

    @property
    def is_error(self) -> bool:
        """Whether the check fails with severity ERROR, which makes a blocking check block."""
        return not self.passed and self.severity == dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True)
class RunResult:
    """The result of a finished run.

    Attributes:
        metadata: The vendor's own metadata, with full keys (``testgen/score``).
        checks: The outcomes of the run's checks, one for each (`RemoteRun.declared_checks`).
        tests: The results of single tests, for a run whose tests are reported as checks of other assets.
        tables: The profiles of tables, for a run that is reported on the assets of these tables.
        summary: The result in a few words, for the log: ``120 rows``. Without it, the descriptions of the checks.
        target_name: The vendor's name of what was run, to be shown next to its id, if the vendor reports one.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckOutcome] = ()
    tests: Sequence[DataTestResult] = ()
    tables: Sequence[TableProfile] = ()
    summary: str = ""
    target_name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.summary, str):
            raise TypeError(f"summary of a RunResult is {self.summary!r}; it must be a string")
        if self.target_name is not None and not isinstance(self.target_name, str):
            raise TypeError(f"target_name of a RunResult is {self.target_name!r}; it must be a string or None")
        if not isinstance(self.metadata, Mapping):
            raise TypeError(f"metadata of a RunResult is a {type(self.metadata).__name__}; it must be a mapping")
        checks = () if isinstance(self.checks, CheckOutcome) else tuple(self.checks)
        if isinstance(self.checks, CheckOutcome) or not all(isinstance(one, CheckOutcome) for one in checks):
            raise TypeError("checks of a RunResult must be a list of CheckOutcome")
        object.__setattr__(self, "checks", checks)
