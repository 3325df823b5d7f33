"""Attaches to the run that an earlier attempt started, or starts one, so that there is one run per materialization."""

from dagster_runs.remote_run.execution.attach import attach
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.lost_starts import recover
from dagster_runs.remote_run.execution.queueing import start_in_turn
from dagster_runs.remote_run.execution.submit import is_known_unsent, record_not_started


def start_or_attach(execution: RemoteRunExecution) -> RunHandle | None:
    """Returns the run to wait for: the one that an earlier attempt started, or a new one.

    Returns:
        ``None`` if the request is queued.

    Raises:
        StartOutcomeUnknown: The response to a start was lost, and it is unknown whether a run was started.
        RunConflict: Another run of the same target is active, and the user does not want to wait.
        VendorError: The vendor refused the start.
    """
    # Read before the ledger, which needs the start of the Dagster run from the same query.
    own_run_state = execution.step.own_run_state_at_start
    record = execution.ledger.read().newest_start
    handle: RunHandle | None = None
    if record is not None and record.kind is EntryKind.STARTED:
        handle = attach(execution, record)
    elif record is not None and record.kind is EntryKind.STARTING and is_known_unsent(record.correlation_id):
        execution.step.log.info("The last attempt in this process ended before it sent the start; starting again")
        record_not_started(execution, execution.attempt_of(record), "Stopped before it was sent")
    elif record is not None and record.kind is EntryKind.STARTING:
        why = f"this step's last attempt ended while it was starting {record.target}"
        is_same = record.is_of(execution.target, execution.fields_digest)
        handle = recover(execution, execution.attempt_of(record), why=why, is_same=is_same)
    if handle is not None:
        return handle
    # Attaching and recovering may have taken a long time.
    return start_in_turn(execution, own_run_state if record is None else execution.wait_for_own_run_state())
