"""Start or attach: one remote run for one materialization, whatever happened before."""

from collections.abc import Sequence
from uuid import uuid4

import dagster as dg

from dagster_runs.remote_run.contract import FoundRun, StartAttempt
from dagster_runs.remote_run.errors import (
    RunConflict,
    RunTerminated,
    RunTimedOut,
    StartOutcomeUnknown,
    as_step_failure,
)
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.interrupts import interrupts_held
from dagster_runs.remote_run.ledger import Entry, Record
from dagster_runs.remote_run.pacing import next_pause
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, VendorError

NOT_FOUND_GRACE = 60.0
"""Seconds after a start in which a 404 is no news: some vendors answer before they have stored the run."""
_NOT_FOUND_PAUSE = 3.0
_MOST_LOST_ANSWERS = 3
"""Starts in a row that were lost without having begun anything; then the vendor is in trouble for longer."""
_SEARCH_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between looks for a run whose start's answer was lost: the request may still be under way."""


def start_or_attach(following: Following) -> Going:
    """The remote run to follow: the one that an earlier attempt started, or a new one.

    Raises:
        StartOutcomeUnknown: A start's answer was lost, and nobody can tell whether a run began.
        RunConflict: Somebody else's run is in the way, and the user does not want to wait.
        VendorError: The vendor refused the start.
    """
    record = following.ledger.last()
    if record is None or record.entry in (Entry.NOT_STARTED, Entry.GONE, Entry.ENDED):
        return _start(following)
    if record.entry is Entry.STARTING:
        why = "this step's last attempt ended in the middle"
        return _recover(following, _attempt_of(following, record), why=why) or _start(following)
    return _attach(following, record)


def _attach(following: Following, record: Record) -> Going:
    run_id = record.run_id
    if run_id is None:
        raise AssertionError("a 'started' entry has the run's id")
    step = following.step
    same_attempt = (record.dagster_run_id, record.attempt) == (step.dagster_run_id, step.attempt)
    if same_attempt and record.fingerprint != following.fingerprint:
        raise dg.DagsterInvariantViolationError(
            f"This step already runs another {following.run.label}. To run several in one step, give each call of "
            "`run()` its own `name`, so that each is found again after a crash."
        )
    status = _look_again(following, record, run_id)
    if status is None:
        step.log.warning("%s no longer knows run %s of %s; starting anew", following.run.vendor, run_id, following.what)
        following.note(
            Entry.GONE,
            f"{following.run.vendor} does not know this run",
            run_id=run_id,
            correlation_id=record.correlation_id,
        )
        return _start(following)
    if status.state in (RunState.FAILED, RunState.CANCELED):
        step.log.info("Run %s had ended %s; starting anew", run_id, status.word)
        return _start(following)
    if status.state is RunState.SUCCEEDED and _was_held_back(following, record, run_id, status):
        step.log.info("Run %s was reported already and held back by its quality gate; starting anew", run_id)
        return _start(following)

    same_dagster_run = record.dagster_run_id == step.dagster_run_id
    now = current_clock().wall()
    # A step's retry keeps the deadline; whoever re-executes a run from failure wants it to wait anew.
    deadline = record.deadline if same_dagster_run and record.deadline else now + following.timeout
    step.log.info("Attaching to run %s of %s, started before (%s)", run_id, following.what, status.word)
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


def _look_again(following: Following, record: Record, run_id: str) -> RunStatus | None:
    """How the run stands; ``None`` if the vendor does not know it. A failed look is retried, as in waiting."""
    clock = current_clock()
    while True:
        try:
            return following.look(run_id)
        except NotFoundError:
            if clock.wall() - record.at > NOT_FOUND_GRACE:
                return None
            clock.sleep(_NOT_FOUND_PAUSE)
        except VendorError as error:
            if error.permanent:
                raise as_step_failure(error) from None
            following.step.log.warning("Could not look at run %s, which goes on: %s", run_id, error)
            return RunStatus(RunState.UNKNOWN, "not known yet")


def _was_held_back(following: Following, record: Record, run_id: str, status: RunStatus) -> bool:
    """Whether an earlier Dagster run reported this result and its blocking checks failed: then a new run is wanted."""
    gate = following.options.gate
    if gate is None or not gate.blocking or record.dagster_run_id == following.step.dagster_run_id:
        return False
    if not following.ledger.was_published(run_id, in_earlier_run=True):
        return False
    result = following.run.fetch_result(following.resource, run_id, status, gate)
    return any(outcome.is_error for outcome in result.checks)


def _start(following: Following) -> Going:
    """Start a run; while somebody else's is in the way, wait for that to end, if the user wants."""
    clock = current_clock()
    begun = clock.wall()
    lost = 0
    while True:
        if following.step.was_terminated():
            raise RunTerminated(
                f"the Dagster run was terminated, so no {following.run.label} was started", vendor=following.run.vendor
            )
        attempt = _new_attempt(following)
        following.note(
            Entry.STARTING,
            f"Starting a {following.what}",
            correlation_id=attempt.correlation_id,
            at=attempt.starting_at,
        )
        try:
            return _send(following, attempt)
        except VendorError as error:
            if error.may_have_been_accepted:
                going = _recover(following, attempt, why=str(error))
                if going is not None:
                    return going
                lost += 1
                if lost == _MOST_LOST_ANSWERS:
                    raise as_step_failure(error) from None
                continue
            following.note(Entry.NOT_STARTED, f"Not started: {error}", correlation_id=attempt.correlation_id)
            if not following.run.is_conflict_with_going_run(error):
                raise as_step_failure(error) from None
            _wait_until_free(following, error, begun)


