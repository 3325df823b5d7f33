"""The results of polling, as immutable values: worker threads create them, and only the tick's thread applies them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.outages import OutageTracker
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError


class Update(Protocol):
    """Something that a poller has learned."""

    def apply(self, outages: OutageTracker) -> None:
        """Applies it to the runs that it is about, and to the resource's outages. Only for the tick's thread."""


@dataclass(frozen=True)
class PollResult:
    """The result of a status call.

    Attributes:
        deferred_run: The run.
        polled_at: Epoch seconds just before the call.
        status: The status of the run; ``None`` if the call failed.
        result: The result of a run that succeeded; ``None`` if it could not be fetched.
        error: Why the status or the result could not be fetched.
    """

    deferred_run: DeferredRun
    polled_at: float
    status: RunStatus | None = None
    result: RunResult | None = None
    error: Exception | None = None

    @property
    def has_response(self) -> bool:
        """Whether the vendor has returned the run's status, or reported that it does not know the run."""
        return self.status is not None or isinstance(self.error, NotFoundError)

    @property
    def has_failed(self) -> bool:
        """Whether a call failed, which says nothing about the run."""
        return self.error is not None and not isinstance(self.error, NotFoundError)

    def apply(self, outages: OutageTracker) -> None:
        """See `Update`."""
        self.deferred_run.apply_poll(self.polled_at, self.status, self.result, self.error)
        if self.has_response:
            outages.succeeded()
        if self.error is not None and self.has_failed:
            outages.failed(self.error)


@dataclass(frozen=True)
class NotFinished:
    """Runs that are not in the vendor's list of finished runs.

    Attributes:
        deferred_runs: The runs.
        until: Epoch seconds up to which they have not finished.
        counts_as_poll: Whether a run that needs no status call of its own counts as polled.
    """

    deferred_runs: Collection[DeferredRun]
    until: float
    counts_as_poll: bool = False

    def apply(self, outages: OutageTracker) -> None:
        """See `Update`."""
        for deferred_run in self.deferred_runs:
            deferred_run.known_active_until = max(deferred_run.known_active_until, self.until)
            if self.counts_as_poll and not deferred_run.needs_individual_poll(self.until):
                deferred_run.polled_at = self.until


@dataclass(frozen=True)
class ListRead:
    """A list was read, completely or until there was no more time; or it could not be read.

    Attributes:
        name: The name of the list, for messages.
        error: Why it could not be read.
        is_offered: Whether the vendor offers this list.
    """

    name: str
    error: Exception | None = None
    is_offered: bool = True

    def apply(self, outages: OutageTracker) -> None:
        """See `Update`."""
        outages.list_read(self.name, self.error, is_offered=self.is_offered)
        # A vendor that refuses only this list is available.
        if self.error is not None and not isinstance(self.error, InvalidRequestError):
            outages.failed(self.error)


@dataclass(frozen=True)
class RoundEnded:
    """A round of polling has finished.

    Attributes:
        polls: The number of status calls that began in it, or were in progress when it began.
        is_unresponsive: Whether the vendor did not respond before the time was up.
    """

    polls: int
    is_unresponsive: bool

    def apply(self, outages: OutageTracker) -> None:
        """See `Update`."""
        outages.end_round(min(limits.MAX_FAILURES_IN_A_ROW, self.polls), is_unresponsive=self.is_unresponsive)
