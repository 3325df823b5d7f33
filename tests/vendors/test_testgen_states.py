"""TestGen: the states and times of jobs."""

import json
from typing import Any

import pytest

from dagster_runs import (
    TestGenResource,
    UnexpectedResponseError,
)
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.vendors.testgen_runs import attempt, suite_run

STATES = {
    "pending": RunState.QUEUED,
    "claimed": RunState.QUEUED,
    "queued": RunState.QUEUED,
    "running": RunState.RUNNING,
    "cancel_requested": RunState.RUNNING,
    "interrupt_requested": RunState.RUNNING,
    "interrupted": RunState.RUNNING,
    "pause_requested": RunState.RUNNING,
    "paused": RunState.RUNNING,
    "resume_requested": RunState.RUNNING,
    "completed": RunState.SUCCEEDED,
    "error": RunState.FAILED,
    "canceled": RunState.CANCELED,
}


class TestStates:
    __test__ = True

    @pytest.mark.parametrize("vendor_status", STATES)
    @pytest.mark.parametrize("spell", [str, str.upper, lambda vendor_status: vendor_status.replace("_", " ").title()])
    @pytest.mark.covers(
        "testgen.field.job-status",
        "testgen.state.pending",
        "testgen.state.claimed",
        "testgen.state.queued",
        "testgen.state.running",
        "testgen.state.cancel-requested",
        "testgen.state.interrupt-requested",
        "testgen.state.interrupted",
        "testgen.state.pause-requested",
        "testgen.state.paused",
        "testgen.state.resume-requested",
        "testgen.state.completed",
        "testgen.state.error",
        "testgen.state.canceled",
    )
    def test_all_documented_statuses_are_parsed(
        self, vendor_status: str, spell: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("unknown_state", state=spell(vendor_status)))
        status = suite_run().fetch_status(testgen, run_id)
        assert (status.state, status.vendor_status) == (STATES[vendor_status], spell(vendor_status))

    @pytest.mark.parametrize(
        "vendor_status", ["succeeded", "cancelled", "incomplete", "completed_with_errors", "?", "🎉"]
    )
    @pytest.mark.covers("testgen.state.any-other-word")
    def test_unknown_status_is_not_final(self, vendor_status: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("unknown_state", state=vendor_status))
        assert suite_run().fetch_status(testgen, run_id).state is RunState.UNKNOWN

    @pytest.mark.parametrize("value", [None, "", 7, [], {}])
    @pytest.mark.covers("testgen.field.job-status")
    def test_missing_status_raises_and_quotes_the_response(
        self, value: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("wrong_type", field="status", value=value))
        with pytest.raises(UnexpectedResponseError, match="status: ") as raised:
            suite_run().fetch_status(testgen, run_id)
        assert run_id in str(raised.value)

    @pytest.mark.covers(
        "testgen.field.job-started-at",
        "testgen.field.job-completed-at",
        "testgen.field.job-error-message",
        "testgen.state.error",
    )
    def test_times_and_error_are_reported(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run = suite_run(well_known.SUITE_DOWN)
        run_id = run.start(testgen, attempt())
        queued = run.fetch_status(testgen, run_id)
        assert (queued.started_at, queued.finished_at, queued.error) == (None, None, None)
        sandbox.advance(100)
        ended = run.fetch_status(testgen, run_id)
        assert ended.state is RunState.FAILED
        assert "Connection refused" in str(ended.error)
        assert ended.duration_seconds == pytest.approx(6, abs=0.01)

    @pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "soon", 7.5, {}, "9999-12-31T23:59:59-05:00"])
    @pytest.mark.covers("testgen.field.job-completed-at")
    def test_invalid_time_does_not_hide_the_state(self, time: Any, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("wrong_type", field="completed_at", value=time))
        assert suite_run().fetch_status(testgen, run_id).state is RunState.QUEUED


@pytest.mark.covers("testgen.endpoint.status", "testgen.field.job-started-at")
def test_recorded_responses_of_real_servers_are_parsed(sandbox: Sandbox, testgen: TestGenResource) -> None:
    """The job object of 5.134.0: all fields are present, null until set, and some are unknown to the package."""
    body = json.loads(
        '{"id":"3b1f","job_key":"run-tests","status":"pending","source":"api","created_at":"2026-11-22T17:51:49.771437Z",'
        '"claimed_at":null,"started_at":null,"completed_at":null,"error_message":null,"later":{"added":true}}'
    )
    sandbox.add_fault(Fault("status", status=200, body=body))
    status = suite_run().fetch_status(testgen, "3b1f")
    assert status.state is RunState.QUEUED
    assert status.created_at is not None
    assert status.created_at.microsecond == 771437
