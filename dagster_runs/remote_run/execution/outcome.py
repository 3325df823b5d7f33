"""Reports the outcome of a run: its result, its failure, or a timeout that cancels it or leaves it active.

A step can outlive its Dagster run, and another Dagster run may have attached to the remote run in the meantime. So both
reporting and canceling begin with two questions: Has our Dagster run ended? Has a newer attempt attached?
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_checks import reported_on_failure
from dagster_runs.remote_run.errors import RunCanceled, RunFailed, RunTerminated, RunTimedOut
from dagster_runs.remote_run.execution.attach import is_finalized
from dagster_runs.remote_run.execution.cancellation import cancel, superseded_message
from dagster_runs.remote_run.execution.closing import fail_if_blocked
from dagster_runs.remote_run.execution.events import check_events, materializations, run_metadata, run_status_outcome
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.provenance import read_provenance
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.run_summary import ended, run_summary
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.transport.errors import VendorError

_REPORTS_NOTHING = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_logger = logging.getLogger(__name__)


def report_outcome(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> Iterator[Any]:
    """Yields the Dagster events of a finished run; raises if it did not succeed.

    Raises:
        RunFailed: The vendor reports that the run failed.
        RunCanceled: The run was canceled at the vendor.
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has marked our own Dagster run as failed, or a newer attempt has attached to the remote
            run.
    """
    run = execution.run
    outcome = run_status_outcome(run, handle.run_id, status)
    metadata = run_metadata(
        run, handle.run_id, url=execution.url(handle.run_id), attached=handle.attached, status=status
    )
    if status.state is RunState.SUCCEEDED:
        result = run.get_result(execution.resource, handle.run_id, status, execution.options.gate)
        if _is_ours_to_report(execution, handle):
            url = execution.url(handle.run_id)
            summary = run_summary(run, handle.run_id, status, result, url=url)
            execution.step.log.info("%s", summary)
            shown, outcomes = in_page_order({**result.metadata, **metadata}), [outcome, *result.checks]
            events = _report_success(execution, handle, shown, result, outcomes)
            if execution.is_whole_step:
                events = fail_if_blocked(events, execution.step, summary, url=url)
            yield from events
        return

    known = _fetch_known(execution, handle, status)
    if not _is_ours_to_report(execution, handle):
        return
    execution.record(
        EntryKind.ENDED,
        f"The {execution.description} {status.outcome_text}",
        handle,
        status=status,
        metadata=known.metadata,
    )
    reported_checks = reported_on_failure(run, known.checks)
    yield from check_events(execution.step, [outcome, *reported_checks])
    execution.step.log.error("%s", run_summary(run, handle.run_id, status, known, url=execution.url(handle.run_id)))
    kind = RunCanceled if status.state is RunState.CANCELED else RunFailed
    error = f": {status.error}" if status.error else ""
    raise kind(
        f"{execution.describe_run(handle.run_id)} {ended(status)}{error}",
        vendor=run.vendor,
        run_id=handle.run_id,
        hint=f"See {execution.url(handle.run_id)}." if execution.url(handle.run_id) else "",
        metadata=in_page_order({**metadata, **known.metadata}),
        is_retryable=status.is_retryable and execution.retries_remaining,
    )


def _report_success(
    execution: RemoteRunExecution,
    handle: RunHandle,
    shown: Mapping[str, Any],
    result: RunResult,
    outcomes: Sequence[CheckOutcome],
) -> Iterator[Any]:
    if execution.report is not None:
        return execution.report(execution, handle, shown, result, outcomes)
    provenance = read_provenance(execution.provenance_of(handle.correlation_id))
    return materializations(execution.step, handle.run_id, provenance, shown, outcomes)


def _is_ours_to_report(execution: RemoteRunExecution, handle: RunHandle) -> bool:
    """Checks again, right before the outcome is reported, whether this step must report it.

    Returns:
        Whether this step reports the outcome. False if it was requested to report an outcome that is already reported.

    Raises:
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has marked our own Dagster run as failed, or a newer attempt has attached to the remote
            run.
    """
    execution.raise_if_own_run_ended(execution.wait_for_own_run_state(), run_id=handle.run_id)
    if execution.step.finishes is not None:  # such a step attaches without writing an entry
        return not execution.storage.wait_for(lambda: is_finalized(execution))
    newer = execution.storage.wait_for(lambda: _reported_by(execution, handle))
    if newer is not None:
        raise RunTerminated(
            superseded_message(execution, handle, newer), vendor=execution.run.vendor, run_id=handle.run_id
        )
    return True


def _reported_by(execution: RemoteRunExecution, handle: RunHandle) -> LedgerEntry | None:
    """Returns the entry of the newer attempt that reports the outcome; ``None`` if this step reports it."""
    newer = execution.ledger.read().newer_attempt(handle.run_id)
    if newer is None or newer.dagster_run_id == execution.step.dagster_run_id:
        return newer
    run = execution.step.instance.get_run_by_id(newer.dagster_run_id)
    # A Dagster run that has failed in the meantime reports nothing, and ours has not ended.
    return None if run is None or run.status in _REPORTS_NOTHING else newer


def _fetch_known(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> RunResult:
    """Fetches the result of a run that did not succeed. An error here must not hide the failure of the run."""
    try:
        return execution.run.get_result(execution.resource, handle.run_id, status, execution.options.gate)
    except VendorError as error:
        execution.step.log.warning("Could not fetch the result of run %s: %s", handle.run_id, error)
        return RunResult()


def handle_timeout(execution: RemoteRunExecution, handle: RunHandle, error: RunTimedOut) -> Iterator[Any]:
    """Handles the timeout of a run: leaves the run active or cancels it, as the user chose.

    Raises:
        RunTimedOut: Always, unless the run has just succeeded.
    """
    if execution.options.on_timeout == "leave":
        execution.step.log.warning("%s timed out and is left active", execution.describe_run(handle.run_id))
        raise error
    status, message = cancel(execution, handle, why="it timed out")
    if status is not None and status.state is RunState.SUCCEEDED:
        yield from report_outcome(execution, handle, status)
        return
    raise RunTimedOut(f"{error.detail}. {message}", vendor=error.vendor, run_id=error.run_id) from None
