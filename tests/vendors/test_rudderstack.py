"""RudderStack Profiles: what is sent, what is refused before it is sent, and what the answers mean."""

import contextlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dagster_runs import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RudderStackProfilesRun,
    RudderStackResource,
    ServerError,
    UnexpectedResponseError,
    VendorError,
    __version__,
)
from dagster_runs.remote_run.contract import StartAttempt
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.sandbox import Behaviour, Fault, Sandbox, well_known
from tests.remote_run.materializing import checks, failure, metadata, run_profiles
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times

PROJECT = well_known.PROFILES_FEATURES
ATTEMPT = StartAttempt(correlation_id="c", starting_at=0.0, dagster_run_id="d")


def start(resource: RudderStackResource, **fields: Any) -> str:
    return RudderStackProfilesRun(**{"profiles_id": PROJECT, **fields}).start(resource, ATTEMPT)


def look(resource: RudderStackResource, run_id: str, profiles_id: str = PROJECT) -> RunStatus:
    return RudderStackProfilesRun(profiles_id=profiles_id).fetch_status(resource, run_id)


class TestAddress:
    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({}, "https://api.rudderstack.com/v2"),
            ({"region": "us"}, "https://api.rudderstack.com/v2"),
            ({"region": "eu"}, "https://api.eu.rudderstack.com/v2"),
            ({"base_url": "https://rs.example.com"}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/"}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/v2"}, "https://rs.example.com/v2"),
            ({"base_url": " https://rs.example.com/v2/ "}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/proxy/v2"}, "https://rs.example.com/proxy/v2"),
            ({"base_url": "https://rs.example.com", "region": "eu"}, "https://rs.example.com/v2"),
        ],
    )
    def test_of_the_api(self, fields: dict[str, Any], url: str) -> None:
        resource = RudderStackResource(access_token="t0ken", **fields)
        assert resource.api_url() == url
        assert resource.http().base_url == url

    @pytest.mark.parametrize("region", ["EU", "asia", ""])
    def test_of_another_region_is_refused(self, region: str) -> None:
        with pytest.raises(ValidationError, match="region"):
            RudderStackResource(access_token="t0ken", region=region)  # type: ignore[arg-type]

    @pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
    def test_works_with_and_without_its_version(self, suffix: str, sandbox: Sandbox) -> None:
        resource = RudderStackResource(
            access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{sandbox.url}/rudderstack{suffix}"
        )
        start(resource)
        assert sandbox.starts("rudderstack") == 1


