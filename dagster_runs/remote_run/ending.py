"""The end of following a run: its result, its failure, or a termination that cancels it or leaves it.

A step can outlive its Dagster run, and another Dagster run may have attached to the remote run meanwhile. So both
publishing and canceling begin with two questions: is our Dagster run over, and has a newer attempt attached?
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import dagster as dg

from dagster_runs.remote_run.attaching import is_settled
from dagster_runs.remote_run.contract import RunResult
from dagster_runs.remote_run.errors import RunCanceled, RunFailed, RunTerminated, RunTimedOut
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.interrupts import interrupts_held
from dagster_runs.remote_run.ledger import Entry, Record
from dagster_runs.remote_run.pacing import FIRST_PAUSE
from dagster_runs.remote_run.provenance import read_provenance
from dagster_runs.remote_run.recovering import find_ours
from dagster_runs.remote_run.reporting import check_events, materializations, run_metadata, run_status_outcome
from dagster_runs.remote_run.sending import is_known_unsent
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

CANCEL_CONFIRMED_WITHIN = 60.0
"""Seconds to wait for the vendor to confirm a cancellation."""
_LEDGER_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to use the ledger before a cancellation: a terminated step may be killed soon."""
_REPORTS_NOTHING = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
T = TypeVar("T")
_logger = logging.getLogger(__name__)


def publish(following: Following, going: Going, status: RunStatus) -> Iterator[Any]:
    """The Dagster events of a run that has ended; raises if it did not succeed.

    Raises:
        RunFailed: The vendor says that the run failed.
        RunCanceled: Somebody cancelled it at the vendor.
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has given it up, or a newer attempt has attached to the remote run.
    """
    run = following.run
    outcome = run_status_outcome(run, going.run_id, status)
    metadata = run_metadata(run, going.run_id, url=following.url(going.run_id), attached=going.attached, status=status)
    if status.state is RunState.SUCCEEDED:
        result = run.fetch_result(following.resource, going.run_id, status, following.options.gate)
        if _is_ours_to_report(following, going):
            shown = {**result.metadata, **metadata}
            provenance = read_provenance(following.provenance_of(going.correlation_id))
            yield from materializations(following.step, going.run_id, provenance, shown, [outcome, *result.checks])
        return

    known = _known_of(following, going, status)
    if not _is_ours_to_report(following, going):
        return
    following.note(
        Entry.ENDED,
        f"The {following.what} {status.ending}",
        correlation_id=going.correlation_id,
        going=going,
        status=status,
        shown=dict(known.metadata),
    )
    told = [check for check in known.checks if check.name in run.checks_of_failed_runs]
    yield from check_events(following.step, [outcome, *told])
    kind = RunCanceled if status.state is RunState.CANCELED else RunFailed
    raise kind(
        f"{following.named(going.run_id)} {status.ending}" + (f": {status.error}" if status.error else ""),
        vendor=run.vendor,
        run_id=going.run_id,
        cure=f"See {following.url(going.run_id)}." if following.url(going.run_id) else "",
        metadata={**metadata, **known.metadata},
        retry_helps=status.retry_helps and following.may_try_again,
    )


def _is_ours_to_report(following: Following, going: Going) -> bool:
    """Ask again, right before the end is reported, whether this step is the one that reports it.

    Returns:
        Whether it is. It is not where it was requested to report an end that is reported already.

    Raises:
        Terminated: Our own Dagster run was terminated.
        RunTerminated: Dagster has given it up, or a newer attempt has attached to the remote run.
    """
    following.raise_if_over(following.verdict_for_certain(), run_id=going.run_id)
    if following.step.finishes is not None:  # which attaches without an entry of its own
        return not following.storage.wait_for(lambda: is_settled(following))
    newer = following.storage.wait_for(lambda: _reported_by(following, going))
    if newer is not None:
        raise RunTerminated(_left_to(following, going, newer), vendor=following.run.vendor, run_id=going.run_id)
    return True


