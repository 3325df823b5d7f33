"""Segmentflow: parsing of responses, including invalid ones."""

import contextlib
import json
from datetime import datetime, timezone
from typing import Any, Literal

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import SegmentflowResource, UnexpectedResponseError, VendorError
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times
from tests.vendors.segmentflow_runs import BOTH, BY_ID, BY_KEY, JOURNEY, get_status, journey, start, status_of


class TestStates:
    @pytest.mark.parametrize(
        ("vendor_status", "state"),
        [
            ("queued", RunState.QUEUED),
            ("running", RunState.RUNNING),
            ("Running", RunState.RUNNING),
            ("completed", RunState.SUCCEEDED),
            ("COMPLETED", RunState.SUCCEEDED),
            ("failed", RunState.FAILED),
            ("exited", RunState.FAILED),
            (" Exited ", RunState.FAILED),
            ("succeeded", RunState.UNKNOWN),
            ("canceled", RunState.UNKNOWN),
            ("incomplete", RunState.UNKNOWN),
            ("waiting", RunState.UNKNOWN),
            ("🎉", RunState.UNKNOWN),
            ("  ", RunState.UNKNOWN),
        ],
    )
    @pytest.mark.covers(
        "segmentflow.field.run-status",
        "segmentflow.state.queued",
        "segmentflow.state.running",
        "segmentflow.state.completed",
        "segmentflow.state.failed",
        "segmentflow.state.any-other-word",
    )
    def test_are_parsed_from_status(
        self, vendor_status: str, state: RunState, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        status = status_of(sandbox, segmentflow, {"status": vendor_status})
        assert (status.state, status.vendor_status) == (state, vendor_status)

    @pytest.mark.parametrize(
        ("on_exited", "state", "error"),
        [("fail", RunState.FAILED, "on_exited='succeed' accepts that"), ("succeed", RunState.SUCCEEDED, None)],
    )
    @pytest.mark.covers("segmentflow.state.exited")
    def test_on_exited_determines_the_state_of_an_exited_run(
        self,
        on_exited: Literal["fail", "succeed"],
        state: RunState,
        error: str | None,
        sandbox: Sandbox,
        segmentflow: SegmentflowResource,
    ) -> None:
        status = status_of(sandbox, segmentflow, {"status": "exited", "error": None}, on_exited=on_exited)
        assert status.state is state
        assert status.error is None if error is None else error in (status.error or "")

    def test_on_exited_defaults_to_fail(self) -> None:
        assert journey().on_exited == "fail"

    def test_exited_run_keeps_the_vendor_error(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        assert status_of(sandbox, segmentflow, {"status": "exited", "error": "unsubscribed"}).error == "unsubscribed"

    @pytest.mark.parametrize("on_exited", ["fail", "succeed"])
    def test_failed_run_fails_for_every_on_exited(
        self, on_exited: str, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        status = status_of(sandbox, segmentflow, {"status": "failed", "error": "no sender"}, on_exited=on_exited)
        assert (status.state, status.error) == (RunState.FAILED, "no sender")

    def test_failed_run_without_an_error_has_none(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        assert status_of(sandbox, segmentflow, {"status": "failed", "error": None}).error is None

    @pytest.mark.parametrize("shape", ["A", "B"])
    @pytest.mark.parametrize("completed_at", ["null", "absent", "present"])
    @pytest.mark.covers(
        "segmentflow.endpoint.status",
        "segmentflow.field.run-journey-id",
        "segmentflow.field.run-profile-id",
        "segmentflow.field.run-workflow-id",
        "segmentflow.field.run-triggered-at",
        "segmentflow.field.run-completed-at",
    )
    def test_both_response_formats_give_the_same_status(
        self, shape: str, completed_at: str, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        behavior = Behavior(shape=shape, completed_at=completed_at, queued_seconds=1, running_seconds=9)
        sandbox.set_behavior(JOURNEY, behavior)
        run_id = start(segmentflow)
        states = [get_status(segmentflow, run_id).state]
        sandbox.advance(5)
        active = get_status(segmentflow, run_id)
        assert (active.finished_at is None) is (completed_at != "present")
        sandbox.advance(60)
        ended = get_status(segmentflow, run_id)
        assert [*states, active.state, ended.state] == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]
        assert ended.duration_seconds == pytest.approx(10, abs=0.01)
        shown = journey().fetch_result(segmentflow, run_id, ended, None).metadata
        assert ("segmentflow/workflow_id" in shown) is (shape == "B")
        assert shown["segmentflow/journey_id"] == JOURNEY

    @pytest.mark.covers("segmentflow.field.run-workflow-id")
    def test_workflow_id_may_be_null(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        sandbox.set_behavior(JOURNEY, Behavior(workflow_id="null"))
        run_id = start(segmentflow)
        shown = journey().fetch_result(segmentflow, run_id, get_status(segmentflow, run_id), None).metadata
        assert set(shown) == {"segmentflow/journey_id", "segmentflow/profile_id"}

    @pytest.mark.covers("segmentflow.field.run-triggered-at", "segmentflow.field.run-completed-at")
    def test_documented_example_is_parsed(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        body = {
            "runId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "journeyId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "profileId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "status": "completed",
            "triggeredAt": "2023-11-07T05:31:56Z",
            "completedAt": "2023-11-07T05:32:56.5Z",
            "error": None,
        }
        status = status_of(sandbox, segmentflow, body)
        assert status.created_at == datetime(2023, 11, 7, 5, 31, 56, tzinfo=timezone.utc)
        assert status.duration_seconds == 60.5

    @pytest.mark.parametrize("time", [None, "", "0001-01-01T00:00:00Z", "soon", [], "9999-12-31T23:59:59-05:00"])
    @pytest.mark.covers("segmentflow.field.run-triggered-at", "segmentflow.field.run-completed-at")
    def test_invalid_time_does_not_hide_the_state(
        self, time: Any, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        status = status_of(sandbox, segmentflow, {"status": "running", "completedAt": time, "triggeredAt": time})
        assert (status.state, status.finished_at, status.created_at) == (RunState.RUNNING, None, None)

    @pytest.mark.parametrize(
        "body", [{}, {"status": None}, {"status": ""}, {"status": 3}, [], 5, {"Status": "completed"}, {"state": "x"}]
    )
    @pytest.mark.covers("segmentflow.field.run-status")
    def test_body_without_a_state_is_quoted(
        self, body: Any, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        with pytest.raises(UnexpectedResponseError) as raised:
            status_of(sandbox, segmentflow, body)
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize(
        "body", [{}, {"runId": None}, {"runId": ""}, {"runId": 7.0}, {"runId": True}, {"id": "r"}, []]
    )
    @BOTH
    @pytest.mark.covers("segmentflow.field.start-run-id")
    def test_start_response_without_an_id_may_have_been_accepted(
        self, by: dict[str, str], body: Any, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=202, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            start(segmentflow, **by)
        assert raised.value.may_have_been_accepted


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> SegmentflowResource:
    return SegmentflowResource(api_key="sk_live_t0ken", base_url=origin.url, max_retries=0)


class TestAnyBody:
    """Any response gives either a package error or a result that Dagster can store."""

    @few
    @given(
        body=close_to(
            {
                "runId": st.text(max_size=5),
                "journeyId": st.text(max_size=5),
                "profileId": st.text(max_size=5),
                "workflowId": st.none() | st.text(max_size=5),
                "status": st.sampled_from(["queued", "running", "completed", "failed", "exited"]) | st.text(max_size=9),
                "triggeredAt": times,
                "completedAt": times,
                "error": st.sampled_from([None, "", "boom", {"message": ""}]),
            }
        ),
        on_exited=st.sampled_from(["fail", "succeed"]),
    )
    @example(body={"status": "exited", "completedAt": "9999-12-31T23:59:59-05:00", "error": {}}, on_exited="fail")
    @example(body={"status": "completed!", "journeyId": 7}, on_exited="fail")
    @pytest.mark.covers("segmentflow.field.run-status")
    def test_any_status_body_gives_a_status_or_an_error(
        self, body: Any, on_exited: Any, origin: Origin, at_origin: SegmentflowResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        run = journey(on_exited=on_exited)
        status, problem = None, ""
        try:
            status = run.fetch_status(at_origin, "r")
        except UnexpectedResponseError as error:
            problem = error.detail
        if status is None:
            assert "the response was" in problem
            return
        vendor_status = "".join(character for character in body["status"].casefold() if character.isalnum())
        good = {"completed"} | ({"exited"} if on_exited == "succeed" else set())
        assert (status.state is RunState.SUCCEEDED) is (vendor_status in good)
        dg.AssetMaterialization("a", metadata=dict(run.fetch_result(at_origin, "r", status, None).metadata))

    @few
    @given(
        body=close_to({"runId": st.text(max_size=5), "workflowId": st.text(max_size=5), "status": st.text(max_size=5)}),
        by=st.sampled_from([BY_ID, BY_KEY]),
    )
    def test_any_start_body_gives_an_id_or_an_error(
        self, body: Any, by: Any, origin: Origin, at_origin: SegmentflowResource
    ) -> None:
        origin.replies = [Reply(202, json.dumps(body))]
        with contextlib.suppress(UnexpectedResponseError):
            assert start(at_origin, **by)

    @few
    @given(
        body=close_to({"error": anything, "message": anything, "details": anything, "required": anything}),
        by=st.sampled_from([BY_ID, BY_KEY]),
        status=st.sampled_from([400, 401, 403, 404, 409, 410, 422, 429, 500, 501]),
    )
    @example(body={"error": "idempotency_key_reuse"}, by=BY_KEY, status=409)
    @example(body={"error": ["idempotency_key_reuse"], "required": "x"}, by=BY_KEY, status=422)
    def test_any_error_body_raises_the_error_of_its_status(
        self, body: Any, by: Any, status: int, origin: Origin, at_origin: SegmentflowResource
    ) -> None:
        origin.replies = [Reply(status, json.dumps(body))]
        with pytest.raises(VendorError) as raised:
            start(at_origin, **by)
        assert raised.value.status == status
