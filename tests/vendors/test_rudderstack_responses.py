"""RudderStack: parsing of responses, including invalid ones."""

import contextlib
import json
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import ConflictError, RudderStackProfilesRun, RudderStackResource, UnexpectedResponseError
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times
from tests.vendors.rudderstack_runs import PROJECT, get_status, start


class TestStates:
    @pytest.mark.parametrize(
        ("vendor_status", "error", "state"),
        [
            ("running", None, RunState.RUNNING),
            ("processing", None, RunState.RUNNING),
            ("Running", None, RunState.RUNNING),
            ("finished", None, RunState.SUCCEEDED),
            ("FINISHED", "", RunState.SUCCEEDED),
            ("finished", {}, RunState.SUCCEEDED),
            ("finished", [], RunState.SUCCEEDED),
            ("finished", "boom", RunState.FAILED),
            ("finished", {"message": "boom"}, RunState.FAILED),
            ("finished", {"code": 7}, RunState.FAILED),
            ("finished", {"message": "", "code": 7}, RunState.FAILED),
            ("finished", ["boom"], RunState.FAILED),
            ("finished", 7, RunState.FAILED),
            ("failed", None, RunState.FAILED),
            ("Failed", "boom", RunState.FAILED),
            ("canceled", None, RunState.UNKNOWN),
            ("succeeded", None, RunState.UNKNOWN),
            ("finished!", None, RunState.SUCCEEDED),
            ("unfinished", None, RunState.UNKNOWN),
            ("🎉", None, RunState.UNKNOWN),
            ("  ", None, RunState.UNKNOWN),
        ],
    )
    @pytest.mark.covers(
        "rudderstack.field.status",
        "rudderstack.state.running",
        "rudderstack.state.processing",
        "rudderstack.state.finished-without-error",
        "rudderstack.state.finished-with-error",
        "rudderstack.state.failed",
        "rudderstack.state.any-other-word",
    )
    def test_are_parsed_from_status_and_error(
        self, vendor_status: str, error: Any, state: RunState, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        body = {"status": vendor_status} if error is None else {"status": vendor_status, "error": error}
        sandbox.add_fault(Fault("status", status=200, body=body))
        status = get_status(rudderstack, "r")
        assert (status.state, status.vendor_status) == (state, vendor_status)

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            ("boom", "boom"),
            ({"message": "boom", "code": 7}, "boom"),
            ({"error": "boom"}, "boom"),
            (["boom"], "['boom']"),
        ],
    )
    @pytest.mark.covers("rudderstack.field.error")
    def test_vendor_error_is_reported(
        self, error: Any, text: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "failed", "error": error}))
        assert get_status(rudderstack, "r").error == text

    @pytest.mark.parametrize("field_case", ["camel", "snake"])
    @pytest.mark.covers(
        "rudderstack.field.started-at",
        "rudderstack.field.finished-at",
        "rudderstack.field.tasks-task-id",
        "rudderstack.field.tasks-finished-at",
    )
    def test_camel_and_snake_case_give_the_same_status(
        self, field_case: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.set_behavior(PROJECT, Behavior(field_case=field_case, tasks=["a", "b"], running_seconds=10))
        run_id = start(rudderstack)
        sandbox.advance(7)
        active = get_status(rudderstack, run_id)
        assert active.state is RunState.RUNNING
        assert active.started_at is not None
        assert active.finished_at is None
        assert [task.task_id for task in active.raw.tasks] == ["a", "b"]
        assert [task.finished_at is not None for task in active.raw.tasks] == [True, False]
        sandbox.advance(60)
        ended = get_status(rudderstack, run_id)
        assert ended.state is RunState.SUCCEEDED
        assert ended.duration_seconds == pytest.approx(10, abs=0.01)

    @pytest.mark.parametrize("mixed", [True, False])
    @pytest.mark.covers("rudderstack.field.job-id", "rudderstack.field.job-run-id", "rudderstack.field.started-at")
    def test_documented_example_is_parsed(
        self, mixed: bool, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        camel = {
            "jobId": PROJECT,
            "jobRunId": "cqf7pvv8sp57cfhreg0g",
            "status": "finished",
            "startedAt": "2024-05-31T06:48:08.228Z",
            "finishedAt": "2024-05-31T06:49:08.228Z",
            "tasks": [{"taskId": "wht", "taskRunId": "x", "startedAt": "2024-05-31T06:48:08.228Z", "finishedAt": None}],
        }
        extra = {"newField": {"a": 1}, "started_at": "2020-01-01T00:00:00Z"} if mixed else {}
        sandbox.add_fault(Fault("status", status=200, body={**camel, **extra}))
        status = get_status(rudderstack, "r")
        assert status.started_at == datetime(2024, 5, 31, 6, 48, 8, 228000, tzinfo=timezone.utc)
        assert status.duration_seconds == 60

    @pytest.mark.parametrize(
        "time", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "soon", [], {}, True]
    )
    @pytest.mark.covers("rudderstack.field.finished-at")
    def test_invalid_end_time_does_not_hide_the_state(
        self, time: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "running", "finishedAt": time}))
        status = get_status(rudderstack, "r")
        assert status.state is RunState.RUNNING
        assert status.finished_at is None

    def test_out_of_range_end_time_does_not_hide_the_state(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        body = {"status": "running", "finishedAt": "9999-12-31T23:59:59-05:00"}
        sandbox.add_fault(Fault("status", status=200, body=body))
        assert get_status(rudderstack, "r").state is RunState.RUNNING

    @pytest.mark.parametrize(
        "tasks", [None, "wht", 7, {}, {"taskId": "a"}, [None], ["a"], [[]], [{"taskId": 7, "startedAt": "x"}], [{}]]
    )
    @pytest.mark.covers("rudderstack.field.tasks")
    def test_invalid_tasks_do_not_hide_the_state(
        self, tasks: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "finished", "tasks": tasks}))
        status = get_status(rudderstack, "r")
        assert status.state is RunState.SUCCEEDED
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        assert set(run.fetch_result(rudderstack, "r", status, None).metadata) <= {"rudderstack/tasks"}

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"status": None},
            {"status": ""},
            {"status": 3},
            {"status": ["finished"]},
            [],
            "finished",
            5,
            {"Status": "x"},
        ],
    )
    @pytest.mark.covers("rudderstack.field.status")
    def test_body_without_a_state_is_quoted(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        # A fault sends a string body as plain text.
        given = json.dumps(body) if isinstance(body, str) else body
        sandbox.add_fault(Fault("status", status=200, body=given))
        with pytest.raises(UnexpectedResponseError) as raised:
            get_status(rudderstack, "r")
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize(
        "body",
        [{}, {"runId": None}, {"runId": ""}, {"runId": 7.0}, {"runId": True}, {"id": "r"}, [], {"runId": {"id": "r"}}],
    )
    @pytest.mark.covers("rudderstack.field.run-id")
    def test_start_response_without_an_id_may_have_been_accepted(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            start(rudderstack)
        assert raised.value.may_have_been_accepted

    @pytest.mark.parametrize("name", ["runId", "run_id"])
    @pytest.mark.covers("rudderstack.field.run-id")
    def test_both_spellings_of_the_run_id_are_accepted(
        self, name: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={name: "r7"}))
        assert start(rudderstack) == "r7"


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> RudderStackResource:
    return RudderStackResource(access_token="t0ken", base_url=origin.url)


class TestAnyBody:
    """Any response gives either a package error or a result that Dagster can store."""

    @few
    @given(
        body=close_to(
            {
                "status": st.sampled_from(["running", "finished", "failed", "Finished"]),
                "error": st.sampled_from([None, "", "boom", {}, {"message": ""}]),
                "startedAt": times,
                "finishedAt": times,
                "finished_at": times,
                "tasks": st.lists(
                    close_to({"taskId": st.text(max_size=5), "startedAt": times, "finished_at": times}), max_size=3
                ),
            }
        )
    )
    @example(body={"status": "finished", "finishedAt": "9999-12-31T23:59:59-05:00"})
    def test_any_status_body_gives_a_status_or_an_error(
        self, body: Any, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        try:
            status = run.fetch_status(at_origin, "r")
        except UnexpectedResponseError:
            return
        if status.state is RunState.SUCCEEDED:
            assert not body.get("error")
        result = run.fetch_result(at_origin, "r", status, None)
        dg.AssetMaterialization("a", metadata=dict(result.metadata))

    @few
    @given(body=close_to({"runId": st.text(max_size=5), "run_id": st.text(max_size=5)}))
    def test_any_start_body_gives_an_id_or_an_error(
        self, body: Any, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        with contextlib.suppress(UnexpectedResponseError):
            assert start(at_origin)

    @few
    @given(body=close_to({"error": anything, "message": anything, "code": anything, "details": anything}))
    def test_any_error_body_raises_the_error_of_its_status(
        self, body: Any, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        origin.replies = [Reply(409, json.dumps(body))]
        with pytest.raises(ConflictError):
            start(at_origin)
