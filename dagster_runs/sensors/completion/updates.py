"""The results of polling, as immutable values: worker threads create them, and only the tick's thread applies them."""

from collections.abc import Callable
from dataclasses import dataclass

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.transport.errors import NotFoundError


@dataclass(frozen=True)
class PollStarted:
    """A status call has begun. It may outlive the tick.

    Attributes:
        deferred_run: The run.
        polled_at: Epoch seconds.
    """

    deferred_run: DeferredRun
    polled_at: float


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
    def is_answered(self) -> bool:
        """Whether the vendor has returned the run's status, or reported that it does not know the run."""
        return self.status is not None or isinstance(self.error, NotFoundError)

    @property
    def has_failed(self) -> bool:
        """Whether a call failed, which says nothing about the run."""
        return self.error is not None and not isinstance(self.error, NotFoundError)


@dataclass(frozen=True)
class ListedAsFinished:
    """The list of finished runs has shown a run, and may not show it again."""

    deferred_run: DeferredRun


@dataclass(frozen=True)
class NotFinished:
    """Runs that are not in the vendor's list of finished runs.

    Attributes:
        deferred_runs: The runs.
        until: Epoch seconds up to which they have not finished.
        counts_as_poll: Whether a run that needs no status call of its own counts as polled.
    """

    deferred_runs: frozenset[DeferredRun]
    until: float
    counts_as_poll: bool = False


@dataclass(frozen=True)
class ListRead:
    """A list was read, completely or until there was no more time.

    Attributes:
        name: The name of the list, for messages.
        unsupported: The error of a vendor that does not offer this list.
    """

    name: str
    unsupported: Exception | None = None


@dataclass(frozen=True)
class ListFailed:
    """A list could not be read.

    Attributes:
        name: The name of the list, for messages.
        error: The error.
        is_refusal: Whether the vendor refused only this list, so that the error does not indicate an outage.
    """

    name: str
    error: Exception
    is_refusal: bool = False


@dataclass(frozen=True)
class RoundEnded:
    """A round of polling has finished.

    Attributes:
        polls: The number of status calls that began in it, or were in progress.
        is_unresponsive: Whether the vendor did not respond before the time was up.
    """

    polls: int
    is_unresponsive: bool


Update = PollStarted | PollResult | ListedAsFinished | NotFinished | ListRead | ListFailed | RoundEnded


def poll_run(
    deferred_run: DeferredRun, polled_at: float, get_status: Callable[[], RunStatus], resource: RemoteRunResource
) -> PollResult:
    """Asks the vendor for a run's status, and fetches the result of one that succeeded. Raises nothing.

    Args:
        deferred_run: The run.
        polled_at: Epoch seconds.
        get_status: Asks the vendor for the status.
        resource: The vendor's resource.
    """
    status: RunStatus | None = None
    result: RunResult | None = None
    try:
        with resource.http().with_call_budget():
            status = get_status()
            if status.state is RunState.SUCCEEDED:
                gate = deferred_run.asset.remote.options.gate
                result = deferred_run.run.fetch_result(resource, deferred_run.run_id, status, gate)
    except Exception as error:  # noqa: BLE001 - of the vendor or of its code; the tick's thread decides what follows
        return PollResult(deferred_run, polled_at, status, error=error)
    return PollResult(deferred_run, polled_at, status, result)


def apply(update: Update) -> None:
    """Applies an update to its runs. Only for the tick's thread."""
    match update:
        case PollStarted(deferred_run, polled_at):
            deferred_run.polled_at = polled_at
        case PollResult():
            update.deferred_run.apply_poll(update.polled_at, update.status, update.result, update.error)
        case ListedAsFinished(deferred_run):
            deferred_run.last_individual_update = 0.0
        case NotFinished():
            for deferred_run in update.deferred_runs:
                deferred_run.known_active_until = max(deferred_run.known_active_until, update.until)
                if update.counts_as_poll and not deferred_run.needs_individual_poll(update.until):
                    deferred_run.polled_at = update.until
        case _:
            pass