def _reported_by(following: Following, going: Going) -> Record | None:
    """The entry of the newer attempt that reports the run's end; ``None`` if this step does."""
    newer = following.ledger.attached_later(going.run_id)
    if newer is None or newer.dagster_run_id == following.step.dagster_run_id:
        return newer
    run = following.step.instance.get_run_by_id(newer.dagster_run_id)
    # A Dagster run that has failed meanwhile reports nothing, and ours is not over.
    return None if run is None or run.status in _REPORTS_NOTHING else newer


def _left_to(following: Following, going: Going, newer: Record) -> str:
    return (
        f"Dagster run {newer.dagster_run_id} has attached to {following.named(going.run_id)} after this step did, so "
        "this step neither reports nor cancels it"
    )


def _known_of(following: Following, going: Going, status: RunStatus) -> RunResult:
    """What is known of a run that did not succeed; not being able to fetch it must not hide the failure."""
    try:
        return following.run.fetch_result(following.resource, going.run_id, status, following.options.gate)
    except VendorError as error:
        following.step.log.warning("The result of run %s could not be fetched: %s", going.run_id, error)
        return RunResult()


def time_out(following: Following, going: Going, error: RunTimedOut) -> Iterator[Any]:
    """The end of a run's time: leave it or cancel it, as the user chose.

    Raises:
        RunTimedOut: Unless the run turns out to have succeeded just then.
    """
    if following.options.on_timeout == "leave":
        following.step.log.warning("%s is left going", following.named(going.run_id))
        raise error
    status, said = cancel(following, going, why="its time was over")
    if status is not None and status.state is RunState.SUCCEEDED:
        yield from publish(following, going, status)
        return
    raise RunTimedOut(f"{error.detail}. {said}", vendor=error.vendor, run_id=error.run_id) from None


def terminate(following: Following) -> NoReturn:
    """Our Dagster run was terminated by a person or a limit: stop what we started, or say that it goes on.

    Raises:
        RunTerminated: Always. It is not retried: Dagster's in-process executor would start a terminated step again.
    """
    run = following.run
    try:
        record = _with_pauses(following.ledger.last)
    except Exception as error:  # each storage has its own errors
        active = f"it is unknown whether {with_article(run.label)} is active"
        said = f"Dagster's event log does not answer ({error}), so {active}"
        raise RunTerminated(
            f"the Dagster run was terminated. {said}. {run.where_to_stop}".rstrip(), vendor=run.vendor
        ) from None
    if record is not None and record.entry is Entry.STARTED and record.run_id is not None:
        _, said = cancel(following, _going(record, record.run_id), why="the Dagster run was terminated")
    elif record is not None and record.entry is Entry.STARTING and not is_known_unsent(record.correlation_id):
        said = (
            f"A start of {following.what} was under way; look at {run.vendor} whether it has begun. {run.where_to_stop}"
        )
        with following.resource.http().hurried():
            found = find_ours(following, following.attempt_of(record)) if run.can_cancel else None
        if found is not None:
            _, said = cancel(following, _going(record, found.run_id), why="the Dagster run was terminated")
        else:
            following.step.log.warning(said)
    else:
        said = f"No {run.label} was going"
    raise RunTerminated(f"the Dagster run was terminated. {said}", vendor=run.vendor) from None


def _going(record: Record, run_id: str) -> Going:
    return Going(
        run_id=run_id,
        correlation_id=record.correlation_id,
        started_at=record.at,
        deadline=record.deadline or record.at,
        attached=False,
    )


def ask_to_end(following: Following, going: Going, *, why: str) -> None:
    """Ask the vendor to cancel the remote run, where it can, without waiting for the confirmation."""
    run, log, named = following.run, following.step.log, following.named(going.run_id)
    if not run.can_cancel:
        return
    log.info("Cancelling %s, since %s", named, why)
    # Whoever terminates waits for this process, and may kill it: so there is no time for long retries.
    with interrupts_held(), following.resource.http().hurried():
        try:
            run.cancel(following.resource, going.run_id)
        except VendorError as error:
            # The commonest reason is that the run has just ended, which a look tells.
            log.warning("The cancellation of %s was refused: %s", named, error)


