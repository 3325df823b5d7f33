"""Starts a run, and recovers from a lost response."""

from collections.abc import Callable

import dagster as dg

from dagster_runs.remote_run.errors import RunTerminated
from dagster_runs.remote_run.execution.conflict import Conflict, NotItsTurn
from dagster_runs.remote_run.execution.dagster_step import OwnRunState
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.lost_starts import recover
from dagster_runs.remote_run.execution.submit import record_not_started, recording_unsent, send
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.remote_run.vendor_code import vendor_code
from dagster_runs.transport.errors import RateLimitedError, VendorError

_MAX_LOST_STARTS = 3
"""The maximum number of consecutive lost starts that created no run. After that, the vendor has a longer outage."""


def start(
    execution: RemoteRunExecution,
    own_run_state: OwnRunState | None,
    *,
    reason_to_wait: Callable[[StartAttempt], str | None] = lambda _: None,
) -> RunHandle:
    """Starts a run without attaching to earlier ones.

    With ``on_conflict="wait"``, it waits until no other run of the target is active.

    Args:
        execution: The execution of the run.
        own_run_state: How the Dagster run has ended; ``None`` while it is active.
        reason_to_wait: Returns why the request has to be queued, once its start is recorded.

    Raises:
        NotItsTurn: The request has to be queued.
    """
    run = execution.run
    conflict = Conflict(execution)
    lost_starts = 0
    while True:
        if own_run_state is OwnRunState.TERMINATED:
            raise RunTerminated(f"the Dagster run was terminated, so no {run.label} was started", vendor=run.vendor)
        if own_run_state is OwnRunState.MARKED_FAILED:
            raise RunTerminated(
                f"Dagster has marked this step's Dagster run as failed, so no {run.label} was started",
                vendor=run.vendor,
            )
        attempt = execution.new_attempt()
        execution.check_entry_fits(attempt)
        try:
            with recording_unsent(execution, attempt):
                execution.record(EntryKind.STARTING, f"Starting {execution.with_article}", attempt)
                reason = reason_to_wait(attempt)
                if reason is None:
                    return send(execution, attempt)
        except VendorError as error:
            if error.may_have_been_accepted:
                handle = recover(execution, attempt, why=str(error))
                if handle is not None:
                    return handle
                lost_starts += 1
                if lost_starts == _MAX_LOST_STARTS:
                    raise
            else:
                # Not in the description, because Dagster renders that as markdown.
                error_metadata = {"dagster_runs/error": dg.MetadataValue.text(str(error))}
                record_not_started(execution, attempt, "The start was refused", metadata=error_metadata)
                if not _wait_after_refusal(execution, error, attempt, conflict):
                    raise
        else:
            raise NotItsTurn(attempt, reason)
        own_run_state = execution.wait_for_own_run_state()


def _wait_after_refusal(
    execution: RemoteRunExecution, error: VendorError, attempt: StartAttempt, conflict: Conflict
) -> bool:
    """Waits until a refused start may be sent again. Returns whether it may be sent again at all."""
    if isinstance(error, RateLimitedError) and conflict.waited < execution.timeout:
        execution.sleep(execution.resource.http().backoff.pause())
        return True
    with vendor_code(execution.run, execution.resource, "is_conflict_with_active_run"):
        is_conflict = execution.run.is_conflict_with_active_run(error)
    if is_conflict:
        conflict.wait_until_free(error, attempt)
        return True
    return False
