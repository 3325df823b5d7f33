"""Scenarios: what goes wrong when a run is started. The vendor must never run it twice."""

from contextlib import suppress
from urllib.parse import unquote

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.testing.vendor_kit.calls import new_attempt
from dagster_runs.testing.vendor_kit.case import Case, joined
from dagster_runs.testing.vendor_kit.results import NotOfferedError, expect
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_RETRY_AFTER = 40.0
_ODD_IDS = ("kit/a b?c=1&d#e%2F;f", "../kit", "..")


def lost_start(case: Case) -> str:
    """If the response to a start is lost, at most one run is ever started, with retries in Dagster."""
    case.add_fault("lost_response", case.calls.start, times=1)
    return case.expect_at_most_one_start(case.run_asset(retries=2), what="no response", was_started=True)


def unreadable_start(case: Case) -> str:
    """If the response to a start is cut or is not JSON, at most one run is ever started."""
    seen = []
    for fault, what in (("truncated", "cut"), ("not_json", "not JSON"), ("html", "HTML")):
        case.begin()
        # Processed also by a proxy that replaces the response.
        case.add_fault(fault, case.calls.start, times=1, processed=True)
        seen.append(case.expect_at_most_one_start(case.run_asset(retries=2), what=what, was_started=True))
    return joined(seen)


def start_server_error(case: Case) -> str:
    """If a start fails with 5xx, whether it was executed or not, at most one run is ever started."""
    seen = []
    for was_started in (False, True):
        case.begin()
        case.add_fault("status_after" if was_started else "status", case.calls.start, status=502, times=1)
        what = f"502 {'after' if was_started else 'without'} a run"
        seen.append(case.expect_at_most_one_start(case.run_asset(retries=2), what=what, was_started=was_started))
    return joined(seen)


def start_reset(case: Case) -> str:
    """If a start is reset, before or after the vendor executed it, at most one run is ever started."""
    seen = []
    for was_started in (False, True):
        case.begin()
        case.add_fault("reset", case.calls.start, times=1, processed=was_started)
        what = f"reset {'after' if was_started else 'without'} a run"
        seen.append(case.expect_at_most_one_start(case.run_asset(retries=2), what=what, was_started=was_started))
    return joined(seen)


def start_rate_limited(case: Case) -> str:
    """A start that is refused with 429 is sent again later, and not before Retry-After."""
    case.add_fault("status", case.calls.start, status=429, retry_after=f"{_RETRY_AFTER:.0f}", times=1)
    case.add_fault("status", case.calls.start, status=429, times=1)
    seen = case.expect_success(case.run_asset())
    records = case.requests(case.calls.start)
    pause = records[1].received_at - records[0].received_at
    expect(pause >= _RETRY_AFTER - 1.0, f"sent again {pause:.1f} s after Retry-After: {_RETRY_AFTER:.0f}")
    return f"{seen}; sent again {pause:.0f} s after Retry-After: {_RETRY_AFTER:.0f}, and after a 429 without it"


def search_after_lost_start(case: Case) -> str:
    """The search for a run whose start was lost finds that run, and takes no other run for ours."""
    if type(case.run).find_started is RemoteRun.find_started:
        raise NotOfferedError("the class has no find_started()")
    other = case.start_elsewhere()
    attempt = new_attempt()
    found = case.run.find_started(case.resource, attempt)
    if found is None:
        raise NotOfferedError("find_started() returns None for this run")
    ours = [candidate.run_id for candidate in found if candidate.is_ours]
    expect(not ours, f"find_started() returns {ours} as ours; it was started elsewhere (id {other.id})")
    _wait_until_ended(case)
    before, attempt = case.starts, new_attempt()
    with suppress(VendorError):
        case.run.send_start(case.resource, attempt)
    started = case.started()
    expect(len(started) == 1, f"{case.starts}, before {before}")
    found = case.run.find_started(case.resource, attempt) or ()
    candidates = {candidate.run_id: candidate for candidate in found}
    expect(started[0].id in candidates, f"find_started() returns {sorted(candidates)}; we started {started[0].id}")
    wrong = [one for one in candidates.values() if one.is_ours and one.run_id != started[0].id]
    expect(not wrong, f"find_started() returns {[one.run_id for one in wrong]} as ours; we started {started[0].id}")
    _expect_too_late(case, attempt, started[0].id)
    how = "by its correlation id" if candidates[started[0].id].is_ours else "by its kind and time"
    return f"our run is found {how}; another run is not ours"


