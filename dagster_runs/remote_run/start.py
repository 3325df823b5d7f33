"""Start or attach: one remote run for one materialization, whatever happened before."""

import dagster as dg

from dagster_runs.remote_run.attaching import attach
from dagster_runs.remote_run.errors import RunConflict, RunTerminated, RunTimedOut
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.ledger import Entry
from dagster_runs.remote_run.pacing import growing_pause
from dagster_runs.remote_run.recovering import recover
from dagster_runs.remote_run.sending import is_known_unsent, note_not_started, noting_unsent, send
from dagster_runs.remote_run.step import Verdict
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_MOST_LOST_ANSWERS = 3
"""Starts in a row that were lost without having begun anything; then the vendor is in trouble for longer."""
_LONGEST_CONFLICT_PAUSE = 300.0
"""Seconds between starts while somebody else's run is in the way: each try is noted in the event log, for ever."""


def start_or_attach(following: Following) -> Going:
    """The remote run to follow: the one that an earlier attempt started, or a new one.

    Raises:
        StartOutcomeUnknown: A start's answer was lost, and nobody can tell whether a run began.
        RunConflict: Somebody else's run is in the way, and the user does not want to wait.
        VendorError: The vendor refused the start.
    """
    # Asked before the ledger, which needs to know from the same query when the Dagster run began.
    verdict = following.step.verdict_at_first
    record = following.ledger.last()
    going: Going | None = None
    if record is not None and record.entry is Entry.STARTED:
        going = attach(following, record)
    elif record is not None and record.entry is Entry.STARTING and is_known_unsent(record.correlation_id):
        following.step.log.info("The last attempt in this process ended before it sent the start; starting again")
        note_not_started(following, record.correlation_id, "Stopped before it was sent")
    elif record is not None and record.entry is Entry.STARTING:
        why = f"this step's last attempt ended in the middle of starting {record.target}"
        is_same = record.is_of(following.target, following.fields)
        going = recover(following, following.attempt_of(record), why=why, is_same=is_same)
    if going is not None:
        return going
    # Attaching and recovering may have taken long.
    return start(following, verdict if record is None else following.verdict_for_certain())


def start(following: Following, verdict: Verdict | None) -> Going:
    """Start a run without regard to earlier ones. While another one is in the way, wait for its end, if the user wants.

    Args:
        following: What this step wants.
        verdict: What has become of the Dagster run so far.
    """
    run, clock = following.run, current_clock()
    begun = clock.wall()
    lost = 0
    while True:
        if verdict is Verdict.TERMINATED:
            raise RunTerminated(f"the Dagster run was terminated, so no {run.label} was started", vendor=run.vendor)
        if verdict is Verdict.WRITTEN_OFF:
            raise RunTerminated(
                f"Dagster has given up this step's run, so no {run.label} was started", vendor=run.vendor
            )
        attempt = following.new_attempt()
        try:
            with noting_unsent(following, attempt):
                following.note(
                    Entry.STARTING,
                    f"Starting {with_article(following.what)}",
                    correlation_id=attempt.correlation_id,
                    at=attempt.starting_at,
                )
                return send(following, attempt)
        except VendorError as error:
            if error.may_have_been_accepted:
                going = recover(following, attempt, why=str(error))
                if going is not None:
                    return going
                lost += 1
                if lost == _MOST_LOST_ANSWERS:
                    raise
            else:
                # Not in the description, which Dagster renders as markdown.
                shown = {"dagster_runs/error": dg.MetadataValue.text(str(error))}
                note_not_started(following, attempt.correlation_id, "The start was refused", shown=shown)
                if not run.is_conflict_with_going_run(error):
                    raise
                _wait_until_free(following, error, begun)
        verdict = following.verdict_for_certain()


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
    longest = max(following.resource.poll_interval, _LONGEST_CONFLICT_PAUSE)
    following.sleep(growing_pause(waited, longest=longest))
