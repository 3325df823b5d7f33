"""Scenarios: what goes wrong while a run is polled. No failed status check may fail the run, or repeat it."""

from typing import Any

from dagster_runs.testing.vendor_kit.calls import UNKNOWN
from dagster_runs.testing.vendor_kit.case import VERY_LONG, Case, joined
from dagster_runs.testing.vendor_kit.results import expect

_RETRY_AFTER = 40.0
_WRONG_TYPES: tuple[Any, ...] = (None, 7, [], {"kit": 1})
_OUTAGE_SECONDS = 100.0


def unknown_state(case: Case) -> str:
    """An active run with an unknown status is waited for, with a warning that quotes the status."""
    case.begin(running_seconds=300.0)
    case.add_fault("unknown_state", case.calls.poll, state=UNKNOWN, times=2)
    materialized = case.run_asset()
    _expect_applied(case, "unknown_state", 2)
    seen = case.expect_success(materialized)
    expect(UNKNOWN in materialized.messages, "no warning quotes the unknown status")
    return f"{seen}, warned of the unknown status"


def unknown_final_state(case: Case) -> str:
    """A run with an end time and an unknown status is an error that quotes the status, never a success."""
    case.add_fault("unknown_state", case.calls.poll, state=UNKNOWN, ended=True)
    materialized = case.run_asset(timeout=120.0)
    _expect_applied(case, "unknown_state", 1)
    case.expect_not_reported(materialized)
    expect(UNKNOWN in materialized.error, f"the error does not quote the status: {materialized.short_error}")
    how = "timed out, because no end time is reported" if "RunTimedOut" in materialized.error else "failed"
    return f"{case.starts}, {how}, with the status in the error"


def state_field(case: Case) -> str:
    """A status response whose state is missing or has a wrong type says nothing about the run."""
    field = case.calls.state_field
    expect(
        field is not None,
        "no response to a poll contains the state of the run where the simulated vendor's `state_field` says",
    )
    case.begin(running_seconds=150.0)
    case.add_fault("missing_field", case.calls.poll, field=field, times=1)
    for value in _WRONG_TYPES:
        case.add_fault("wrong_type", case.calls.poll, field=field, value=value, times=1)
    seen = case.expect_success(case.run_asset())
    _expect_applied(case, "missing_field", 1)
    _expect_applied(case, "wrong_type", len(_WRONG_TYPES))
    case.begin()
    case.add_fault("missing_field", case.calls.poll, field=field)
    case.expect_not_reported(case.run_asset(timeout=120.0), what=f"without {field}")
    return f"{seen}, after {1 + len(_WRONG_TYPES)} responses without a valid {field}; never without it"


def poll_rate_limited(case: Case) -> str:
    """A poll that is refused with 429 is repeated later, and not before Retry-After."""
    case.begin(running_seconds=150.0)
    case.add_fault("status", case.calls.poll, status=429, retry_after=f"{_RETRY_AFTER:.0f}", times=1)
    case.add_fault("status", case.calls.poll, status=429, times=2)
    seen = case.expect_success(case.run_asset())
    pause = _pause_after(case, case.calls.poll)
    return f"{seen}; next request {pause:.0f} s after Retry-After: {_RETRY_AFTER:.0f}"


def poll_server_error(case: Case) -> str:
    """A poll that fails with 500, 502, 503 or 504 is repeated."""
    case.begin(running_seconds=150.0)
    for status in (500, 502, 503, 504):
        case.add_fault("status", case.calls.poll, status=status, times=3)
    return f"{case.expect_success(case.run_asset(retries=1))}, after 12 responses of the status 5xx"


def poll_reset(case: Case) -> str:
    """A poll whose connection is reset is repeated."""
    case.begin(running_seconds=150.0)
    case.add_fault("reset", case.calls.poll, times=8)
    return f"{case.expect_success(case.run_asset(retries=1))}, after 8 resets"


def poll_html(case: Case) -> str:
    """A page of a proxy or a login, with 200 or 404, says nothing about the run: it is not lost."""
    seen = []
    for status in (200, 404):
        case.begin(running_seconds=2 * _OUTAGE_SECONDS)
        case.add_fault("html", case.calls.poll, status=status)
        case.after(_OUTAGE_SECONDS, case.client.clear_faults)
        what = f"HTML with {status} for {_OUTAGE_SECONDS:.0f} s"
        seen.append(case.expect_success(case.run_asset(retries=1), what=what))
    return joined(seen)


def not_found_at_first(case: Case) -> str:
    """A 404 from the API just after the start does not mean that the run is lost."""
    case.begin(running_seconds=300.0)
    case.add_fault("not_found", case.calls.poll)
    case.after(20.0, case.client.clear_faults)
    materialized = case.run_asset(retries=1)
    seen = case.expect_success(materialized)
    return f"{seen}, after {case.count_faults('not_found')} such responses in 20 s"


def lost_run(case: Case) -> str:
    """A run that the API does not know for minutes is lost. It is not started again without a retry policy."""
    case.begin(running_seconds=VERY_LONG)
    case.add_fault("not_found", case.calls.poll)
    materialized = case.run_asset(timeout=3600.0)
    case.expect_not_reported(materialized)
    expect("RunLost" in materialized.error, f"expected RunLost: {materialized.short_error}")
    expect(len(case.started()) == 1, f"{case.starts} without a retry policy; expected 1")
    return f"{case.starts}, RunLost"


def _expect_applied(case: Case, fault: str, times: int) -> None:
    count = case.count_faults(fault)
    expect(
        count >= times,
        f"the fault {fault} affected {count} requests; expected {times}. Either the run ended too early, or the "
        "simulated vendor's `state_field` is not in its response to a poll.",
    )


def _pause_after(case: Case, call: Any) -> float:
    """Returns the simulated seconds between a refusal with Retry-After and the next request."""
    records = case.requests(call)
    refused = next(index for index, record in enumerate(records) if record.fault == "status")
    expect(len(records) > refused + 1, "no request after the refusal")
    pause = records[refused + 1].received_at - records[refused].received_at
    expect(pause >= _RETRY_AFTER - 1.0, f"the next request came {pause:.1f} s after Retry-After: {_RETRY_AFTER:.0f}")
    return pause


SCENARIOS = (
    unknown_state,
    unknown_final_state,
    state_field,
    poll_rate_limited,
    poll_server_error,
    poll_reset,
    poll_html,
    not_found_at_first,
    lost_run,
)
