"""Recovers after the response to a start was lost, without starting a second run unless the user allows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote

import dagster as dg

from dagster_runs.remote_run.errors import StartOutcomeUnknown
from dagster_runs.remote_run.execution.event_log import events
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.interrupts import hold_interrupts
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.request_queue import queue_field
from dagster_runs.remote_run.execution.submit import record_not_started, record_started, send
from dagster_runs.remote_run.types import (
    MAX_HOST_CLOCK_SKEW,
    MAX_START_LATENCY,
    MAX_VENDOR_CLOCK_SKEW,
    StartAttempt,
    StartCandidate,
)
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock, is_same_clock, machine_time
from dagster_runs.transport.errors import VendorError

_SEARCH_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between searches for a run whose start's response was lost. The vendor may still process the request."""


_MIN_SEARCH_SECONDS = 7.0
"""Seconds to search before a run without our correlation id is accepted. Our run, or an entry about it, may be late."""


def recover(
    execution: RemoteRunExecution, attempt: StartAttempt, *, why: str, is_same: bool = True
) -> RunHandle | None:
    """Returns the run of a start with an unknown outcome; ``None`` if none began, so that it may be started again.

    Args:
        execution: The execution of the run.
        attempt: The start.
        why: Why its outcome is unknown.
        is_same: Whether the start was for the same run that is wanted now.

    Raises:
        StartOutcomeUnknown: The outcome cannot be determined, and the user has not allowed a second run.
    """
    run, log = execution.run, execution.step.log
    # If the definition changed since, neither the idempotency key nor the search applies.
    if run.start_is_idempotent and is_same:
        log.warning("Sending the start of %s again with the same idempotency key: %s", execution.description, why)
        return send(execution, attempt, lost=True)
    try:
        found = _search(execution, attempt) if is_same else None
    except VendorError as error:
        if not error.is_permanent:
            raise  # the next attempt searches again
        found, why = None, f"{why}. The search for the run failed: {error}"
    if found is not None and len(found) == 1 and not found[0].is_ambiguous:
        [one] = found
        assumed = "it is the only run of its kind and time, so it is assumed to be ours"
        how = "it has our correlation id" if one.is_ours else assumed
        log.warning("The response to the start was lost (%s); found run %s: %s", why, one.run_id, how)
        with hold_interrupts():
            return record_started(execution, attempt, one.run_id, found=how)
    if found is not None and not found:
        log.warning(
            "The response to the start was lost (%s), and %s has no such run; starting it again", why, run.vendor
        )
        record_not_started(execution, attempt, "The vendor has no such run")
        return None
    if execution.options.on_uncertain_start == "start_again" and execution.ledger.state.has_abandoned_start:
        why = f"{why}. It was already started again once because of on_uncertain_start='start_again'"
    elif execution.options.on_uncertain_start == "start_again":
        log.warning("Starting again because of on_uncertain_start='start_again', although a run may be active: %s", why)
        message = "Outcome unknown; on_uncertain_start='start_again'"
        execution.record(EntryKind.ABANDONED, message, attempt)
        return None
    raise _outcome_unknown(execution, why, found or [])


def find_ours(execution: RemoteRunExecution, attempt: StartAttempt) -> StartCandidate | None:
    """Returns the run of a lost start, if a single search finds one that has our correlation id."""
    try:
        found = execution.run.get_started(execution.resource, attempt) or []
    except VendorError:
        return None
    ours = [candidate for candidate in found if candidate.is_ours]
    return ours[0] if len(ours) == 1 else None


