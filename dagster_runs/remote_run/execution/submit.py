"""Sends a start, and records the run that it created."""

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
from dagster_runs.transport.errors import RateLimitedError, VendorError
from dagster_runs.transport.retry import may_send_again

_STORAGE_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to record a run that has started. A database that fails over recovers within this time."""
_SHORT_STORAGE_PAUSES = _STORAGE_PAUSES[:3]
"""The same pauses for a process that was asked to stop and may soon be killed."""
_RATE_LIMITED_FOR = 300.0
"""The maximum seconds for which one start is sent again after 429. A ledger entry is followed by its request within
`MAX_START_LATENCY`, so after this time the start needs a new entry."""
_known_unsent: set[str] = set()
"""Correlation ids of starts that created no run, known to this process even if the ledger does not say so. Either the
request was not sent, or the vendor refused it."""
_logger = logging.getLogger(__name__)


def is_known_unsent(correlation_id: str) -> bool:
    """Whether this process knows that a start created no run, although its last ledger entry is ``starting``."""
    return correlation_id in _known_unsent


@contextmanager
def recording_unsent(execution: RemoteRunExecution, attempt: StartAttempt) -> Iterator[None]:
    """Records that a start created no run, if the block that records and sends it fails before a run can exist.

    Otherwise the next attempt would find a start with an unknown outcome: Dagster's storage may fail, or a signal may
    arrive, between the ledger entry and the request.

    Args:
        execution: The execution of the run.
        attempt: The start.
    """
    _known_unsent.add(attempt.correlation_id)
    try:
        yield
    except VendorError:
        raise  # the caller records the vendor's response
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
    """Records that a start created no run. This process remembers it if Dagster's storage fails.

    Args:
        execution: The execution of the run.
        attempt: The start.
        description: Why it created no run, for users.
        metadata: Metadata for users.
        pauses: Seconds between the attempts to write the entry.
    """
    _known_unsent.add(attempt.correlation_id)
    entry = execution.new_entry(EntryKind.NOT_STARTED, description, attempt, metadata=metadata)
    for pause in (*pauses, None):
        try:
            execution.ledger.record(entry)
        except Exception as error:
            _logger.warning(
                "Could not record in Dagster's event log that nothing was started: %s",
                error,
                exc_info=error if pause is None else None,
            )
            if pause is not None:
                current_clock().sleep(pause)
        else:
            _known_unsent.discard(attempt.correlation_id)
            return


def send(execution: RemoteRunExecution, attempt: StartAttempt, *, lost: bool = False) -> RunHandle:
    """Sends the start until the vendor accepts or refuses it. Repeats it only if that cannot start a second run.

    A start that is refused with 429 is repeated for five minutes, and any other one at most ``max_retries`` times.

    Args:
        execution: The execution of the run.
        attempt: The start.
        lost: Whether it was sent before, and may have been accepted.

    Raises:
        Terminated: Our own Dagster run was terminated before the start was sent again.
        VendorError: The start was refused or lost; ``may_have_been_accepted`` says which.
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
                run_id = run.send_start(execution.resource, attempt)
            except VendorError as error:
                # The refusal of a second attempt says nothing about a first one that was lost.
                lost = error.may_have_been_accepted = lost or error.may_have_been_accepted
                refused = not lost
                if refused:
                    _known_unsent.add(attempt.correlation_id)
                raise
            return record_started(execution, attempt, run_id)

    client, clock = execution.resource.http(), current_clock()
    until, is_logged = clock.monotonic() + min(_RATE_LIMITED_FOR, execution.timeout), False
    while True:
        try:
            with client.without_rate_limit_retries():
                return client.retrying(repeatable=run.start_is_idempotent)(send_once)
        except RateLimitedError as error:
            pause = client.backoff.pause()
            if not may_send_again(error, repeatable=run.start_is_idempotent) or clock.monotonic() + pause > until:
                raise
            if not is_logged:
                is_logged = True
                execution.step.log.info("The start of %s was refused; trying again: %s", execution.description, error)
        _sleep(execution, pause, lost=lost)


def _sleep(execution: RemoteRunExecution, seconds: float, *, lost: bool) -> None:
    try:
        execution.sleep(seconds)
    except RunTerminated as error:
        error.may_have_been_accepted = lost
        raise


def _check_own_run(execution: RemoteRunExecution, *, lost: bool) -> None:
    """Raises if our Dagster run has ended, so that nothing is sent again: another process may have taken over."""
    own_run_state = execution.wait_for_own_run_state()
    if own_run_state is OwnRunState.TERMINATED:
        raise Terminated
    if own_run_state is OwnRunState.MARKED_FAILED:
        error = RunTerminated(
            f"Dagster has marked this step's Dagster run as failed, so the start of {execution.description} was not "
            "sent again",
            vendor=execution.run.vendor,
        )
        error.may_have_been_accepted = lost
        raise error


def record_started(
    execution: RemoteRunExecution, attempt: StartAttempt, run_id: str, *, found: str | None = None
) -> RunHandle:
    """Records that the run has started.

    Args:
        execution: The execution of the run.
        attempt: The attempt that started it.
        run_id: The vendor's id of the run.
        found: How the run was found, if the response to the start was lost.
    """
    now = current_clock().wall()
    handle = RunHandle(
        run_id=run_id,
        correlation_id=attempt.correlation_id,
        started_at=now,
        deadline=now + execution.timeout,
        attached=found is not None,
    )
    message = f"Started the {execution.description}" if found is None else f"Found the {execution.description}: {found}"
    entry = execution.new_entry(EntryKind.STARTED, message, handle)
    for pause in (*_STORAGE_PAUSES, None):
        try:
            execution.ledger.record(entry)
            break
        except Exception as error:  # any exception of any storage; no vendor code is involved
            # Not logged to the event log, which is what fails.
            _logger.warning(
                "%s: run %s, which could not be recorded in Dagster's event log: %s", message, run_id, error
            )
            if pause is None:
                raise
            current_clock().sleep(pause)
    execution.step.log.info("%s: run %s %s", message, run_id, execution.url(run_id) or "")
    return handle
