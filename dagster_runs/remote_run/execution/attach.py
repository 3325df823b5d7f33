"""Attaches to a run that an earlier attempt of this step started."""

from dagster_runs.remote_run.errors import RunLost
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, VendorError

NOT_FOUND_GRACE = 60.0
"""Seconds for which a 404 is ignored. Vendors may return one before they have stored a new run, or by mistake."""
_NOT_FOUND_PAUSE = 3.0


def is_finalized(execution: RemoteRunExecution) -> bool:
    """Whether the run is already finalized: canceled, or reported by another Dagster run."""
    run_id = execution.step.finishes
    if run_id is None or not execution.ledger.was_finalized_elsewhere(run_id):
        return False
    execution.step.log.info("%s was canceled, or its outcome is already reported; nothing to do", run_id)
    return True


def handle_to_finish(execution: RemoteRunExecution) -> RunHandle | None:
    """Returns the run that the completion sensor wants this step to finish; ``None`` if there is none.

    Also returns ``None`` if this step has already finished it.

    Raises:
        RunLost: The ledger no longer has an entry about the run, or another Dagster run has reported it already.
    """
    run_id = execution.step.finishes
    if run_id is None:
        return None
    record = execution.ledger.read().newest_about(run_id)
    if record is None:
        raise RunLost(
            f"Dagster's event log no longer has an entry for {run_id}, so this Dagster run cannot report its outcome: "
            "the Dagster run that started it was deleted, or the asset was wiped. Nothing was started",
            vendor=execution.run.vendor,
            run_id=run_id,
            hint="Materialize the asset again if you still need it.",
            is_retryable=False,
        )
    if record.kind is not EntryKind.STARTED or record.run_id is None:
        if execution.step.replaces:
            # In a user-defined asset, a retry of the step would start the next run, and so might the other Dagster run.
            raise RunLost(
                f"The outcome of {run_id} is already reported",
                vendor=execution.run.vendor,
                run_id=run_id,
                hint="Materialize the asset again if you need its data.",
                is_retryable=False,
            )
        return None
    if execution.step.replaces:
        execution.step.log.warning(
            "Reporting the outcome of %s again: Dagster run %s reported it but never finished, so no alert fired",
            run_id,
            execution.step.replaces[-1],
        )
    execution.step.log.info("Finishing %s, started by Dagster run %s", record.run_id, record.dagster_run_id)
    return execution.handle_of(record, record.run_id)


def attach(  # noqa: PLR0911 - one return for each row of the table in ARCHITECTURE.md
    execution: RemoteRunExecution, record: LedgerEntry
) -> RunHandle | None:
    """Returns the run that a ledger entry is about, if it is the wanted one; ``None`` if a new one must be started.

    Args:
        execution: The execution of the run.
        record: A ``started`` entry of this Dagster run, or of an earlier one whose remote runs it may attach to.
    """
    log, run_id = execution.step.log, record.run_id or ""
    if not record.is_of(execution.target, execution.fields_digest):
        changed = "has different fields" if record.target == execution.target else f"is for {record.target}"
        log.warning("The earlier run %s %s; starting a new run of %s", run_id, changed, execution.target)
        return None
    status = _get_status(execution, run_id)
    if status is None:
        log.warning("%s no longer knows %s; starting a new run", execution.run.vendor, execution.describe_run(run_id))
        earlier = execution.handle_of(record, run_id)
        execution.record(EntryKind.GONE, f"{execution.run.vendor} does not know this run", earlier)
        return None
    has_failed = status.state in (RunState.FAILED, RunState.CANCELED)
    # A Dagster run that repeats another one attaches only to avoid a second remote run while one is active.
    is_repeated = execution.step.ancestry.is_repeated(record.dagster_run_id)
    if has_failed or (status.state.is_final and is_repeated):
        log.info("%s ended with status %s; starting a new run", execution.describe_run(run_id), status.vendor_status)
        if has_failed and (execution.options.wait == "defer" or record.deferred_payload is not None):
            # Recorded so that the completion sensor requests no Dagster run to report a run that is retried here.
            message = f"The {execution.description} {status.outcome_text}; starting a new run"
            execution.record(EntryKind.ENDED, message, execution.handle_of(record, run_id), status=status)
        return None
    if status.state is RunState.SUCCEEDED and execution.ledger.was_reported_before(run_id):
        if execution.options.wait == "defer":
            log.info("The result of %s is already reported", execution.describe_run(run_id))
            return RunHandle(
                run_id, record.correlation_id, record.at, record.deadline or 0.0, attached=True, status=status
            )
        if execution.report is not None or _has_failed_blocking_check(execution, run_id, status):
            log.info(
                "The result of %s was reported, but the step failed after it; starting a new run",
                execution.describe_run(run_id),
            )
            return None

    if execution.options.wait == "defer" and execution.is_outdated(execution.handle_of(record, run_id), status):
        log.info("%s has not seen the newest data; starting a new run", execution.describe_run(run_id))
        return None
    now = current_clock().wall()
    # A retry of the step keeps the deadline. A user who re-executes from failure wants the step to wait again.
    is_retry = record.dagster_run_id == execution.step.dagster_run_id
    deadline = record.deadline if is_retry and record.deadline else now + execution.timeout
    log.info(
        "Attaching to %s, which was started earlier (status: %s)", execution.describe_run(run_id), status.vendor_status
    )
    final = status if status.state.is_final else None
    handle = RunHandle(run_id, record.correlation_id, record.at, deadline, attached=True, status=final)
    execution.record(EntryKind.STARTED, f"Attached to the {execution.description}", handle, status=status)
    return handle


def _has_failed_blocking_check(execution: RemoteRunExecution, run_id: str, status: RunStatus) -> bool:
    """Whether a blocking check on the result failed the step. If so, the data may have been fixed since."""
    result = execution.run.fetch_result(execution.resource, run_id, status, execution.options.gate)
    return any(outcome.is_error and outcome.name in execution.step.blocking_checks for outcome in result.checks)


def _get_status(execution: RemoteRunExecution, run_id: str) -> RunStatus | None:
    """Returns the status of the run; ``None`` if the vendor keeps reporting that it does not know the run."""
    clock = current_clock()
    since: float | None = None
    while True:
        try:
            return execution.get_status(run_id)
        except NotFoundError:
            since = clock.monotonic() if since is None else since
            if clock.monotonic() - since > NOT_FOUND_GRACE:
                return None
            execution.raise_if_terminated()
            clock.sleep(_NOT_FOUND_PAUSE)
        except VendorError as error:
            if error.is_permanent:
                raise
            execution.step.log.warning(
                "Status check failed for %s; still waiting: %s", execution.describe_run(run_id), error
            )
            return RunStatus(RunState.UNKNOWN, "not known yet")
