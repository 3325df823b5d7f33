"""Scenarios: the vendor's list."""

from typing import Any

from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sandbox import RecordedRequest
from dagster_runs.testing.vendor_kit.calls import Call
from dagster_runs.testing.vendor_kit.case import Case, joined
from dagster_runs.testing.vendor_kit.results import NotOfferedError, ScenarioFailedError, expect
from dagster_runs.testing.vendor_kit.subject import decoded, json_paths
from dagster_runs.transport.clock import current_clock

_LOOKBACK = 7200.0
_MAX_DIFFERENCE = 5.0
_UNREADABLE: tuple[Any, ...] = (7, {"kit": "not an entry"})
_MANY = 120
"""More runs than most vendors list in one response."""
_CLOCK_DIFFERENCE = 300.0
_RECENT = 60.0


def list_runs(case: Case) -> str:
    """Runs that we started and others are listed with creation time and state; an unreadable entry hides no other."""
    by_target = _needs_list(case)
    case.run_asset()
    case.behave(running_seconds=36_000.0)
    case.start_elsewhere()
    runs = {run.id: run for run in case.client.runs(case.subject.vendor)}
    before = case.subject.last_request()
    for targets in (by_target,) if case.resource.lists_by_target else ((), by_target):
        listed = {run.run_id: run for run in _listed(case, targets)}
        missing = runs.keys() - listed.keys()
        expect(not missing, f"list_runs() with targets={targets} leaves out {sorted(missing)}")
        for run in runs.values():
            entry = listed[run.id]
            expect(entry.created_at is not None, f"the entry of run {run.id} has no created_at")
            difference = abs((entry.created_at or 0.0) - run.created_at)
            expect(difference <= _MAX_DIFFERENCE, f"created_at of run {run.id} differs by {difference:.0f} s")
            ended = run.ended_at is not None
            expect(
                entry.state.is_final is ended and entry.state.value != "UNKNOWN",
                f"the entry of run {run.id} has the state {entry.state.value}; the vendor's is {run.state!r}",
            )
    hidden = _hide_entries(case, case.subject.requests(before), list(runs))
    return joined([f"{len(runs)} runs listed, one of them started elsewhere", hidden])


def _needs_list(case: Case) -> tuple[str, ...]:
    """Returns the targets to list.

    Raises:
        NotOfferedError: The vendor's runs cannot be listed.
    """
    if not case.run.recognizes_listed_runs():
        raise NotOfferedError("the class has no target_of_listed()")
    by_target = (case.run.observed_target,)
    if case.resource.list_runs(current_clock().wall(), None, by_target) is None:
        raise NotOfferedError("list_runs() returns None")
    return by_target


def _listed(case: Case, targets: tuple[str, ...]) -> list[ListedRun]:
    return list(case.resource.list_runs(current_clock().wall() - _LOOKBACK, None, targets) or ())


def _hide_entries(case: Case, records: list[RecordedRequest], run_ids: list[str]) -> str:
    """Makes one entry of the list unreadable, and expects that the other runs are still listed."""
    for record in records:
        body = decoded(case.subject.send_again(record))
        paths = {run_id: json_paths(body, run_id) for run_id in run_ids}
        if all(paths.values()):
            break
    else:
        return "the unreadable entry was not tried, because no response has the ids of all runs"
    call = Call.of(record)
    for run_id in run_ids:
        entry = paths[run_id][0].rpartition(".")[0]
        for value in _UNREADABLE:
            case.client.clear_faults()
            case.add_fault("wrong_type", call, field=entry, value=value)
            try:
                listed = {run.run_id for run in _listed(case, (case.run.observed_target,))}
            except Exception as error:
                raise ScenarioFailedError(f"an entry that is {value!r} fails the whole list: {error}") from error
            expect(case.count_faults("wrong_type"), f"the fault did not change the entry {entry} of {record.path}")
            missing = set(run_ids) - {run_id} - listed
            expect(not missing, f"an entry that is {value!r} hides {', '.join(sorted(missing))}")
    case.client.clear_faults()
    return "an unreadable entry hides no other"


def long_list(case: Case) -> str:
    """All runs of a list that is longer than one response are listed."""
    by_target = _needs_list(case)
    for _ in range(_MANY):
        case.start_elsewhere()
    listed = {run.run_id for run in _listed(case, by_target)}
    missing = {run.id for run in case.client.runs(case.subject.vendor)} - listed
    expect(not missing, f"list_runs() leaves out {len(missing)} of {_MANY} runs. Does it read all pages?")
    return f"{_MANY} runs listed"


def clock_difference(case: Case) -> str:
    """If our clock is ahead of the vendor's, times of the list are converted to our clock."""
    by_target = _needs_list(case)
    case.clock.ahead_of_vendor = _CLOCK_DIFFERENCE
    list(case.resource.list_runs(current_clock().wall(), None, by_target) or ())  # the client learns the difference
    elsewhere = case.start_elsewhere()
    since = current_clock().wall() - _RECENT
    listed = {run.run_id: run for run in case.resource.list_runs(since, None, by_target) or ()}
    expect(
        elsewhere.id in listed,
        "list_runs() leaves out a new run. Convert `since` to the vendor's clock with by_vendor_clock()",
    )
    difference = (listed[elsewhere.id].created_at or 0.0) - elsewhere.created_at - _CLOCK_DIFFERENCE
    expect(
        abs(difference) <= _MAX_DIFFERENCE,
        f"created_at differs from our clock by {difference:.0f} s. Convert the vendor's time with by_our_clock()",
    )
    return f"our clock {_CLOCK_DIFFERENCE:.0f} s ahead: the time of a listed run is by our clock"


SCENARIOS = (list_runs, long_list, clock_difference)