def _search(execution: RemoteRunExecution, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
    """Searches for the run of a lost start; ``None`` if the vendor offers no way to search."""
    # A run that an earlier attempt of this step started is not the one whose start was lost.
    known = execution.ledger.state.known_run_ids
    found: Sequence[StartCandidate] = ()
    waited = 0.0
    for pause in (0.0, *_SEARCH_PAUSES):
        current_clock().sleep(pause)
        waited += pause
        execution.raise_if_terminated()
        try:
            candidates = execution.run.get_started(execution.resource, attempt)
        except VendorError as error:
            if error.is_permanent or waited >= sum(_SEARCH_PAUSES):
                raise
            execution.step.log.warning("The search for the run failed; trying again: %s", error)
            continue
        if candidates is None:
            return None
        found = [candidate for candidate in candidates if candidate.run_id not in known]
        ours = [candidate for candidate in found if candidate.is_ours]
        if ours:
            return ours
        if found:
            # Only its kind and time match, so a run that another step started must not be taken.
            others = other_starts_of(execution, attempt)
            found = [
                replace(candidate, is_ambiguous=candidate.is_ambiguous or others.are_starting)
                for candidate in found
                if candidate.run_id not in others.run_ids
            ]
        if found and waited >= _MIN_SEARCH_SECONDS and not any(candidate.is_ambiguous for candidate in found):
            return found
    return found


def _outcome_unknown(
    execution: RemoteRunExecution, why: str, candidates: Sequence[StartCandidate]
) -> StartOutcomeUnknown:
    run = execution.run
    if candidates:
        listed = ", ".join(f"{one.run_id} ({one.url})" if one.url else one.run_id for one in candidates)
        detail = f"it is unknown whether one of these runs is ours: {listed}"
    else:
        detail = f"it is unknown whether {with_article(run.label)} of {run.target} was started"
    adopt = _adopt_command(execution)
    then = (
        "With an id, the completion sensor reports the run; with --none, re-execute from failure."
        if execution.options.wait == "defer"
        else "Then re-execute from failure."
    )
    return StartOutcomeUnknown(
        f"{detail}. Cause: {why}",
        vendor=run.vendor,
        hint=f"Check in {run.vendor} whether a run of {run.target} was started. If so, run `{adopt} RUN_ID` with its "
        f"id; if not, run `{adopt} --none`. {then} If a second run does no harm, you can also materialize the asset "
        "again (re-execute all steps, not from failure). To do this automatically, set "
        f"on_uncertain_start='start_again'. {'' if candidates else run.lost_start_hint}".rstrip(),
    )


def _adopt_command(execution: RemoteRunExecution) -> str:
    """Returns the beginning of the command that records which run is the one of a lost start."""
    step = execution.step
    partition = f" --partition {quote(step.partition)}" if step.partition is not None else ""
    return f"dagster-runs adopt {quote(step.asset_keys[0].to_user_string())}{partition}"


_LOOKBACK_SECONDS = 3600.0


@dataclass(frozen=True)
class OtherStarts:
    """Starts of the same kind by other steps, assets and partitions, from around the same time.

    Attributes:
        run_ids: The runs that these starts are known to have created.
        are_starting: Whether the outcome of at least one of these starts is not known, or not known yet.
    """

    run_ids: frozenset[str]
    are_starting: bool


def other_starts_of(execution: RemoteRunExecution, attempt: StartAttempt) -> OtherStarts:
    """Returns the other starts, from the ledgers of all assets. Only a lost start justifies this many queries."""
    run_ids: set[str] = set()
    ours = execution.ledger.state.correlation_ids
    newest: dict[str, EntryKind] = {}
    kind = execution.target.partition(" ")[0]
    for key in execution.step.instance.get_asset_keys():
        for record in records_of(execution.step.instance, key, attempt.starting_at - _LOOKBACK_SECONDS):
            if record.correlation_id in ours or record.run_class_name != kind:
                continue
            newest[record.correlation_id] = record.kind
            if record.kind is EntryKind.QUEUED:
                newest[str(queue_field(record, "attempt"))] = EntryKind.NOT_STARTED
            if record.run_id is not None:
                run_ids.add(record.run_id)
            if abs(record.at - attempt.starting_at) > MAX_START_LATENCY + _max_clock_difference(record, attempt):
                # It is too early or too late to be mistaken for ours.
                newest[record.correlation_id] = EntryKind.NOT_STARTED
    return OtherStarts(frozenset(run_ids), not {EntryKind.STARTING, EntryKind.ABANDONED}.isdisjoint(newest.values()))


def _max_clock_difference(record: LedgerEntry, attempt: StartAttempt) -> float:
    """Returns the maximum clock difference, in seconds, between another step's entry and our start."""
    is_one_clock = attempt.by_this_process and is_same_clock(record.host, current_clock().host())
    return MAX_VENDOR_CLOCK_SKEW if is_one_clock else MAX_HOST_CLOCK_SKEW


def records_of(instance: dg.DagsterInstance, key: dg.AssetKey, since: float) -> Iterator[LedgerEntry]:
    """Yields the asset's ledger entries since a point in time, oldest first."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=machine_time(since))
    yield from filter(None, map(LedgerEntry.from_event, events(instance.fetch_observations, wanted, ascending=True)))
