"""Cancels a remote run, or leaves it active, when its Dagster run ends first."""

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
from dagster_runs.remote_run.vendor_code import vendor_code
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_logger = logging.getLogger(__name__)
CANCEL_CONFIRMED_WITHIN = 60.0
"""Seconds to wait for the vendor to confirm a cancellation."""


_LEDGER_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to use the ledger before a cancellation. A terminated step may soon be killed."""


T = TypeVar("T")


def handle_termination(execution: RemoteRunExecution) -> NoReturn:
    """Cancels the remote run after a user or a limit terminated our Dagster run, or reports that it is still active.

    Raises:
        RunTerminated: Always. It is not retried, because Dagster's in-process executor would restart a terminated step.
    """
    run = execution.run
    try:
        record = _with_pauses(lambda: execution.ledger.read().newest_start)
    except Exception as error:  # each storage has its own errors
        active = f"it is unknown whether {with_article(run.label)} is active"
        message = f"Dagster's event log is unavailable ({error}), so {active}"
        raise RunTerminated(
            f"the Dagster run was terminated. {message}. {run.manual_stop_hint}".rstrip(), vendor=run.vendor
        ) from error
    if record is not None and record.kind is EntryKind.STARTED and record.run_id is not None:
        _, message = cancel(execution, execution.handle_of(record, record.run_id), why="the Dagster run was terminated")
    elif record is not None and record.kind is EntryKind.STARTING and not is_known_unsent(record.correlation_id):
        message = (
            f"A start of {execution.description} was in progress. Check in {run.vendor} whether the run started. "
            f"{run.manual_stop_hint}"
        )
        with execution.resource.http().with_call_budget():
            found = find_ours(execution, execution.attempt_of(record)) if run.can_cancel() else None
        if found is not None:
            _, message = cancel(
                execution, execution.handle_of(record, found.run_id), why="the Dagster run was terminated"
            )
        else:
            execution.step.log.warning(message)
    else:
        message = f"No {run.label} was active"
    raise RunTerminated(f"the Dagster run was terminated. {message}", vendor=run.vendor) from None


def request_cancel(execution: RemoteRunExecution, handle: RunHandle, *, why: str) -> None:
    """Asks the vendor to cancel the remote run, if the vendor can. Does not wait for the confirmation."""
    run, log, description = execution.run, execution.step.log, execution.describe_run(handle.run_id)
    if not run.can_cancel():
        return
    log.info("Canceling %s because %s", description, why)
    # The terminating process waits for this one and may kill it, so there is no time for long retries.
    with hold_interrupts(), execution.resource.http().with_call_budget():
        try:
            with vendor_code(run, execution.resource, "cancel"):
                run.cancel(execution.resource, handle.run_id)
        except VendorError as error:
            # The most common reason is that the run has just finished, which the next status check shows.
            log.warning("The request to cancel %s was refused: %s", description, error)


def cancel(execution: RemoteRunExecution, handle: RunHandle, *, why: str) -> tuple[RunStatus | None, str]:
    """Cancels the remote run and waits a limited time for the confirmation.

    Does nothing if a newer attempt has attached to the run.

    Returns:
        The final status, if it is known, and a sentence for users that says what happened to the run.
    """
    with hold_interrupts():
        if execution.run.can_cancel():
            reason = _why_not_to_cancel(execution, handle)
            if reason is not None:
                execution.step.log.warning(reason)
                return None, reason
        request_cancel(execution, handle, why=why)
        until = current_clock().monotonic() + CANCEL_CONFIRMED_WITHIN
        return wait_for_cancel(execution, handle, why=why, until=until)


def _why_not_to_cancel(execution: RemoteRunExecution, handle: RunHandle) -> str | None:
    """Returns the reason why this step must not cancel the run; ``None`` if it may.

    This step writes its entry and then reads the ledger again. An attempt that attaches also writes first and then
    reads. So either this step sees the newer attempt, or the newer attempt sees that this step canceled the run and
    starts another one (see `execute`).
    """

    def call() -> str | None:
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
        return None if newer is None else superseded_message(execution, handle, newer)

    try:
        return _with_pauses(call)
    except Exception:  # each storage has its own errors
        _logger.exception("The ledger could not be used before a cancellation")
        return (
            f"Dagster's event log is unavailable, so it is unknown whether another Dagster run has attached to "
            f"{execution.describe_run(handle.run_id)}, which is therefore not canceled. "
            f"{execution.run.manual_stop_hint}".rstrip()
        )


def _with_pauses(call: Callable[[], T]) -> T:
    """Calls a function that uses the ledger, and repeats it for some seconds if the storage fails.

    Raises:
        Exception: The storage's own exception, if the last attempt fails too.
    """
    for pause in _LEDGER_PAUSES:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - each storage has its own errors; the last attempt raises it
            _logger.warning("The ledger could not be read before a cancellation: %s", error)
            current_clock().sleep(pause)
    return call()


def wait_for_cancel(
    execution: RemoteRunExecution, handle: RunHandle, *, why: str, until: float
) -> tuple[RunStatus | None, str]:
    """Waits until a remote run whose cancellation was requested has finished.

    Args:
        execution: The execution of the run.
        handle: The run.
        why: The reason for the cancellation.
        until: Monotonic seconds until which to wait for the confirmation. The status is always checked at least once.

    Returns:
        The final status, if it is known, and a sentence for users that says what happened to the run.
    """
    run, log = execution.run, execution.step.log
    description = execution.describe_run(handle.run_id)
    if not run.can_cancel():
        message = (
            f"{run.vendor} cannot cancel {description} through its API, so the run is still active. "
            f"{run.manual_stop_hint}".strip()
        )
        if url := execution.url(handle.run_id):
            message = f"{message} See {url}"
        log.warning(message)
        return None, message
    with hold_interrupts(), execution.resource.http().with_call_budget():
        status = _wait_until_final(execution, handle, until)
    if status is None:
        within = f"within {CANCEL_CONFIRMED_WITHIN:.0f} s"
        message = (
            f"{run.vendor} did not confirm {within} that {description} has finished. Check its status there. "
            f"{run.cancel_caveat}"
        )
        log.warning("%s %s", message.rstrip(), execution.url(handle.run_id) or "")
        return None, message.rstrip(" .")
    if status.state is not RunState.SUCCEEDED:  # the result of a run that succeeded can still be used
        execution.record(
            EntryKind.ENDED,
            f"The {execution.description} ended with status {status.plain_status}, because {why}",
            handle,
            status=status,
        )
    message = f"{description} ended with status {status.vendor_status}. {run.cancel_caveat}".rstrip(" .")
    log.info(message)
    return status, message


def _wait_until_final(execution: RemoteRunExecution, handle: RunHandle, until: float) -> RunStatus | None:
    clock = current_clock()
    pause = FIRST_PAUSE
    while True:
        try:
            status = execution.get_status(handle.run_id)
            if status.state.is_final:
                return status
        except VendorError as error:
            execution.step.log.debug("Status check of the canceled run failed: %s", error)
        if clock.monotonic() >= until:
            return None
        clock.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def superseded_message(execution: RemoteRunExecution, handle: RunHandle, newer: LedgerEntry) -> str:
    """Returns the message for a step that leaves the remote run to a newer attempt that has attached to it."""
    run = execution.describe_run(handle.run_id)
    return (
        f"Dagster run {newer.dagster_run_id} has attached to {run} after this step did, so this step neither "
        "reports nor cancels it"
    )