class TestWhatIsSent:
    def test_without_parameters_there_is_no_body(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        [request] = sandbox.requests("rudderstack")
        assert (request.method, request.path) == ("POST", f"/rudderstack/v2/sources/{PROJECT}/start")
        assert request.body is None
        assert "content-type" not in request.headers
        assert request.headers["authorization"] == "valid"
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert run_id == request.started_run

    def test_the_status_is_asked_for_by_project_and_run(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        run_id = start(rudderstack)
        look(rudderstack, run_id)
        path = sandbox.requests("rudderstack")[-1].path
        assert path == f"/rudderstack/v2/sources/{PROJECT}/runs/{run_id}/status"

    @pytest.mark.parametrize(
        ("fields", "parameters"),
        [
            ({"model_refs": ["models/id_graph"]}, ["--model_refs models/id_graph"]),
            ({"model_refs": ["models/a", "models/b"]}, ["--model_refs models/a", "--model_refs models/b"]),
            ({"begin_time": "2026-01-02T03:04:05Z"}, ["--begin_time 2026-01-02T03:04:05Z"]),
            ({"begin_time": "2026-01-02T03:04:05"}, ["--begin_time 2026-01-02T03:04:05Z"]),
            ({"begin_time": "2026-01-02T03:04:05+02:00"}, ["--begin_time 2026-01-02T01:04:05Z"]),
            ({"begin_time": "2026-01-02"}, ["--begin_time 2026-01-02T00:00:00Z"]),
            (
                {"begin_time": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-5)))},
                ["--begin_time 2026-01-02T05:00:00Z"],
            ),
            ({"end_time": "2026-01-02T03:04:05Z"}, ["--end_time 2026-01-02T03:04:05Z"]),
            ({"rebase_incremental": True}, ["--rebase_incremental"]),
            ({"rebase_incremental": False, "parameters": ["--rebase_incremental"]}, ["--rebase_incremental"]),
            (
                {
                    "parameters": ["--rebase_incremental true"],
                    "end_time": "2026-01-03",
                    "begin_time": "2026-01-02",
                    "model_refs": ["m"],
                },
                [
                    "--model_refs m",
                    "--begin_time 2026-01-02T00:00:00Z",
                    "--end_time 2026-01-03T00:00:00Z",
                    "--rebase_incremental true",
                ],
            ),
        ],
    )
    def test_each_parameter_is_flag_and_value_in_one_string(
        self, fields: dict[str, Any], parameters: list[str], sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        start(rudderstack, **fields)
        [request] = sandbox.requests("rudderstack")
        assert request.body == {"parameters": parameters}
        assert request.headers["content-type"] == "application/json"
        assert request.status == 200


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"profiles_id": ""}, "profiles_id"),
            ({"profiles_id": "a/b"}, "profiles_id"),
            ({"profiles_id": "../x"}, "profiles_id"),
            ({"profiles_id": "a b"}, "profiles_id"),
            ({"profiles_id": f"{PROJECT}\n"}, "profiles_id"),
            ({"profiles_id": "x" * 201}, "profiles_id"),
            ({"profiles_id": None}, "profiles_id"),
            ({"model_refs": "models/a"}, "model_refs"),
            ({"model_refs": [""]}, "model_refs"),
            ({"model_refs": ["models/a models/b"]}, "model_refs"),
            ({"model_refs": ["--begin_time"]}, "model_refs"),
            ({"begin_time": "yesterday"}, "begin_time"),
            ({"begin_time": "2026-02-30"}, "begin_time"),
            ({"end_time": "{window_end"}, "end_time"),
            ({"begin_time": "2026-01-02", "end_time": "2026-01-01"}, r"begin_time .* must lie before end_time"),
            ({"begin_time": "2026-01-02", "end_time": "2026-01-02"}, r"begin_time .* must lie before end_time"),
            (
                {"begin_time": "2026-01-02T00:00:00+00:00", "end_time": "2026-01-02T01:00:00+02:00"},
                r"begin_time .* must lie before end_time",
            ),
            ({"rebase_incremental": "perhaps"}, "rebase_incremental"),
            ({"parameters": ["model_refs a"]}, "parameters"),
            ({"parameters": "--model_refs a"}, "parameters"),
            ({"parameters": [1]}, "parameters"),
            ({"profile_id": "x"}, "profile_id"),
        ],
    )
    def test_that_the_vendor_would_refuse_are_refused(self, fields: dict[str, Any], says: str) -> None:
        with pytest.raises(ValidationError, match=says):
            RudderStackProfilesRun(**{"profiles_id": PROJECT, **fields})

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(ValidationError):
            RudderStackProfilesRun(profiles_id=PROJECT).profiles_id = "other"  # type: ignore[misc]

    def test_the_project_is_the_target(self) -> None:
        assert RudderStackProfilesRun(profiles_id=PROJECT).target == PROJECT

    def test_a_window_fills_what_the_user_left_open(self) -> None:
        begin, end = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
        filled = RudderStackProfilesRun(profiles_id=PROJECT, end_time="2026-01-01T12:00:00Z").in_window(begin, end)
        assert filled.api_parameters() == ["--begin_time 2026-01-01T00:00:00Z", "--end_time 2026-01-01T12:00:00Z"]

    def test_it_takes_no_gate(self) -> None:
        assert not RudderStackProfilesRun.data_checks

    def test_it_cannot_be_cancelled_and_says_where_to_stop_it(self, rudderstack: RudderStackResource) -> None:
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        assert not run.can_cancel
        assert "https://app.rudderstack.com" in run.where_to_stop
        with pytest.raises(NotImplementedError):
            run.cancel(rudderstack, "r")


