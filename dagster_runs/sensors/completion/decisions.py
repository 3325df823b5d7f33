"""Decides what to do about a deferred run. The functions are pure: they use only the facts that they are given."""

from collections.abc import Sequence
from enum import Enum

from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.execution.polling import REFUSED_GRACE
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.sensors import limits
from dagster_runs.transport.errors import NotFoundError, VendorError


class Phase(Enum):
    """What to do about a deferred run."""

    ACTIVE = "active"
    """Poll it."""
    SUCCEEDED = "succeeded"
    """Report its result."""
    MATERIALIZED = "materialized"
    """Report its check evaluations. The materialization that they evaluate is stored."""
    NEEDS_DAGSTER_RUN = "needs a Dagster run"
    """Request a Dagster run to report its outcome: a failure, a timeout, or an outcome that a step must decide."""
    RUN_REQUESTED = "run requested"
    """Wait until the Dagster run that must report its outcome has finished."""
    DONE = "done"
    """Nothing more, once Dagster has stored what was reported."""


def phase_after_poll(
    status: RunStatus | None,
    error: Exception | None = None,
    *,
    has_result: bool = False,
    not_found_for: float = 0.0,
    result_failing_for: float = 0.0,
    is_cancel_requested: bool = False,
) -> Phase:
    """Decides what to do about an active run after a status call.

    Args:
        status: The status of the run; ``None`` if the call failed.
        error: Why the status or the result could not be fetched.
        has_result: Whether the result was fetched, for a run that succeeded.
        not_found_for: Seconds for which the vendor has reported that it does not know the run.
        result_failing_for: Seconds for which the result could not be fetched.
        is_cancel_requested: Whether a user requested its cancellation with the cancel job.
    """
    if error is not None and not isinstance(error, VendorError):
        return Phase.NEEDS_DAGSTER_RUN  # an error in a vendor's code is best reported by a step
    if status is None:
        is_lost = isinstance(error, NotFoundError) and not_found_for > NOT_FOUND_GRACE
        return Phase.NEEDS_DAGSTER_RUN if is_lost else Phase.ACTIVE
    if status.state is RunState.SUCCEEDED:
        if has_result:
            return Phase.SUCCEEDED
        is_permanent = error is not None and error.is_permanent
        return Phase.NEEDS_DAGSTER_RUN if is_permanent or result_failing_for > REFUSED_GRACE else Phase.ACTIVE
    if status.state is RunState.CANCELED and is_cancel_requested:
        return Phase.DONE
    is_undocumented = status.state is RunState.UNKNOWN and status.finished_at is not None
    return Phase.NEEDS_DAGSTER_RUN if status.state.is_final or is_undocumented else Phase.ACTIVE


def phase_when_overdue(
    *,
    overdue_for: float,
    seen_overdue_for: float,
    was_polled: bool,
    has_response: bool,
    is_materialized: bool,
    was_ever_polled: bool,
) -> Phase:
    """Decides what to do about an active run that is past its deadline.

    Args:
        overdue_for: Seconds since its deadline.
        seen_overdue_for: Seconds since this process first saw that it is past its deadline.
        was_polled: Whether it was polled since its deadline, or the vendor does not respond.
        has_response: Whether the vendor responded to a status call since its deadline.
        is_materialized: Whether its materializations are reported, so that only its check evaluations are missing.
        was_ever_polled: Whether this process has polled it at all.
    """
    if is_materialized:
        # It succeeded in time. A Dagster run could not report the missing evaluations.
        is_given_up = overdue_for >= limits.CHECKS_GRACE and was_ever_polled
    else:
        grace = limits.OVERDUE_GRACE if was_polled else limits.OVERDUE_UNPOLLED_GRACE
        is_given_up = has_response or seen_overdue_for >= grace
    return Phase.NEEDS_DAGSTER_RUN if is_given_up else Phase.ACTIVE


class RequestedRun(Enum):
    """The state of a Dagster run that was requested to report an outcome."""

    ACTIVE = "active"
    """It is queued, or has started and may still finish."""
    ENDED = "ended"
    """It has finished, was terminated by a user, or is retried by Dagster."""
    NEVER_BEGAN = "never began"
    """Dagster marked it as failed before any of its steps began."""
    DIED = "died"
    """It started and should have finished by now, so its worker must have died."""


class Action(Enum):
    """What to do about an outcome that a Dagster run must report."""

    FINISH = "finish"
    """Nothing more."""
    WAIT = "wait"
    GIVE_UP = "give up"
    """Stop trying, and log that the outcome is not reported."""
    REQUEST = "request"
    """Request a Dagster run."""


def action_for_requested_runs(
    runs: Sequence[RequestedRun], *, is_reported_by_another: bool, can_request: bool
) -> Action:
    """Decides what to do about an outcome, based on the Dagster runs that were requested for it.

    Args:
        runs: The states of these Dagster runs.
        is_reported_by_another: Whether a Dagster run that was not requested for it has reported the outcome.
        can_request: Whether a Dagster run can be requested now.
    """
    if is_reported_by_another or RequestedRun.ENDED in runs:
        return Action.FINISH
    given_up = sum(run in (RequestedRun.NEVER_BEGAN, RequestedRun.DIED) for run in runs)
    if given_up < len(runs) or not can_request:
        return Action.WAIT
    return Action.GIVE_UP if given_up >= limits.MAX_REPORT_ATTEMPTS else Action.REQUEST