def _expect_too_late(case: Case, attempt: StartAttempt, run_id: str) -> None:
    """Expects that a run is not found for a start that was sent a day later with another correlation id."""
    current_clock().sleep(86_400.0)
    later = case.run.find_started(case.resource, new_attempt()) or ()
    found = [candidate.run_id for candidate in later if candidate.run_id == run_id and not candidate.is_ambiguous]
    expect(not found, f"find_started() returns a run of the day before: {found}")


def _wait_until_ended(case: Case) -> None:
    for _ in range(60):
        if all(run.ended_at is not None for run in case.client.runs(case.subject.vendor)):
            return
        current_clock().sleep(60.0)


def odd_ids(case: Case) -> str:
    """An id with characters that have a meaning in URLs reaches no other endpoint."""
    field = case.calls.id_field
    if field is None:
        raise NotOfferedError("the id of the run is not in the JSON body of the response to the start")
    seen = []
    for odd in _ODD_IDS:
        case.begin()
        case.add_fault("wrong_type", case.calls.start, field=field, value=odd)
        try:
            run_id = case.run.send_start(case.resource, new_attempt())
        except VendorError:
            seen.append(f"{odd!r} refused")
            continue
        expect(run_id == odd, f"start() returned {run_id!r}; the vendor's id is {odd!r}")
        before = case.subject.last_request()
        for call in (case.run.get_status, case.run.cancel) if case.run.can_cancel() else (case.run.get_status,):
            with suppress(VendorError):
                call(case.resource, run_id)
        requests = case.subject.requests(before)
        wrong = [record.path for record in requests if not _has_id(record.path, record.query, odd)]
        # A path outside the vendor's is recorded without a vendor.
        wrong += [record.path for record in case.client.requests(after=before) if record.vendor is None]
        hint = "If that request names no run, check first that the run is still active: it may affect another one"
        expect(not wrong, f"with the id {odd!r}, a request was sent to {', '.join(wrong)}. {hint}")
        seen.append(f"{odd!r} in {len(requests)} requests")
    return joined(seen)


def _has_id(path: str, query: dict[str, str], run_id: str) -> bool:
    segments = [unquote(part) for part in path.split("/")]
    return any(part == run_id or part.startswith(f"{run_id}:") for part in [*segments, *query.values()])


def unauthorized(case: Case) -> str:
    """A 401 is a clear error. A start is not retried, and a run is not canceled."""
    case.add_fault("expired_token", case.calls.start)
    materialized = case.run_asset(retries=2, timeout=3600.0)
    case.expect_not_reported(materialized, what="start")
    sent, most = len(case.requests(case.calls.start)), 1 + case.resource.auth().max_renewals
    expect(not case.started(), f"start: {case.starts}; expected none")
    expect(sent <= most and not materialized.retries, f"start: sent {sent} times, {materialized.retries} retries")
    _expect_clear("start", materialized.error)
    case.begin(running_seconds=36_000.0)
    case.add_fault("expired_token", case.calls.poll)
    materialized = case.run_asset(retries=2, timeout=7200.0)
    case.expect_not_reported(materialized, what="poll")
    _expect_clear("poll", materialized.error)
    started = case.started()
    expect(len(started) == 1, f"poll: {case.starts}; expected 1")
    expect(started[0].cancel_requested_at is None, "poll: the run was canceled")
    return f"start: sent {sent} time{'' if sent == 1 else 's'}, not retried; poll: {case.starts}, left running"


def _expect_clear(what: str, error: str) -> None:
    is_clear = "AuthenticationError" in error or "401" in error
    expect(
        is_clear, f"{what}: the error does not say that the credentials were refused: {' '.join(error.split())[:300]}"
    )


SCENARIOS = (
    lost_start,
    unreadable_start,
    start_server_error,
    start_reset,
    start_rate_limited,
    search_after_lost_start,
    odd_ids,
    unauthorized,
)
