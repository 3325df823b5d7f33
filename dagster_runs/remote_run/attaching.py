"""Attaching to a run that an earlier attempt of this step started."""

from dagster_runs.remote_run.errors import RunLost
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.ledger import Entry, Record
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, VendorError

NOT_FOUND_GRACE = 60.0
"""Seconds for which 404 is no news: some vendors answer before they have stored a run, and any may slip once."""
_NOT_FOUND_PAUSE = 3.0


def is_settled(following: Following) -> bool:
    """Whether nothing is left of what the completion sensor wanted: somebody cancelled the run, or told its end."""
    run_id = following.step.finishes
    if run_id is None or not following.ledger.was_settled_elsewhere(run_id):
        return False
    following.step.log.info("%s was cancelled, or its end is told already: nothing is left to do", run_id)
    return True


def going_to_finish(following: Following) -> Going | None:
    """The run that the completion sensor wants this step to finish; ``None`` if there is none, or this step did it.

    Raises:
        RunLost: Nothing is known of it any more.
    """
    run_id = following.step.finishes
    if run_id is None:
        return None
    record = following.ledger.last_of(run_id)
    if record is None:
        raise RunLost(
            f"Dagster's event log no longer tells of {run_id}, whose end this Dagster run was to publish: the Dagster "
            "run that had started it was deleted, or the asset was wiped. Nothing was started",
            vendor=following.run.vendor,
            run_id=run_id,
            cure="Materialize the asset, if it is wanted anew.",
            retry_helps=False,
        )
    if record.entry is not Entry.STARTED or record.run_id is None:
        if following.step.instead_of:
            # A retry of a step of the asset's own would start the next run; the other Dagster run may do so as well.
            raise RunLost(
                f"The end of {run_id} was published already",
                vendor=following.run.vendor,
                run_id=run_id,
                cure="Materialize the asset again if you need its data.",
                retry_helps=False,
            )
        return None
    if following.step.instead_of:
        following.step.log.warning(
            "Publishing the end of %s again: Dagster run %s has published it and never ended, so no alert has fired",
            run_id,
            following.step.instead_of[-1],
        )
    following.step.log.info("Finishing %s, which Dagster run %s had started", record.run_id, record.dagster_run_id)
    return Going(
        run_id=record.run_id,
        correlation_id=record.correlation_id,
        started_at=record.at,
        deadline=record.deadline or record.at + following.timeout,
        attached=True,
    )


def attach(following: Following, record: Record) -> Going | None:
    """The run that the ledger tells of, if it is the one that is wanted; ``None`` if a new one is to be started.

    Args:
        following: What this step wants.
        record: A ``started`` entry of this Dagster run, or of one that it resumes from failure.
    """
    log, run_id = following.step.log, record.run_id or ""
    if not record.is_of(following.target, following.fields):
        changed = "with other fields" if record.target == following.target else f"a {record.target}"
        log.warning("The earlier run %s was %s; starting a %s", run_id, changed, following.target)
        return None
    status = _look(following, run_id)
    if status is None:
        log.warning("%s no longer knows %s; starting anew", following.run.vendor, following.named(run_id))
        following.note(
            Entry.GONE,
            f"{following.run.vendor} does not know this run",
            run_id=run_id,
            correlation_id=record.correlation_id,
        )
        return None
    has_failed = status.state in (RunState.FAILED, RunState.CANCELED)
    # One that re-executes without resuming only keeps from starting a second run beside an active one.
    is_repeated = following.step.ancestry.is_repeated(record.dagster_run_id)
    if has_failed or (status.state.is_final and is_repeated):
        log.info("%s had ended %s; starting anew", following.named(run_id), status.word)
        if following.options.wait == "defer" and has_failed:
            # So that the completion sensor does not fail a Dagster run for what is being tried again.
            following.note(
                Entry.ENDED,
                f"The {following.what} {status.ending}; starting anew",
                run_id=run_id,
                correlation_id=record.correlation_id,
                status=status,
            )
        return None
    if status.state is RunState.SUCCEEDED and following.ledger.was_published_before(run_id):
        if following.options.wait == "defer":
            log.info("The result of %s was reported already", following.named(run_id))
            return Going(run_id, record.correlation_id, record.at, record.deadline or 0.0, attached=True, status=status)
        if _was_held_back(following, run_id, status):
            log.info("The result of %s was reported, and a check held it back; starting anew", following.named(run_id))
            return None

    now = current_clock().wall()
    # A step's retry keeps the deadline; whoever re-executes a run from failure wants it to wait anew.
    is_retry = record.dagster_run_id == following.step.dagster_run_id
    deadline = record.deadline if is_retry and record.deadline else now + following.timeout
    log.info("Attaching to %s, started before (%s)", following.named(run_id), status.word)
    following.note(
        Entry.STARTED,
        f"Attached to the {following.what}",
        run_id=run_id,
        correlation_id=record.correlation_id,
        at=record.at,
        status=status,
        deadline=deadline,
        attached=True,
    )
    return Going(
        run_id=run_id,
        correlation_id=record.correlation_id,
        started_at=record.at,
        deadline=deadline,
        attached=True,
        status=status if status.state.is_final else None,
    )


def _was_held_back(following: Following, run_id: str, status: RunStatus) -> bool:
    """Whether the step failed by the result itself: a blocking check did, and the data may have been mended since."""
    result = following.run.fetch_result(following.resource, run_id, status, following.options.gate)
    return any(outcome.is_error and outcome.name in following.step.blocking_checks for outcome in result.checks)


def _look(following: Following, run_id: str) -> RunStatus | None:
    """How the run stands; ``None`` if the vendor says for a while that it does not know it."""
    clock = current_clock()
    since: float | None = None
    while True:
        try:
            return following.look(run_id)
        except NotFoundError:
            since = clock.monotonic() if since is None else since
            if clock.monotonic() - since > NOT_FOUND_GRACE:
                return None
            following.raise_if_terminated()
            clock.sleep(_NOT_FOUND_PAUSE)
        except VendorError as error:
            if error.permanent:
                raise
            following.step.log.warning("%s goes on, but cannot be looked at: %s", following.named(run_id), error)
            return RunStatus(RunState.UNKNOWN, "not known yet")