def cancel(following: Following, going: Going, *, why: str) -> tuple[RunStatus | None, str]:
    """Cancel the remote run and wait for the confirmation, bounded; unless a newer attempt has attached to it.

    Returns:
        How it ended, if that is known; and what became of it, in words.
    """
    with interrupts_held():
        if following.run.can_cancel:
            not_ours = _why_not_to_cancel(following, going)
            if not_ours is not None:
                following.step.log.warning(not_ours)
                return None, not_ours
        ask_to_end(following, going, why=why)
        until = current_clock().monotonic() + CANCEL_CONFIRMED_WITHIN
        return confirm_end(following, going, why=why, until=until)


def _why_not_to_cancel(following: Following, going: Going) -> str | None:
    """Why the run is not to be canceled by this step; ``None`` if it is.

    The entry is written before the ledger is read again, and an attempt that attaches does the same in the other
    order. So either this step sees the newer attempt, or the newer attempt sees that this step canceled the run, and
    starts another one (see `life`).
    """

    def ask() -> str | None:
        newer = following.ledger.attached_later(going.run_id)
        if newer is None:
            following.note(
                Entry.STEP_CANCELS,
                f"Canceling the {following.what}",
                correlation_id=going.correlation_id,
                going=going,
            )
            newer = following.ledger.attached_later(going.run_id)
            if newer is not None:
                following.note(
                    Entry.STEP_KEEPS,
                    f"Not canceling the {following.what}, as a newer attempt has attached to it",
                    correlation_id=going.correlation_id,
                    going=going,
                )
        return None if newer is None else _left_to(following, going, newer)

    try:
        return _with_pauses(ask)
    except Exception:  # each storage has its own errors
        return (
            f"Dagster's event log does not answer, so it is unknown whether another Dagster run has attached to "
            f"{following.named(going.run_id)}, which is therefore not canceled. {following.run.where_to_stop}".rstrip()
        )


def _with_pauses(ask: Callable[[], T]) -> T:
    """What the ledger answers, also where it does so only after some seconds.

    Raises:
        Exception: The storage's own, if it does not.
    """
    for pause in _LEDGER_PAUSES:
        try:
            return ask()
        except Exception as error:  # each storage has its own errors
            _logger.warning("The ledger could not be read before a cancellation: %s", error)
            current_clock().sleep(pause)
    return ask()


def confirm_end(following: Following, going: Going, *, why: str, until: float) -> tuple[RunStatus | None, str]:
    """What became of a remote run that was asked to end.

    Args:
        following: What is wanted.
        going: The run.
        why: It was asked to.
        until: Monotonic seconds until which to wait for the confirmation. There is one look in any case.

    Returns:
        How it ended, if that is known; and what became of it, in words.
    """
    run, log = following.run, following.step.log
    named = following.named(going.run_id)
    if not run.can_cancel:
        said = f"{run.vendor} offers no way to cancel {named}, which goes on. {run.where_to_stop}".strip()
        if url := following.url(going.run_id):
            said = f"{said} See {url}"
        log.warning(said)
        return None, said
    with interrupts_held(), following.resource.http().hurried():
        status = _wait_for_end(following, going, until)
    if status is None:
        within = f"within {CANCEL_CONFIRMED_WITHIN:.0f} s"
        said = f"{run.vendor} has not confirmed {within} that {named} has ended; look there. {run.cancel_caveat}"
        log.warning("%s %s", said.rstrip(), following.url(going.run_id) or "")
        return None, said.rstrip(" .")
    if status.state is not RunState.SUCCEEDED:  # a result that is there can still be taken
        following.note(
            Entry.ENDED,
            f"The {following.what} ended {status.plain_word}, since {why}",
            correlation_id=going.correlation_id,
            going=going,
            status=status,
        )
    said = f"{named} ended {status.word}. {run.cancel_caveat}".rstrip(" .")
    log.info(said)
    return status, said


def _wait_for_end(following: Following, going: Going, until: float) -> RunStatus | None:
    clock = current_clock()
    pause = FIRST_PAUSE
    while True:
        try:
            status = following.look(going.run_id)
            if status.state.is_final:
                return status
        except VendorError as error:
            following.step.log.debug("Could not look at the cancelled run: %s", error)
        if clock.monotonic() >= until:
            return None
        clock.sleep(pause)
        pause = min(pause * 1.5, 5.0)
