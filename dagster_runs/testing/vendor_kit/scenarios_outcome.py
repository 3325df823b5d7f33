"""Scenarios: how a run ends, or the step that waits for it."""

from datetime import datetime, timezone

import dagster as dg

from dagster_runs.remote_run.data_checks import data_checks_of
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import RecordedRequest
from dagster_runs.testing.vendor_kit.calls import new_attempt
from dagster_runs.testing.vendor_kit.case import VERY_LONG, Case, joined
from dagster_runs.testing.vendor_kit.results import NotOfferedError, expect
from dagster_runs.transport.clock import current_clock

_TOLERANCE = 2.0
_ERROR = "kit: 3 rows were not readable"
_WINDOW_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y")


def success(case: Case) -> str:
    """One start and one materialization with the run's id, state and duration; each declared check evaluated once."""
    materialized = case.run_asset()
    case.expect_success(materialized)
    [run] = case.started()
    [shown] = materialized.materializations
    duration = shown.get("dagster_runs/duration_seconds")
    if duration is not None:
        longest = (run.ended_at or 0.0) - run.created_at + _TOLERANCE
        expect(
            isinstance(duration, (int, float)) and 0 < duration <= longest,
            f"duration_seconds is {duration}; the run took at most {longest:.0f} s. Check the zones of the times.",
        )
    declared = {"run_status", *data_checks_of(case.run)}
    counts = {name: len(evaluations) for name, evaluations in materialized.checks.items()}
    expect(counts == dict.fromkeys(declared, 1), f"evaluations: {counts}; declared are {', '.join(sorted(declared))}")
    status = case.run.get_status(case.resource, run.id)
    expect(status.state is RunState.SUCCEEDED, f"fetch_status() of a run that succeeded returned {status.state.value}")
    expect(status.vendor_status, "fetch_status() returned no vendor_status")
    result = case.run.fetch_result(case.resource, run.id, status, None)
    names = [outcome.name for outcome in result.checks]
    wanted = sorted(data_checks_of(case.run))
    expect(sorted(names) == wanted, f"fetch_result() returned outcomes of {names}; declared are {wanted}")
    described = "no duration reported" if duration is None else f"{duration:.0f} s"
    return f"{case.starts}, {described}, checks: {', '.join(sorted(declared))}"


def failure(case: Case) -> str:
    """The step fails, run_status fails with the vendor's error, nothing is materialized or started again."""
    case.begin(outcome="fail", error=_ERROR)
    materialized = case.run_asset()
    case.expect_not_reported(materialized)
    expect(len(case.started()) == 1, f"{case.starts} without a retry policy; expected 1")
    expect("RunFailed" in materialized.error, f"the step failed, but not with RunFailed: {materialized.short_error}")
    evaluations = materialized.checks.get("run_status", [])
    expect(len(evaluations) == 1 and not evaluations[0].passed, "the check run_status did not fail")
    # Some vendors report no error. So the error is expected only if a response contains it.
    texts = [case.subject.send_again(record) for record in case.requests() if record.method == "GET"]
    if not any(_ERROR in text for text in texts):
        return f"{case.starts}, failed; the simulated vendor reports no error"
    values = " ".join(str(value.value) for value in evaluations[0].metadata.values())
    expect(_ERROR in f"{evaluations[0].description} {values}", f"run_status does not show the error: {values[:200]}")
    return f"{case.starts}, failed with the vendor's error"


def interrupted_step(case: Case) -> str:
    """A step that is interrupted while it waits, as by an eviction, attaches to its run in the next attempt."""
    case.begin(running_seconds=120.0)
    case.while_waiting(case.interrupt)
    materialized = case.run_asset(retries=2)
    expect(materialized.retries == 1, f"{materialized.retries} retries; expected 1: {materialized.short_error}")
    seen = case.expect_success(materialized)
    [shown] = materialized.materializations
    expect(shown.get("dagster_runs/attached") is True, "the second attempt did not attach")
    return f"{seen} in the second attempt, attached"


def cancel(case: Case) -> str:
    """If the Dagster run is terminated, the run is canceled, and the cancellation is confirmed."""
    case.begin(running_seconds=VERY_LONG)
    case.while_waiting(case.terminate)
    materialized = case.run_asset(retries=2)
    case.expect_not_reported(materialized)
    expect("RunTerminated" in materialized.error, f"expected RunTerminated: {materialized.short_error}")
    started = case.started()
    expect(len(started) == 1, f"{case.starts}; expected 1")
    if case.run.can_cancel():
        expect(started[0].cancel_requested_at is not None, f"cancel() did not cancel the run ({started[0].state!r})")
        expect(started[0].ended_at is not None, "the step did not wait until the run was canceled")
        status = case.run.get_status(case.resource, started[0].id)
        seen = f"{case.starts}, canceled, confirmed ({status.vendor_status})"
        if status.state is not RunState.CANCELED:
            wrong = f"fetch_status() of a canceled run returned {status.state.value}"
            expect(status.state is RunState.FAILED and started[0].state == _status_of_failed_run(case), wrong)
        return seen
    hint = case.run.manual_stop_hint
    expect(hint, "the class has no cancel() and no manual_stop_hint, so no message says how to stop the run")
    expect(hint in materialized.messages + materialized.error, f"no message has the manual_stop_hint {hint!r}")
    return f"cannot cancel; the log says: {hint}"


