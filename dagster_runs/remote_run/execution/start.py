"""Starts a run or attaches to one, so that there is one remote run per materialization despite earlier attempts."""

import dagster as dg

from dagster_runs.remote_run.errors import RunConflict, RunTerminated, RunTimedOut
from dagster_runs.remote_run.execution.attach import attach
from dagster_runs.remote_run.execution.dagster_step import OwnRunState
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.lost_starts import recover
from dagster_runs.remote_run.execution.poll_schedule import growing_pause
from dagster_runs.remote_run.execution.submit import is_known_unsent, record_not_started, recording_unsent, send
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_MAX_LOST_STARTS = 3
"""The maximum number of consecutive lost starts that created no run. After that, the vendor has a longer outage."""
_MAX_CONFLICT_PAUSE = 300.0
"""The maximum seconds between start attempts while another run is active. Each attempt stays in the event log."""


def start_or_attach(execution: RemoteRunExecution) -> RunHandle:
    """Returns the run to wait for: the one that an earlier attempt started, or a new one.

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
    return start(execution, own_run_state if record is None else execution.wait_for_own_run_state())


def start(execution: RemoteRunExecution, own_run_state: OwnRunState | None) -> RunHandle:
    """Starts a run without attaching to earlier ones.

    With ``on_conflict="wait"``, it waits until no other run of the target is active.

    Args:
        execution: The execution of the run.
        own_run_state: How the Dagster run has ended; ``None`` while it is active.
    """
    run, clock = execution.run, current_clock()
    began_at = clock.wall()
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
                execution.record(EntryKind.STARTING, f"Starting {with_article(execution.description)}", attempt)
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
                if not run.is_conflict_with_active_run(error):
                    raise
                _wait_until_free(execution, error, began_at)
        own_run_state = execution.wait_for_own_run_state()


def _wait_until_free(execution: RemoteRunExecution, error: VendorError, began_at: float) -> None:
    run, clock = execution.run, current_clock()
    waited = clock.wall() - began_at
    if execution.options.on_conflict == "fail":
        raise RunConflict(
            f"another run of {run.target} is active: {error.detail}",
            vendor=run.vendor,
            hint="Wait for it, or set on_conflict='wait'.",
        ) from None
    if waited > execution.timeout:
        raise RunTimedOut(
            f"another run of {run.target} was active for {waited:.0f} s, so this one could not start; nothing was "
            "started",
            vendor=run.vendor,
        ) from None
    execution.step.log.info(
        "Another run of %s is active; waiting until it has finished (%.0f s so far)", run.target, waited
    )
    longest = max(execution.resource.poll_interval, _MAX_CONFLICT_PAUSE)
    execution.sleep(growing_pause(waited, longest=longest))