class TestRefusals:
    def test_409_is_a_conflict_with_a_run_that_is_going(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        start(rudderstack)
        with pytest.raises(ConflictError, match="already running") as raised:
            start(rudderstack)
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        assert run.is_conflict_with_going_run(raised.value)
        assert not run.is_conflict_with_going_run(ServerError("x", vendor="RudderStack"))
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts("rudderstack") == 1

    def test_a_wrong_token(self, sandbox: Sandbox) -> None:
        resource = RudderStackResource(access_token="wrong-token", base_url=f"{sandbox.url}/rudderstack")
        with pytest.raises(AuthenticationError, match="credentials"):
            start(resource)

    def test_an_unknown_project(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(NotFoundError, match="2hkeNone"):
            start(rudderstack, profiles_id="2hkeNone")

    def test_an_unknown_parameter_is_told_in_the_vendors_words(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(InvalidRequestError, match=r"--verbose.*not allowed"):
            start(rudderstack, parameters=["--verbose yes"])

    @pytest.mark.parametrize("run_id", ["../x", "..", "a/b", "?", "x?y", "", "a%2Fb", "a\nb", "#", "../../start"])
    def test_no_run_id_reaches_another_endpoint(
        self, run_id: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        with pytest.raises(VendorError):
            look(rudderstack, run_id)
        for request in sandbox.requests("rudderstack"):
            assert request.path.split("/")[:6] == ["", "rudderstack", "v2", "sources", PROJECT, "runs"]
            assert len(request.path.split("/")) == 8
        assert sandbox.starts("rudderstack") == 0

    @pytest.mark.parametrize(
        ("status", "body", "kind", "code", "detail"),
        [
            (400, {"message": "bad"}, InvalidRequestError, None, "bad"),
            (400, {"error": "bad"}, InvalidRequestError, None, "bad"),
            (400, {"message": "bad", "code": "E1"}, InvalidRequestError, "E1", "bad"),
            (400, {"message": "bad", "code": 17}, InvalidRequestError, "17", "bad"),
            (400, {"message": "bad", "details": {"a": "b"}}, InvalidRequestError, None, "bad {'a': 'b'}"),
            (400, {"error": {"message": "bad", "code": "E2"}}, InvalidRequestError, "E2", "bad"),
            (400, {"error": {"error": "bad"}}, InvalidRequestError, None, "bad"),
            (400, {"error": ["bad"]}, InvalidRequestError, None, "['bad']"),
            (401, "Invalid Authorization Header", AuthenticationError, None, "Invalid Authorization Header"),
            (403, {"message": "Feature is not enabled for your account"}, PermissionDeniedError, None, None),
            (500, {"error": {}}, ServerError, None, '{"error":{}}'),
            (500, ["x"], ServerError, None, '["x"]'),
            (500, "boom", ServerError, None, None),
        ],
    )
    def test_an_error_is_read_in_every_shape(
        self,
        status: int,
        body: Any,
        kind: type[VendorError],
        code: str | None,
        detail: str | None,
        sandbox: Sandbox,
        rudderstack: RudderStackResource,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            start(rudderstack)
        assert type(raised.value) is kind
        assert raised.value.code == code
        if detail is not None:
            assert raised.value.detail == detail


class TestStates:
    @pytest.mark.parametrize(
        ("word", "error", "state"),
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
    def test_are_told_by_word_and_error(
        self, word: str, error: Any, state: RunState, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        body = {"status": word} if error is None else {"status": word, "error": error}
        sandbox.add_fault(Fault("status", status=200, body=body))
        status = look(rudderstack, "r")
        assert (status.state, status.word) == (state, word)

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            ("boom", "boom"),
            ({"message": "boom", "code": 7}, "boom"),
            ({"error": "boom"}, "boom"),
            (["boom"], "['boom']"),
        ],
    )
    def test_the_error_is_told_in_the_vendors_words(
        self, error: Any, text: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "failed", "error": error}))
        assert look(rudderstack, "r").error == text

    @pytest.mark.parametrize("spelling", ["camel", "snake"])
    def test_both_spellings_say_the_same(
        self, spelling: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.set_behaviour(PROJECT, Behaviour(spelling=spelling, tasks=["a", "b"], running_seconds=10))
        run_id = start(rudderstack)
        sandbox.advance(7)
        going = look(rudderstack, run_id)
        assert going.state is RunState.RUNNING
        assert going.started_at is not None
        assert going.finished_at is None
        assert [task.task_id for task in going.answer.tasks] == ["a", "b"]
        assert [task.finished_at is not None for task in going.answer.tasks] == [True, False]
        sandbox.advance(60)
        ended = look(rudderstack, run_id)
        assert ended.state is RunState.SUCCEEDED
        assert ended.duration_seconds == pytest.approx(10, abs=0.01)

    @pytest.mark.parametrize("mixed", [True, False])
    def test_the_documented_example_is_read(
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
        status = look(rudderstack, "r")
        assert status.started_at == datetime(2024, 5, 31, 6, 48, 8, 228000, tzinfo=timezone.utc)
        assert status.duration_seconds == 60

    @pytest.mark.parametrize(
        "time", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "soon", [], {}, True]
    )
    def test_a_time_that_is_none_yet_does_not_hide_the_state(
        self, time: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "running", "finishedAt": time}))
        status = look(rudderstack, "r")
        assert status.state is RunState.RUNNING
        assert status.finished_at is None

    def test_a_time_at_the_end_of_times_does_not_hide_the_state(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        body = {"status": "running", "finishedAt": "9999-12-31T23:59:59-05:00"}
        sandbox.add_fault(Fault("status", status=200, body=body))
        assert look(rudderstack, "r").state is RunState.RUNNING

    @pytest.mark.parametrize(
        "tasks", [None, "wht", 7, {}, {"taskId": "a"}, [None], ["a"], [[]], [{"taskId": 7, "startedAt": "x"}], [{}]]
    )
    def test_strange_tasks_do_not_hide_the_state(
        self, tasks: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "finished", "tasks": tasks}))
        status = look(rudderstack, "r")
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
    def test_a_body_without_a_state_is_quoted(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        # A text as a fault's body would be sent as text.
        given = json.dumps(body) if isinstance(body, str) else body
        sandbox.add_fault(Fault("status", status=200, body=given))
        with pytest.raises(UnexpectedResponseError) as raised:
            look(rudderstack, "r")
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize(
        "body", [{}, {"runId": None}, {"runId": ""}, {"runId": 7}, {"id": "r"}, [], {"runId": {"id": "r"}}]
    )
    def test_a_start_without_an_id_may_have_started_something(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            start(rudderstack)
        assert raised.value.may_have_been_accepted

    @pytest.mark.parametrize("name", ["runId", "run_id"])
    def test_both_spellings_of_the_runs_id_are_taken(
        self, name: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={name: "r7"}))
        assert start(rudderstack) == "r7"


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> RudderStackResource:
    return RudderStackResource(access_token="t0ken", base_url=origin.url)


class TestAnyBody:
    """No body of a vendor's makes anything but an error of ours, or a result that Dagster can keep."""

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
    def test_of_a_status(self, body: Any, origin: Origin, at_origin: RudderStackResource) -> None:
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
    def test_of_a_start(self, body: Any, origin: Origin, at_origin: RudderStackResource) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        with contextlib.suppress(UnexpectedResponseError):
            assert start(at_origin)

    @few
    @given(body=close_to({"error": anything, "message": anything, "code": anything, "details": anything}))
    def test_of_an_error(self, body: Any, origin: Origin, at_origin: RudderStackResource) -> None:
        origin.replies = [Reply(409, json.dumps(body))]
        with pytest.raises(ConflictError):
            start(at_origin)


@pytest.mark.usefixtures("clock")
class TestAsAnAsset:
    def test_a_good_run_shows_its_tasks(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behaviour(PROJECT, Behaviour(tasks=["wht", "features"], running_seconds=8))
        result = run_profiles(sandbox, instance)
        assert result.success
        table = metadata(instance, "features")["rudderstack/tasks"]
        assert [record.data["task"] for record in table.records] == ["wht", "features"]
        assert [record.data["seconds"] for record in table.records] == [4.0, 4.0]
        assert checks(result)["run_status"].passed

    @pytest.mark.parametrize("style", ["failed", "finished_with_error"])
    @pytest.mark.parametrize("spelling", ["camel", "snake"])
    def test_both_ways_to_fail_are_failures(
        self, style: str, spelling: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        behaviour = Behaviour(outcome="fail", error="no column AMOUNT", failure_style=style, spelling=spelling)
        sandbox.set_behaviour(PROJECT, behaviour)
        result = run_profiles(sandbox, instance)
        assert not result.success
        assert "no column AMOUNT" in failure(result)

    def test_an_unknown_word_with_an_end_is_an_error_that_quotes_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", word="Vaporized", ended=True, method="GET"))
        result = run_profiles(sandbox, instance)
        assert not result.success
        assert "'Vaporized'" in failure(result)

    def test_an_unknown_word_without_an_end_is_waited_for(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("unknown_state", word="pondering", method="GET", times=3))
        assert run_profiles(sandbox, instance).success

    @pytest.mark.parametrize("where", ["jobs that are going", "the end"])
    def test_a_strange_answer_is_looked_past(self, where: str, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        skip = 0 if where == "jobs that are going" else 4
        sandbox.add_fault(Fault("missing_field", field="status", method="GET", times=2, skip=skip))
        sandbox.add_fault(Fault("wrong_type", field="status", value=None, method="GET", times=2, skip=skip))
        assert run_profiles(sandbox, instance).success
        assert sandbox.starts("rudderstack") == 1
