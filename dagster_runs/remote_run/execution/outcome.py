"""The end of following a run: its result, its failure, or a termination that cancels it or leaves it.

A step can outlive its Dagster run, and another Dagster run may have attached to the remote run meanwhile. So both
publishing and canceling begin with two questions: is our Dagster run over, and has a newer attempt attached?
"""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_runs.remote_run.errors import RunCanceled, RunFailed, RunTerminated, RunTimedOut
from dagster_runs.remote_run.execution.attach import is_finalized
from dagster_runs.remote_run.execution.cancellation import cancel, left_to_newer
from dagster_runs.remote_run.execution.events import check_events, materializations, run_metadata, run_status_outcome
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.provenance import read_provenance
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.transport.errors import VendorError

_REPORTS_NOTHING = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_logger = logging.getLogger(__name__)


def report_outcome(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> Iterator[Any]:
    """The Dagster events of a run that has ended; raises if it did not succeed.

    Raises:
        RunFailed: The vendor says that the run failed.
        RunCanceled: Somebody cancelled it at the vendor.
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has given it up, or a newer attempt has attached to the remote run.
    """
    run = execution.run
    outcome = run_status_outcome(run, handle.run_id, status)
    metadata = run_metadata(
        run, handle.run_id, url=execution.url(handle.run_id), attached=handle.attached, status=status
    )
    if status.state is RunState.SUCCEEDED:
        result = run.fetch_result(execution.resource, handle.run_id, status, execution.options.gate)
        if _is_ours_to_report(execution, handle):
            shown = {**result.metadata, **metadata}
            provenance = read_provenance(execution.provenance_of(handle.correlation_id))
            yield from materializations(execution.step, handle.run_id, provenance, shown, [outcome, *result.checks])
        return

    known = _known_of(execution, handle, status)
    if not _is_ours_to_report(execution, handle):
        return
    execution.record(
        EntryKind.ENDED,
        f"The {execution.description} {status.ending}",
        handle,
        status=status,
        metadata=known.metadata,
    )
    told = [check for check in known.checks if check.name in run.checks_on_failure]
    yield from check_events(execution.step, [outcome, *told])
    kind = RunCanceled if status.state is RunState.CANCELED else RunFailed
    raise kind(
        f"{execution.describe_run(handle.run_id)} {status.ending}" + (f": {status.error}" if status.error else ""),
        vendor=run.vendor,
        run_id=handle.run_id,
        hint=f"See {execution.url(handle.run_id)}." if execution.url(handle.run_id) else "",
        metadata={**metadata, **known.metadata},
        is_retryable=status.is_retryable and execution.retries_remaining,
    )


def _is_ours_to_report(execution: RemoteRunExecution, handle: RunHandle) -> bool:
    """Ask again, right before the end is reported, whether this step is the one that reports it.

    Returns:
        Whether it is. It is not where it was requested to report an end that is reported already.

    Raises:
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has given it up, or a newer attempt has attached to the remote run.
    """
    execution.raise_if_own_run_ended(execution.own_run_state_for_certain(), run_id=handle.run_id)
    if execution.step.finishes is not None:  # which attaches without an entry of its own
        return not execution.storage.wait_for(lambda: is_finalized(execution))
    newer = execution.storage.wait_for(lambda: _reported_by(execution, handle))
    if newer is not None:
        raise RunTerminated(left_to_newer(execution, handle, newer), vendor=execution.run.vendor, run_id=handle.run_id)
    return True


def _reported_by(execution: RemoteRunExecution, handle: RunHandle) -> LedgerEntry | None:
    """The entry of the newer attempt that reports the run's end; ``None`` if this step does."""
    newer = execution.ledger.read().newer_attempt(handle.run_id)
    if newer is None or newer.dagster_run_id == execution.step.dagster_run_id:
        return newer
    run = execution.step.instance.get_run_by_id(newer.dagster_run_id)
    # A Dagster run that has failed meanwhile reports nothing, and ours is not over.
    return None if run is None or run.status in _REPORTS_NOTHING else newer


def _known_of(execution: RemoteRunExecution, handle: RunHandle, status: RunStatus) -> RunResult:
    """What is known of a run that did not succeed; not being able to fetch it must not hide the failure."""
    try:
        return execution.run.fetch_result(execution.resource, handle.run_id, status, execution.options.gate)
    except VendorError as error:
        execution.step.log.warning("The result of run %s could not be fetched: %s", handle.run_id, error)
        return RunResult()


def handle_timeout(execution: RemoteRunExecution, handle: RunHandle, error: RunTimedOut) -> Iterator[Any]:
    """The end of a run's time: leave it or cancel it, as the user chose.

    Raises:
        RunTimedOut: Unless the run turns out to have succeeded just then.
    """
    if execution.options.on_timeout == "leave":
        execution.step.log.warning("%s is left going", execution.describe_run(handle.run_id))
        raise error
    status, said = cancel(execution, handle, why="its time was over")
    if status is not None and status.state is RunState.SUCCEEDED:
        yield from report_outcome(execution, handle, status)
        return
    raise RunTimedOut(f"{error.detail}. {said}", vendor=error.vendor, run_id=error.run_id) from None