def _status_of_failed_run(case: Case) -> str:
    """Returns the vendor's status of a failed run. Some vendors have none of its own for a canceled run."""
    case.begin(outcome="fail")
    case.run_asset()
    return case.started()[0].state


def timeout(case: Case) -> str:
    """After our timeout, the run is left running by default, and canceled with on_timeout='cancel'."""
    seen = []
    for on_timeout in ("leave", "cancel") if case.run.can_cancel() else ("leave",):
        case.begin(running_seconds=VERY_LONG)
        materialized = case.run_asset(timeout=60.0, on_timeout=on_timeout)
        case.expect_not_reported(materialized, what=on_timeout)
        expect("RunTimedOut" in materialized.error, f"{on_timeout}: no RunTimedOut: {materialized.short_error}")
        started = case.started()
        expect(len(started) == 1, f"{on_timeout}: {case.starts}; expected 1")
        was_canceled = started[0].cancel_requested_at is not None
        expect(was_canceled is (on_timeout == "cancel"), f"{on_timeout}: canceled is {was_canceled}")
        expect(on_timeout == "leave" or started[0].ended_at is not None, "cancel: the cancellation was not confirmed")
        seen.append(f"{on_timeout}: {case.starts}, {'canceled' if was_canceled else 'still active'}")
    if not case.run.can_cancel():
        try:
            case.asset(on_timeout="cancel")
        except dg.DagsterInvalidDefinitionError:
            seen.append("cancel: refused")
        else:
            expect(False, "cancel: on_timeout='cancel' was accepted, although the class has no cancel()")
    return joined(seen)


def partitions(case: Case) -> str:
    """A partition starts one run with its time window."""
    if case.run.partition_window_fields is None:
        raise NotOfferedError("partition_window_fields is not set")
    today = datetime.fromtimestamp(current_clock().wall(), timezone.utc).date()
    day = datetime(today.year - 1, 1, 22, tzinfo=timezone.utc)
    next_day = day.replace(day=23)
    if case.run.in_window(day, next_day) == case.run:
        raise NotOfferedError("the run sets its own time window, or its target has none")
    days = dg.DailyPartitionsDefinition(start_date=f"{day.year}-01-01")
    asset = case.asset(partitions_def=days)
    seen = case.expect_success(case.materialize(asset, partition_key=f"{day:%Y-%m-%d}"))
    reported = case.instance.get_materialized_partitions(asset.key)
    expect(reported == {f"{day:%Y-%m-%d}"}, f"materialized partitions: {sorted(reported)}")
    [start] = [record for record in case.requests(case.calls.start) if record.started_run]
    missing = [f"{edge:%Y-%m-%d}" for edge in (day, next_day) if not _is_sent(start, edge)]
    expect(not missing, f"the start does not contain {' and '.join(missing)}; it has the body {start.body}")
    return f"{seen}, with the window of its partition"


def _is_sent(start: RecordedRequest, time: datetime) -> bool:
    text = f"{start.path} {start.query} {start.body}"
    spellings = [f"{time:{spelling}}" for spelling in _WINDOW_FORMATS]
    return any(spelling in text for spelling in [*spellings, f"{time.timestamp():.0f}"])


def conflict(case: Case) -> str:
    """A start that is refused because another run is active waits until that run ends, and then starts its own."""
    case.begin(running_seconds=VERY_LONG)
    case.start_elsewhere()
    try:
        case.run.send_start(case.resource, new_attempt())
    except Exception as error:  # noqa: BLE001 - the vendor's own classes may be anything
        refusal = error
    else:
        raise NotOfferedError("the simulated vendor accepts a start while another run is active")
    expect(
        case.run.is_conflict_with_active_run(refusal),
        f"is_conflict_with_active_run() does not recognize the refusal: {refusal}",
    )
    case.begin(running_seconds=120.0)
    other = case.start_elsewhere()
    case.behave()
    materialized = case.run_asset(retries=1)
    seen = case.expect_success(materialized)
    [ours] = case.started()
    expect(materialized.retries == 0, f"the refusal failed the step {materialized.retries} times")
    expect(ours.created_at >= other.created_at + 120.0, "our run was started while the other one was active")
    return f"{seen}, after the other run had ended"


SCENARIOS = (success, failure, interrupted_step, cancel, timeout, partitions, conflict)
