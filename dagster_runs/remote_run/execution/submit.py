"""Sending a start, and noting the run that it began."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster_runs.remote_run.errors import RunTerminated
from dagster_runs.remote_run.execution.dagster_step import OwnRunState
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle, Terminated
from dagster_runs.remote_run.execution.interrupts import hold_interrupts
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_STORAGE_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to note a run that has begun: a database that fails over is back after some."""
_SHORT_STORAGE_PAUSES = _STORAGE_PAUSES[:3]
"""The same for a process that was told to stop: it may be killed soon."""
_known_unsent: set[str] = set()
"""Correlation ids of starts that began no run, as this process knows though the ledger may not: either the request was
not sent, or the vendor refused it."""
_logger = logging.getLogger(__name__)


def is_known_unsent(correlation_id: str) -> bool:
    """Whether this process knows that a start began no run, though the ledger tells only that it was to be sent."""
    return correlation_id in _known_unsent


@contextmanager
def recording_unsent(execution: RemoteRunExecution, attempt: StartAttempt) -> Iterator[None]:
    """Write down that a start began no run, where the block that notes and sends it ends before that can have happened.

    Otherwise the next attempt would find a start of unknown outcome: Dagster's storage may fail, or a signal arrive,
    between the ledger's entry and the request.

    Args:
        execution: What this step wants.
        attempt: The start.
    """
    _known_unsent.add(attempt.correlation_id)
    try:
        yield
    except VendorError:
        raise  # the caller notes what the vendor said
    except BaseException as error:
        if is_known_unsent(attempt.correlation_id):
            pauses = _STORAGE_PAUSES if isinstance(error, Exception) else _SHORT_STORAGE_PAUSES
            with hold_interrupts():
                record_not_started(execution, attempt, "Stopped before it was sent", pauses=pauses)
        raise


def record_not_started(
    execution: RemoteRunExecution,
    attempt: StartAttempt,
    description: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    pauses: tuple[float, ...] = _STORAGE_PAUSES,
) -> None:
    """Write down that a start began no run. This process remembers it where Dagster's storage fails.

    Args:
        execution: What this step wants.
        attempt: The start.
        description: Why it began none, for people.
        metadata: What people want to see.
        pauses: Seconds between the attempts to write it.
    """
    _known_unsent.add(attempt.correlation_id)
    entry = execution.new_entry(EntryKind.NOT_STARTED, description, attempt, metadata=metadata)
    for pause in (*pauses, None):
        try:
            execution.ledger.record(entry)
        except Exception as error:  # each storage has its own errors
            _logger.warning("Dagster's event log failed, so it does not tell that nothing was started: %s", error)
            if pause is not None:
                current_clock().sleep(pause)
        else:
            _known_unsent.discard(attempt.correlation_id)
            return


def send(execution: RemoteRunExecution, attempt: StartAttempt, *, lost: bool = False) -> RunHandle:
    """Send the start until the vendor accepts or refuses it; again only where that cannot start a second run.

    Args:
        execution: What this step wants.
        attempt: The start.
        lost: Whether it was sent before, and may have been accepted.

    Raises:
        Terminated: Our own Dagster run was terminated, before it was sent again.
        VendorError: Refused, or lost: ``may_have_been_accepted`` tells which.
    """
    run = execution.run
    refused = False

    def send_once() -> RunHandle:
        nonlocal lost, refused
        if lost or refused:
            _check_own_run(execution, lost=lost)
        with hold_interrupts():
            refused = False
            _known_unsent.discard(attempt.correlation_id)
            try:
                run_id = run.start(execution.resource, attempt)
            except VendorError as error:
                # The refusal of a second try tells nothing about a first one that was lost.
                lost = error.may_have_been_accepted = lost or error.may_have_been_accepted
                refused = not lost
                if refused:
                    _known_unsent.add(attempt.correlation_id)
                raise
            return record_started(execution, attempt, run_id)

    return execution.resource.http().retrying(repeatable=run.start_is_idempotent)(send_once)


def _check_own_run(execution: RemoteRunExecution, *, lost: bool) -> None:
    """Send nothing again for a Dagster run that is over: another process may have gone on with it."""
    verdict = execution.own_run_state_for_certain()
    if verdict is OwnRunState.TERMINATED:
        raise Terminated
    if verdict is OwnRunState.MARKED_FAILED:
        over = RunTerminated(
            f"Dagster has given up this step's run, so the start of {execution.description} was not sent again",
            vendor=execution.run.vendor,
        )
        over.may_have_been_accepted = lost
        raise over


def record_started(
    execution: RemoteRunExecution, attempt: StartAttempt, run_id: str, *, found: str | None = None
) -> RunHandle:
    """Write down that the run is going.

    Args:
        execution: What this step wants.
        attempt: The start that began it.
        run_id: The vendor's id.
        found: How it was found, if the start's own answer was lost.
    """
    now = current_clock().wall()
    handle = RunHandle(
        run_id=run_id,
        correlation_id=attempt.correlation_id,
        started_at=now,
        deadline=now + execution.timeout,
        attached=found is not None,
    )
    said = f"Started the {execution.description}" if found is None else f"Found the {execution.description}: {found}"
    entry = execution.new_entry(EntryKind.STARTED, said, handle)
    for pause in (*_STORAGE_PAUSES, None):
        try:
            execution.ledger.record(entry)
            break
        except Exception as error:  # of whatever storage Dagster has: no vendor has a part in this
            # Not into the event log, which is what fails.
            _logger.warning("%s: run %s, which could not be noted in Dagster's event log: %s", said, run_id, error)
            if pause is None:
                raise
            current_clock().sleep(pause)
    execution.step.log.info("%s: run %s %s", said, run_id, execution.url(run_id) or "")
    return handle
