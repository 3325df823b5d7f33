"""Going on after a start whose answer was lost, without ever starting a second run unasked."""

from collections.abc import Sequence
from dataclasses import replace

from dagster_runs.remote_run.contract import FoundRun, StartAttempt
from dagster_runs.remote_run.errors import StartOutcomeUnknown
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.interrupts import interrupts_held
from dagster_runs.remote_run.ledger import Entry
from dagster_runs.remote_run.neighbours import neighbours_of
from dagster_runs.remote_run.sending import note_not_started, note_started, send
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_SEARCH_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between looks for a run whose start's answer was lost: the request may still be under way at the vendor."""


_SETTLES = 7.0
"""Seconds of looking before a run that only fits is taken: ours may be under way still, or a neighbour's not noted."""


def recover(following: Following, attempt: StartAttempt, *, why: str, is_same: bool = True) -> Going | None:
    """The run of a start whose outcome is not known; ``None`` if none began, so that it may be started again.

    Args:
        following: What this step wants.
        attempt: The start.
        why: Why its outcome is not known.
        is_same: Whether it was a start of what is wanted now.

    Raises:
        StartOutcomeUnknown: That cannot be told, and the user has not said that a second run does no harm.
    """
    run, log = following.run, following.step.log
    # Of another one neither the idempotency key nor the search tells anything: the definition was changed.
    if run.start_is_repeatable and is_same:
        log.warning("Sending the start of %s again with the same idempotency key: %s", following.what, why)
        return send(following, attempt, lost=True)
    try:
        found = _search(following, attempt) if is_same else None
    except VendorError as error:
        if not error.permanent:
            raise  # the next attempt looks again
        found, why = None, f"{why}. It could not be looked for: {error}"
    if found is not None and len(found) == 1 and not found[0].undecided:
        [one] = found
        how = "it has our mark" if one.ours else "the only one of its kind and time, so presumed to be ours"
        log.warning("The start's answer was lost (%s); found run %s: %s", why, one.run_id, how)
        with interrupts_held():
            return note_started(following, attempt, one.run_id, found=how)
    if found is not None and not found:
        log.warning("The start's answer was lost (%s); %s has no such run, so it is started again", why, run.vendor)
        note_not_started(following, attempt.correlation_id, "The vendor has no such run")
        return None
    if following.options.on_uncertain_start == "start_again" and following.ledger.has_abandoned():
        why = f"{why}. It had been started again once, as on_uncertain_start='start_again' says"
    elif following.options.on_uncertain_start == "start_again":
        log.warning("Starting again, as on_uncertain_start='start_again' says, though a run may be going: %s", why)
        said = "Outcome unknown; on_uncertain_start='start_again'"
        following.note(Entry.ABANDONED, said, correlation_id=attempt.correlation_id)
        return None
    raise _outcome_unknown(following, why, found or [])


def find_ours(following: Following, attempt: StartAttempt) -> FoundRun | None:
    """The run of a lost start, if one look finds one that carries our mark."""
    try:
        found = following.run.find_started(following.resource, attempt) or []
    except VendorError:
        return None
    ours = [candidate for candidate in found if candidate.ours]
    return ours[0] if len(ours) == 1 else None


def _search(following: Following, attempt: StartAttempt) -> Sequence[FoundRun] | None:
    """Look for the run of a lost start; ``None`` where the vendor offers no way to look."""
    # A run that an earlier attempt of this step started is not the one whose start was lost.
    known = following.ledger.known_run_ids()
    found: Sequence[FoundRun] = ()
    waited = 0.0
    for pause in (0.0, *_SEARCH_PAUSES):
        current_clock().sleep(pause)
        waited += pause
        following.raise_if_terminated()
        try:
            candidates = following.run.find_started(following.resource, attempt)
        except VendorError as error:
            if error.permanent or waited >= sum(_SEARCH_PAUSES):
                raise
            following.step.log.warning("The run could not be looked for, which is tried again: %s", error)
            continue
        if candidates is None:
            return None
        found = [candidate for candidate in candidates if candidate.run_id not in known]
        ours = [candidate for candidate in found if candidate.ours]
        if ours:
            return ours
        if found:
            # What is known of it is its kind and time; so do not take what a neighbour's start has begun.
            others = neighbours_of(following, attempt)
            found = [
                replace(candidate, undecided=candidate.undecided or others.are_starting)
                for candidate in found
                if candidate.run_id not in others.run_ids
            ]
        if found and waited >= _SETTLES and not any(candidate.undecided for candidate in found):
            return found
    return found


def _outcome_unknown(following: Following, why: str, candidates: Sequence[FoundRun]) -> StartOutcomeUnknown:
    run = following.run
    if candidates:
        listed = ", ".join(f"{one.run_id} ({one.url})" if one.url else one.run_id for one in candidates)
        detail = f"it is unknown whether one of these runs is ours: {listed}"
    else:
        detail = f"it is unknown whether {with_article(run.label)} of {run.target} was started"
    return StartOutcomeUnknown(
        f"{detail}. Cause: {why}",
        vendor=run.vendor,
        cure=f"Look at {run.vendor} whether a run of {run.target} is going. When none is, or when a second run does no "
        "harm, materialize the asset anew (re-execute all steps, not from failure). To have that done unasked, set "
        f"on_uncertain_start='start_again'. {'' if candidates else run.to_find_lost_starts}".rstrip(),
    )
