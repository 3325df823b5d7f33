"""Compares what happened at the vendors with what Dagster knows about it. Pure: facts in, findings out."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from tests.chaos.checks import reconcile_checks
from tests.chaos.facts import Facts, LedgerRecord, Materialized, RemoteRun, RequestedMaterialization, StepError
from tests.chaos.findings import (
    DUPLICATE,
    LOST,
    ORPHANED,
    SECRET,
    UNRESOLVED,
    WRONGLY_CANCELED,
    WRONGLY_SUCCESSFUL,
    Finding,
)
from tests.reconciling import queue_facts
from tests.reconciling.queue_facts import QueueFacts

_UNKNOWN = "StartOutcomeUnknown"
_TERMINATED = "RunTerminated"
_SLACK = 0.5
"""Seconds by which moments that two processes wrote down may be apart."""


@dataclass
class Drill:
    """Outcomes of the starts of one kind whose process was killed before it recorded the run."""

    starts: int = 0
    one_run: int = 0
    unknown: int = 0


@dataclass
class Account:
    """The result of the reconciliation.

    Attributes:
        uncertain: Outcomes of the starts that were uncertain at first.
        endings: Outcomes of the requested materializations.
        drills: Drills by kind of run.
        queued: The requests of the queue groups.
        queued_runs: The remote runs of the queue groups.
    """

    requested: int = 0
    remote_runs: int = 0
    dagster_runs: int = 0
    findings: list[Finding] = field(default_factory=list)
    uncertain: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    endings: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    drills: dict[str, Drill] = field(default_factory=lambda: defaultdict(Drill))
    interrupted: dict[str, int] = field(default_factory=dict)
    queued: int = 0
    queued_runs: int = 0

    def count(self, category: str) -> int:
        return sum(finding.category == category for finding in self.findings)


@dataclass(frozen=True)
class _Chain:
    """One request for a materialization, with all its re-executions from failure, in order of time."""

    requested: RequestedMaterialization
    is_last: bool
    runs: list[RemoteRun] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    ledger_records: list[LedgerRecord] = field(default_factory=list)
    materialized: list[Materialized] = field(default_factory=list)
    step_errors: list[StepError] = field(default_factory=list)

    @cached_property
    def known_runs(self) -> set[str]:
        return {one.run_id for one in self.ledger_records if one.run_id}

    def was_sent(self, starting: LedgerRecord) -> bool:
        """Whether a start request arrived between this entry and the next start."""
        later = (one.at for one in self.ledger_records if one.entry == "starting" and one.at > starting.at)
        until = min(later, default=float("inf"))
        return any(starting.at - _SLACK <= at < until for at in self.sent)

    def reported_at(self, run: RemoteRun) -> float | None:
        return min((one.at for one in self.materialized if one.run_id == run.run_id), default=None)

    def is_named_in_an_error(self, run: RemoteRun) -> bool:
        """Whether an error names the run, or says that it is unknown whether one was started."""
        return any(
            run.run_id in error.text or (error.kind in (_UNKNOWN, _TERMINATED) and run.target in error.text)
            for error in self.step_errors
            if error.at >= run.created_at - _SLACK
        )


def reconcile(facts: Facts, queues: Mapping[int, QueueFacts] = MappingProxyType({})) -> Account:
    """Returns the account of a whole campaign.

    Args:
        facts: What is known about all groups.
        queues: What else is known about the queue groups, by number.
    """
    account = Account(
        remote_runs=len(facts.remote_runs), dagster_runs=facts.dagster_runs, interrupted=dict(facts.interrupted)
    )
    chains = _chains(facts)
    account.requested = len(chains)
    for chain in chains:
        account.findings += [*_duplicates(chain), *_lost(chain), *_orphaned(chain), *_unresolved(chain, account)]
        account.endings[_ending(chain)] += 1
    account.findings += [*_wrongly_canceled(facts), *_wrongly_successful(facts), *reconcile_checks(facts)]
    account.findings += [Finding(SECRET, None, leak) for leak in facts.leaks]
    for number, queue in queues.items():
        account.queued += len(queue.requested)
        account.queued_runs += len(queue.starts)
        for category, text in queue_facts.findings(queue):
            account.findings.append(Finding(category, None, f"queue group {number}: {text}"))
    _count_drills(chains, account)
    return account


def _chains(facts: Facts) -> list[_Chain]:
    found: dict[int, list[_Chain]] = {}
    number_of_target: dict[str, int] = {}
    for requested in facts.requested:
        number_of_target[requested.target] = requested.number
        last = len(requested.chains) - 1
        found[requested.number] = [_Chain(requested, index == last) for index in range(len(requested.chains))]

    def chain(number: int, at: float) -> _Chain:
        of_number = found[number]
        return of_number[max(0, bisect_right(of_number[0].requested.chains, at) - 1)]

    for run in sorted(facts.remote_runs, key=lambda one: one.created_at):
        if run.target in number_of_target:
            chain(number_of_target[run.target], run.created_at).runs.append(run)
    for request in facts.start_requests:
        if request.target in number_of_target:
            chain(number_of_target[request.target], request.at).sent.append(request.at)
    for record in sorted(facts.ledger_records, key=lambda one: one.at):
        chain(record.number, record.at).ledger_records.append(record)
    for materialized in sorted(facts.materialized, key=lambda one: one.at):
        chain(materialized.number, materialized.at).materialized.append(materialized)
    for error in sorted(facts.step_errors, key=lambda one: one.at):
        chain(error.number, error.at).step_errors.append(error)
    return [one for of_number in found.values() for one in of_number]


def _duplicates(chain: _Chain) -> Iterator[Finding]:
    """Returns runs that were started while another was active, or had succeeded and was not reported yet."""
    for index, run in enumerate(chain.runs):
        for earlier in chain.runs[:index]:
            if earlier.forgotten_at is not None and earlier.forgotten_at <= run.created_at:
                continue
            if earlier.ended_at is None or earlier.ended_at > run.created_at:
                why = "was active"
            elif earlier.outcome == "succeeded" and not _by(chain.reported_at(earlier), run.created_at):
                why = "had succeeded without being reported"
            else:
                continue
            text = f"{run.run_id} was started while {earlier.run_id} of the same target {run.target} {why}"
            yield Finding(DUPLICATE, chain.requested.number, text)
            break


def _by(moment: float | None, limit: float) -> bool:
    return moment is not None and moment <= limit + _SLACK


def _lost(chain: _Chain) -> Iterator[Finding]:
    """Returns successful runs that are never reported."""
    if not chain.is_last:
        return  # the user requested another one
    for run in chain.runs:
        if run.outcome != "succeeded" or run.forgotten_at is not None or chain.reported_at(run) is not None:
            continue
        if not chain.is_named_in_an_error(run):
            yield Finding(LOST, chain.requested.number, f"{run.run_id} of {run.target} succeeded, but is not reported")


def _orphaned(chain: _Chain) -> Iterator[Finding]:
    """Returns runs that Dagster never names."""
    open_start = not chain.is_last and any(record.entry == "starting" for record in chain.ledger_records[-1:])
    for run in chain.runs:
        if run.run_id not in chain.known_runs and not chain.is_named_in_an_error(run) and not open_start:
            yield Finding(
                ORPHANED, chain.requested.number, f"neither ledger nor error names {run.run_id} of {run.target}"
            )


def _unresolved(chain: _Chain, account: Account) -> Iterator[Finding]:
    """Each uncertain start must end in one run, in certainty that there is none, or in an error that reports it."""
    for index, record in enumerate(chain.ledger_records):
        if record.entry != "starting":
            continue
        after = [one for one in chain.ledger_records[index + 1 :] if one.correlation_id == record.correlation_id]
        first = after[0] if after else None
        errors = {one.kind for one in chain.step_errors if one.at >= record.at}
        if first is not None and first.entry == "started":
            if first.attached:
                account.uncertain["found again"] += 1
            elif first.dagster_run != record.dagster_run:
                account.uncertain["sent again with the same key"] += 1
        elif first is not None:  # rejected, or not found by the search; a run that exists anyway is an orphan
            continue
        elif not chain.was_sent(record):
            account.uncertain["never sent: killed before"] += 1
        elif _UNKNOWN in errors:
            account.uncertain[_UNKNOWN] += 1
        elif _TERMINATED in errors:
            account.uncertain["told by the termination"] += 1
        elif not chain.is_last:
            account.uncertain["left by asking anew"] += 1
        else:
            text = f"no record of the outcome of start {record.correlation_id} of {chain.requested.target}"
            yield Finding(UNRESOLVED, chain.requested.number, text)


def _ending(chain: _Chain) -> str:
    if chain.materialized:
        return "materialized"
    return f"ended by {chain.step_errors[-1].kind}" if chain.step_errors else "ended without an error of its step"


def _wrongly_canceled(facts: Facts) -> Iterator[Finding]:
    requested = {one.target: one for one in facts.requested}
    runs = {one.run_id: one for one in facts.remote_runs}
    for cancellation in facts.cancellations:
        run = runs.get(cancellation.run_id)
        if run is None or run.target not in requested:
            yield Finding(WRONGLY_CANCELED, None, f"{cancellation.run_id} is not a run of this campaign")
            continue
        owner = requested[run.target]
        terminated = any(
            owner.number in one.numbers and one.at <= cancellation.at + _SLACK for one in facts.terminations
        )
        overdue = owner.cancel_after is not None and cancellation.at >= run.created_at + owner.cancel_after - _SLACK
        if not terminated and not overdue:
            text = f"{run.run_id} of {run.target} was canceled, although the Dagster run was not terminated"
            yield Finding(WRONGLY_CANCELED, owner.number, text)


def _wrongly_successful(facts: Facts) -> Iterator[Finding]:
    targets = {one.number: one.target for one in facts.requested}
    runs = {one.run_id: one for one in facts.remote_runs}
    for one in facts.materialized:
        run = runs.get(one.run_id or "")
        if run is None:
            why = "which does not exist at the vendor"
        elif run.target != targets[one.number]:
            why = f"which is a run of {run.target}, not of {targets[one.number]}"
        elif run.outcome != "succeeded":
            why = f"which ended with status {run.outcome}"
        elif run.ended_at is None or run.ended_at > one.at + _SLACK:
            why = "which had not ended yet"
        else:
            continue
        yield Finding(WRONGLY_SUCCESSFUL, one.number, f"a materialization reports run {one.run_id}, {why}")


def _count_drills(chains: list[_Chain], account: Account) -> None:
    for chain in chains:
        # Killed in time: the process that sent the first start did not record it.
        starts = [one for one in chain.ledger_records if one.entry == "starting"]
        if not chain.requested.drilled or not starts:
            continue
        first = starts[0]
        response = next(
            (one for one in chain.ledger_records if one.correlation_id == first.correlation_id and one != first), None
        )
        if response is not None and response.entry == "started" and not response.attached:
            again = (
                any(error.at < response.at for error in chain.step_errors) or response.dagster_run != first.dagster_run
            )
            if not again:
                continue
        drill = account.drills[chain.requested.kind]
        drill.starts += 1
        another = next((one.at for one in starts if one.correlation_id != first.correlation_id), float("inf"))
        if any(error.kind == _UNKNOWN for error in chain.step_errors if error.at <= another):
            drill.unknown += 1
        elif sum(run.created_at <= another for run in chain.runs) == 1:
            drill.one_run += 1
