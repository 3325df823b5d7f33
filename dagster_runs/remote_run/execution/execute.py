"""Executes one remote run in one step, from its start to its outcome."""

import logging
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from dagster_runs.remote_run.errors import RunCanceled, RunFailed, RunTimedOut, as_step_failure
from dagster_runs.remote_run.execution import cancellation, outcome
from dagster_runs.remote_run.execution.attach import handle_to_finish, is_finalized
from dagster_runs.remote_run.execution.closing import log_deferred
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle, Terminated
from dagster_runs.remote_run.execution.interrupts import hold_interrupts
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.polling import wait_until_final
from dagster_runs.remote_run.execution.start import start
from dagster_runs.remote_run.execution.start_or_attach import start_or_attach
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.errors import VendorError

_logger = logging.getLogger(__name__)
_entered: WeakKeyDictionary[object, set[tuple[object, ...]]] = WeakKeyDictionary()
"""The ledgers that each step of this process has opened, by the step's context. A second run with the same ledger would
get the result of the first."""


def execute_remote_run(execution: RemoteRunExecution) -> Iterator[Any]:
    """Starts or attaches to the run, waits for it, and yields the asset's events.

    A deferred run is only started. The completion sensor reports its success, and requests a Dagster run for any other
    outcome; in the step of that Dagster run, this function does the rest.

    If the step is interrupted, the remote run is canceled only if a user or a limit terminated the Dagster run, or if
    the run timed out and the user chose to cancel it then. Otherwise it continues, and the next attempt attaches to it.

    Raises:
        RunFailed, RunCanceled, RunLost, RunTimedOut, RunConflict, RunTerminated, StartOutcomeUnknown: See their
            docstrings.
        dagster.Failure: The vendor refused a call for a reason that a retry cannot fix.
        VendorError: A call failed for another reason.
    """
    try:
        yield from _execute(execution)
    except (RunFailed, RunCanceled):
        raise  # logged when it was reported
    except (VendorError, dg.Failure) as error:
        # Without the traceback, which Dagster logs with the step's failure.
        execution.step.log.error("%s", error.description if isinstance(error, dg.Failure) else error)  # noqa: TRY400
        raise


def _execute(execution: RemoteRunExecution) -> Iterator[Any]:
    _enter(execution)
    try:
        if is_finalized(execution):
            return
        handle = handle_to_finish(execution)
        if handle is not None:
            execution = execution.for_deferred_run(handle.run_id)
        else:
            handle = start_or_attach(execution)
            if handle is None:
                return  # the request is queued
            if execution.options.wait == "defer":
                if handle.status is None:
                    log_deferred(execution, handle)
                return
        try:
            status = wait_until_final(execution, handle)
            while _was_canceled_for_another(execution, handle, status) or _is_outdated(execution, handle, status):
                handle = start(execution, execution.wait_for_own_run_state())
                status = wait_until_final(execution, handle)
        except RunTimedOut as error:
            yield from outcome.handle_timeout(execution, handle, error)
            return
        yield from outcome.report_outcome(execution, handle, status)
    except VendorError as error:
        raise as_step_failure(error) from None
    except Terminated:
        with hold_interrupts(forget=True):
            cancellation.handle_termination(execution)
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        with hold_interrupts(forget=True):
            if _was_terminated(execution):
                cancellation.handle_termination(execution)
        execution.step.log.warning(
            "This process was asked to stop, but the Dagster run was not terminated. A remote run that it started is "
            "still active; the next attempt will attach to it"
        )
        raise


def _was_canceled_for_another(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> bool:
    """Whether a terminated step canceled the run just before this step attached to it.

    The user wants a result from this Dagster run, and no remote run is active, so a new one is started.
    """
    if status.state is not RunState.CANCELED or not handle.attached or execution.step.finishes is not None:
        return False
    if not execution.storage.wait_for(lambda: execution.ledger.read().is_canceled_by_other_step(handle.run_id)):
        return False
    message = (
        f"The {execution.description} was canceled by a Dagster run that was terminated earlier; starting a new one"
    )
    execution.step.log.warning("%s: %s", execution.describe_run(handle.run_id), message)
    entry = execution.new_entry(EntryKind.ENDED, message, handle, status=status)
    execution.storage.wait_for(lambda: execution.ledger.record(entry))
    return True


def _is_outdated(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> bool:
    """Whether an earlier attempt's run succeeded but has not seen the data that this step is about."""
    if status.state is not RunState.SUCCEEDED or not handle.attached or execution.step.finishes is not None:
        return False
    if not execution.storage.wait_for(lambda: execution.is_outdated(handle, status)):
        return False
    message = "It started before the newest materialization of a table that this step checks; starting a new one"
    execution.step.log.info("%s: %s", execution.describe_run(handle.run_id), message)
    return True


def _was_terminated(execution: RemoteRunExecution) -> bool:
    try:
        return execution.step.was_terminated(after_signal=True)
    except Exception:  # each storage has its own errors
        _logger.exception("Could not read from Dagster's storage whether the Dagster run was terminated")
        return False


def _enter(execution: RemoteRunExecution) -> None:
    step = execution.step
    ledgers = _entered.setdefault(step.context.op_execution_context, set())
    ledger = (*step.asset_keys, step.partition, step.name)
    if ledger in ledgers:
        raise dg.DagsterInvariantViolationError(
            f"This step has already run {with_article(execution.run.label)}. To run several in one step, give "
            "each call of `run()` its own `name`, so that each can be found again after a crash."
        )
    ledgers.add(ledger)
