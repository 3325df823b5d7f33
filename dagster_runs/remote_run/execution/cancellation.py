"""Canceling a remote run, or leaving it: what happens to it when its Dagster run ends first."""

import logging
from collections.abc import Callable
from typing import NoReturn, TypeVar

from dagster_runs.remote_run.errors import RunTerminated
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.interrupts import hold_interrupts
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.lost_starts import find_ours
from dagster_runs.remote_run.execution.poll_schedule import FIRST_PAUSE
from dagster_runs.remote_run.execution.submit import is_known_unsent
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_logger = logging.getLogger(__name__)
CANCEL_CONFIRMED_WITHIN = 60.0
"""Seconds to wait for the vendor to confirm a cancellation."""


_LEDGER_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to use the ledger before a cancellation: a terminated step may be killed soon."""


T = TypeVar("T")


def handle_termination(execution: RemoteRunExecution) -> NoReturn:
    """Our Dagster run was terminated by a person or a limit: stop what we started, or say that it goes on.

    Raises:
        RunTerminated: Always. It is not retried: Dagster's in-process executor would start a terminated step again.
    """
    run = execution.run
    try:
        record = _with_pauses(lambda: execution.ledger.read().newest_start)
    except Exception as error:  # each storage has its own errors
        active = f"it is unknown whether {with_article(run.label)} is active"
        said = f"Dagster's event log does not answer ({error}), so {active}"
        raise RunTerminated(
            f"the Dagster run was terminated. {said}. {run.manual_stop_hint}".rstrip(), vendor=run.vendor
        ) from None
    if record is not None and record.kind is EntryKind.STARTED and record.run_id is not None:
        _, said = cancel(execution, execution.handle_of(record, record.run_id), why="the Dagster run was terminated")
    elif record is not None and record.kind is EntryKind.STARTING and not is_known_unsent(record.correlation_id):
        said = (
            f"A start of {execution.description} was under way; look at {run.vendor} whether it has begun. "
            f"{run.manual_stop_hint}"
        )
        with execution.resource.http().with_call_budget():
            found = find_ours(execution, execution.attempt_of(record)) if run.can_cancel else None
        if found is not None:
            _, said = cancel(execution, execution.handle_of(record, found.run_id), why="the Dagster run was terminated")
        else:
            execution.step.log.warning(said)
    else:
        said = f"No {run.label} was going"
    raise RunTerminated(f"the Dagster run was terminated. {said}", vendor=run.vendor) from None


def request_cancel(execution: RemoteRunExecution, handle: RunHandle, *, why: str) -> None:
    """Ask the vendor to cancel the remote run, where it can, without waiting for the confirmation."""
    run, log, named = execution.run, execution.step.log, execution.describe_run(handle.run_id)
    if not run.can_cancel:
        return
    log.info("Cancelling %s, since %s", named, why)
    # Whoever terminates waits for this process, and may kill it: so there is no time for long retries.
    with hold_interrupts(), execution.resource.http().with_call_budget():
        try:
            run.cancel(execution.resource, handle.run_id)
        except VendorError as error:
            # The commonest reason is that the run has just ended, which a look tells.
            log.warning("The cancellation of %s was refused: %s", named, error)


def cancel(execution: RemoteRunExecution, handle: RunHandle, *, why: str) -> tuple[RunStatus | None, str]:
    """Cancel the remote run and wait for the confirmation, bounded; unless a newer attempt has attached to it.

    Returns:
        How it ended, if that is known; and what became of it, in words.
    """
    with hold_interrupts():
        if execution.run.can_cancel:
            not_ours = _why_not_to_cancel(execution, handle)
            if not_ours is not None:
                execution.step.log.warning(not_ours)
                return None, not_ours
        request_cancel(execution, handle, why=why)
        until = current_clock().monotonic() + CANCEL_CONFIRMED_WITHIN
        return wait_for_cancel(execution, handle, why=why, until=until)


def _why_not_to_cancel(execution: RemoteRunExecution, handle: RunHandle) -> str | None:
    """Why the run is not to be canceled by this step; ``None`` if it is.

    The entry is written before the ledger is read again, and an attempt that attaches does the same in the other
    order. So either this step sees the newer attempt, or the newer attempt sees that this step canceled the run, and
    starts another one (see `life`).
    """

    def ask() -> str | None:
        newer = execution.ledger.read().newer_attempt(handle.run_id)
        if newer is None:
            execution.record(EntryKind.STEP_CANCELS, f"Canceling the {execution.description}", handle)
            newer = execution.ledger.read().newer_attempt(handle.run_id)
            if newer is not None:
                execution.record(
                    EntryKind.STEP_KEEPS,
                    f"Not canceling the {execution.description}, as a newer attempt has attached to it",
                    handle,
                )
        return None if newer is None else left_to_newer(execution, handle, newer)

    try:
        return _with_pauses(ask)
    except Exception:  # each storage has its own errors
        return (
            f"Dagster's event log does not answer, so it is unknown whether another Dagster run has attached to "
            f"{execution.describe_run(handle.run_id)}, which is therefore not canceled. "
            f"{execution.run.manual_stop_hint}".rstrip()
        )


def _with_pauses(ask: Callable[[], T]) -> T:
    """What the ledger answers, also where it does so only after some seconds.

    Raises:
        Exception: The storage's own, if it does not.
    """
    for pause in _LEDGER_PAUSES:
        try:
            return ask()
        except Exception as error:  # each storage has its own errors
            _logger.warning("The ledger could not be read before a cancellation: %s", error)
            current_clock().sleep(pause)
    return ask()


def wait_for_cancel(
    execution: RemoteRunExecution, handle: RunHandle, *, why: str, until: float
) -> tuple[RunStatus | None, str]:
    """What became of a remote run that was asked to end.

    Args:
        execution: What is wanted.
        handle: The run.
        why: It was asked to.
        until: Monotonic seconds until which to wait for the confirmation. There is one look in any case.

    Returns:
        How it ended, if that is known; and what became of it, in words.
    """
    run, log = execution.run, execution.step.log
    named = execution.describe_run(handle.run_id)
    if not run.can_cancel:
        said = f"{run.vendor} offers no way to cancel {named}, which goes on. {run.manual_stop_hint}".strip()
        if url := execution.url(handle.run_id):
            said = f"{said} See {url}"
        log.warning(said)
        return None, said
    with hold_interrupts(), execution.resource.http().with_call_budget():
        status = _wait_for_end(execution, handle, until)
    if status is None:
        within = f"within {CANCEL_CONFIRMED_WITHIN:.0f} s"
        said = f"{run.vendor} has not confirmed {within} that {named} has ended; look there. {run.cancel_caveat}"
        log.warning("%s %s", said.rstrip(), execution.url(handle.run_id) or "")
        return None, said.rstrip(" .")
    if status.state is not RunState.SUCCEEDED:  # a result that is there can still be taken
        execution.record(
            EntryKind.ENDED,
            f"The {execution.description} ended {status.plain_word}, since {why}",
            handle,
            status=status,
        )
    said = f"{named} ended {status.vendor_status}. {run.cancel_caveat}".rstrip(" .")
    log.info(said)
    return status, said


def _wait_for_end(execution: RemoteRunExecution, handle: RunHandle, until: float) -> RunStatus | None:
    clock = current_clock()
    pause = FIRST_PAUSE
    while True:
        try:
            status = execution.get_status(handle.run_id)
            if status.state.is_final:
                return status
        except VendorError as error:
            execution.step.log.debug("Could not look at the cancelled run: %s", error)
        if clock.monotonic() >= until:
            return None
        clock.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def left_to_newer(execution: RemoteRunExecution, handle: RunHandle, newer: LedgerEntry) -> str:
    """What to say where a newer attempt has attached to the remote run, so that this step leaves the run to it."""
    run = execution.describe_run(handle.run_id)
    return (
        f"Dagster run {newer.dagster_run_id} has attached to {run} after this step did, so this step neither "
        "reports nor cancels it"
    )