def _send(following: Following, attempt: StartAttempt) -> Going:
    """Send the start until the vendor accepts or refuses it; again only where that cannot start a second run."""
    run = following.run

    def send_once() -> Going:
        with interrupts_held():
            return _started(following, attempt, run.start(following.resource, attempt))

    return following.resource.http().retrying(repeatable=run.start_is_repeatable)(send_once)


def _started(following: Following, attempt: StartAttempt, run_id: str, *, attached: bool = False) -> Going:
    now = current_clock().wall()
    going = Going(
        run_id=run_id,
        correlation_id=attempt.correlation_id,
        started_at=now,
        deadline=now + following.timeout,
        attached=attached,
    )
    following.note(
        Entry.STARTED,
        f"{'Found' if attached else 'Started'} the {following.what}",
        correlation_id=attempt.correlation_id,
        going=going,
        at=now,
    )
    following.step.log.info(
        "%s %s: run %s %s",
        "Found" if attached else "Started",
        following.what,
        run_id,
        following.url(run_id) or "",
    )
    return going


def _recover(following: Following, attempt: StartAttempt, *, why: str) -> Going | None:
    """The run of a start whose outcome is not known; ``None`` if none began, so that it may be started again.

    Raises:
        StartOutcomeUnknown: That cannot be told, and the user has not said that a second run does no harm.
    """
    run, step = following.run, following.step
    if run.start_is_repeatable:
        step.log.warning("Sending the start of %s again with the same idempotency key: %s", following.what, why)
        return _send(following, attempt)
    found = _search(following, attempt)
    if found is not None and not found:
        step.log.warning(
            "The start's answer was lost (%s); %s has no such run, so it is started again", why, run.vendor
        )
        following.note(Entry.NOT_STARTED, "The vendor has no such run", correlation_id=attempt.correlation_id)
        return None
    if found is not None and len(found) == 1 and not found[0].undecided:
        step.log.warning("The start's answer was lost (%s); found the run: %s", why, found[0].run_id)
        with interrupts_held():
            return _started(following, attempt, found[0].run_id, attached=True)
    if following.options.on_uncertain_start == "start_again":
        step.log.warning("Starting again, as on_uncertain_start='start_again' says, though a run may be going: %s", why)
        following.note(
            Entry.NOT_STARTED,
            "Outcome unknown; on_uncertain_start='start_again'",
            correlation_id=attempt.correlation_id,
        )
        return None
    raise _outcome_unknown(following, why, found or [])


def _search(following: Following, attempt: StartAttempt) -> Sequence[FoundRun] | None:
    """Look for the run of a lost start; ``None`` where the vendor offers no way to look."""
    found: Sequence[FoundRun] | None = None
    for pause in (0.0, *_SEARCH_PAUSES):
        current_clock().sleep(pause)
        found = following.run.find_started(following.resource, attempt)
        if found is None:
            return None
        ours = [candidate for candidate in found if candidate.ours]
        if ours:
            return ours
        if found and not any(candidate.undecided for candidate in found):
            return found
    return found


def _outcome_unknown(following: Following, why: str, candidates: Sequence[FoundRun]) -> StartOutcomeUnknown:
    run = following.run
    if candidates:
        listed = ", ".join(f"{one.run_id} ({one.url})" if one.url else one.run_id for one in candidates)
        detail = f"it is unknown which of these runs is ours: {listed}"
    else:
        detail = f"it is unknown whether a {run.label} of {run.target} was started"
    return StartOutcomeUnknown(
        f"{detail}. Cause: {why}",
        vendor=run.vendor,
        cure=f"Look at {run.vendor} whether a run of {run.target} is going. When none is, or when a second run does no "
        "harm, materialize the asset anew (re-execute all steps, not from failure). To have that done unasked, set "
        f"on_uncertain_start='start_again'. {'' if candidates else run.to_find_lost_starts}".rstrip(),
    )


def _wait_until_free(following: Following, error: VendorError, begun: float) -> None:
    run, clock = following.run, current_clock()
    waited = clock.wall() - begun
    if following.options.on_conflict == "fail":
        raise RunConflict(
            f"another run of {run.target} is going: {error.detail}",
            vendor=run.vendor,
            cure="Wait for it, or set on_conflict='wait'.",
        ) from None
    if waited > following.timeout:
        raise RunTimedOut(
            f"another run of {run.target} was in the way for {waited:.0f} s; nothing was started", vendor=run.vendor
        ) from None
    following.step.log.info(
        "Another run of %s is going; waiting until it has ended (%.0f s so far)", run.target, waited
    )
    clock.sleep(next_pause(waited, longest=following.resource.poll_interval))


def _new_attempt(following: Following) -> StartAttempt:
    return StartAttempt(
        correlation_id=uuid4().hex,
        starting_at=current_clock().wall(),
        dagster_run_id=following.step.dagster_run_id,
        dagster_url=following.resource.dagster_run_url(following.step.dagster_run_id),
    )


def _attempt_of(following: Following, record: Record) -> StartAttempt:
    return StartAttempt(
        correlation_id=record.correlation_id,
        starting_at=record.at,
        dagster_run_id=record.dagster_run_id,
        dagster_url=following.resource.dagster_run_url(record.dagster_run_id),
    )
