"""TestGen: what is sent, the states of jobs, errors in all their shapes, and canceling."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestRun,
    UnexpectedResponseError,
    VendorError,
    __version__,
)
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.vendors.testgen.runs import CORRELATION_ID
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt, group_run, suite_run

UNKNOWN = "00000000-0000-4000-8000-000000000000"


class TestAddress:
    __test__ = True

    @pytest.mark.parametrize(
        "base_url",
        [
            "https://tg.example.com",
            "https://tg.example.com/",
            "https://tg.example.com/api/v1",
            " https://tg.example.com/api/v1/ ",
        ],
    )
    @pytest.mark.covers("testgen.rule.address-with-or-without")
    def test_is_taken_with_and_without_the_apis_path(self, base_url: str) -> None:
        resource = TestGenResource(base_url=base_url, access_token="t0ken")
        assert resource.http().base_url == "https://tg.example.com/api/v1"

    def test_is_needed(self) -> None:
        with pytest.raises(ValidationError, match="base_url"):
            TestGenResource(access_token="t0ken")  # type: ignore[call-arg]

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"client_id": "a"},
            {"client_id": "a", "client_secret": "b"},
            {"client_secret": "b", "refresh_token": "c"},
            {"access_token": "t", "client_id": "a"},
            {"access_token": "t", "client_id": "a", "client_secret": "b", "refresh_token": "c"},
        ],
    )
    @pytest.mark.covers("testgen.login.bearer-token-jwt")
    def test_needs_one_way_to_log_in(self, fields: dict[str, str]) -> None:
        with pytest.raises(ValidationError, match="access_token"):
            TestGenResource(base_url="https://tg.example.com", **fields)


class TestWhatIsSent:
    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers(
        "testgen.endpoint.start-tests",
        "testgen.parameter.external-url",
        "testgen.parameter.metadata",
        "testgen.field.id",
    )
    def test_a_test_run_is_marked_as_ours(self, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        run_id = suite_run().start(testgen_at(mount), attempt(correlation_id="c1", dagster_url="https://d/runs/x"))
        [request] = sandbox.requests(mount)
        assert request.path == f"/{mount}/api/v1/test-suites/{well_known.SUITE_CLEAN}/test-runs"
        assert request.body == {
            "external_url": "https://d/runs/x",
            "metadata": {CORRELATION_ID: "c1", "dagster/run_id": "dagster-run-1"},
        }
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert (request.status, request.started_run) == (202, run_id)

    @pytest.mark.covers("testgen.parameter.external-url")
    def test_what_is_not_known_is_not_sent(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run().start(testgen, attempt())
        assert set(sandbox.requests("testgen")[0].body) == {"metadata"}

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers("testgen.endpoint.start-profiling")
    def test_profiling_has_no_body(self, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        group_run().start(testgen_at(mount), attempt())
        [request] = sandbox.requests(mount)
        assert request.path == f"/{mount}/api/v1/table-groups/{well_known.TABLE_GROUP}/profiling-runs"
        assert request.body is None


class TestMatchSchemaName:
    __test__ = True

    @pytest.mark.covers("testgen.parameter.match-schema-name")
    def test_is_sent_to_a_server_that_heeds_it(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run(match_schema_name="other").start(testgen, attempt())
        assert sandbox.requests("testgen")[-1].body["match_schema_name"] == "other"

    @pytest.mark.covers("testgen.endpoint.openapi", "testgen.parameter.match-schema-name")
    def test_is_refused_where_the_server_would_ignore_it(self, sandbox: Sandbox, testgen_old: TestGenResource) -> None:
        with pytest.raises(InvalidRequestError, match=r"ignores match_schema_name.*5\.134") as raised:
            suite_run(match_schema_name="other").start(testgen_old, attempt())
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts() == 0

    def test_is_not_asked_about_where_it_is_not_wanted(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run().start(testgen, attempt())
        assert len(sandbox.requests("testgen")) == 1

    def test_a_server_that_cannot_be_asked_has_started_nothing(
        self, sandbox: Sandbox, testgen_at: TestGenMaker
    ) -> None:
        sandbox.add_fault(Fault("status", status=503, path="openapi"))
        with pytest.raises(ServerError) as raised:
            suite_run(match_schema_name="other").start(testgen_at("testgen", max_retries=0), attempt())
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts() == 0


class TestIds:
    __test__ = True

    @pytest.mark.parametrize(
        "an_id", ["", "orders", "../x", UNKNOWN[:-1], f"{UNKNOWN}0", f"{UNKNOWN}/x", "{partition_key", None, 7]
    )
    @pytest.mark.covers("testgen.parameter.test-suite-id", "testgen.parameter.table-group-id")
    def test_that_are_no_uuids_are_refused(self, an_id: Any) -> None:
        with pytest.raises(ValidationError):
            TestGenTestRun(test_suite_id=an_id)
        with pytest.raises(ValidationError):
            TestGenProfilingRun(table_group_id=an_id)

    def test_a_refusal_says_where_to_find_one(self) -> None:
        with pytest.raises(ValidationError, match="'orders' is not a UUID; copy the id from the URL of its page"):
            TestGenTestRun(test_suite_id="orders")

    @pytest.mark.parametrize("spell", [str.upper, lambda an_id: an_id.replace("-", ""), lambda an_id: f"{{{an_id}}}"])
    @pytest.mark.covers("testgen.parameter.test-suite-id")
    def test_of_other_spellings_are_made_canonical(self, spell: Any) -> None:
        assert TestGenTestRun(test_suite_id=spell(UNKNOWN)).target == UNKNOWN

    @pytest.mark.parametrize(
        "job_id",
        ["../x", "..", "", "a/b", "?", "a%2Fb", "a\nb", "#", f"../test-suites/{well_known.SUITE_CLEAN}/test-runs"],
    )
    @pytest.mark.covers("testgen.parameter.job-id")
    def test_no_job_id_reaches_another_endpoint(self, job_id: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        for call in (testgen.get_job, testgen.cancel_job, testgen.get_test_run, testgen.get_profiling_run):
            with pytest.raises(VendorError):
                call(job_id)
        for request in sandbox.requests("testgen"):
            assert len(request.path.split("/")) in (6, 7)
            assert request.path.split("/")[4] in ("jobs", "test-runs", "profiling-runs")
        assert sandbox.starts() == 0


WORDS = {
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

    @pytest.mark.parametrize("word", WORDS)
    @pytest.mark.parametrize("spell", [str, str.upper, lambda word: word.replace("_", " ").title()])
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
    def test_each_of_the_thirteen_words(
        self, word: str, spell: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("unknown_state", state=spell(word)))
        status = suite_run().fetch_status(testgen, run_id)
        assert (status.state, status.vendor_status) == (WORDS[word], spell(word))

    @pytest.mark.parametrize("word", ["succeeded", "cancelled", "incomplete", "completed_with_errors", "?", "🎉"])
    @pytest.mark.covers("testgen.state.any-other-word")
    def test_an_unknown_word_is_no_end(self, word: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("unknown_state", state=word))
        assert suite_run().fetch_status(testgen, run_id).state is RunState.UNKNOWN

    @pytest.mark.parametrize("value", [None, "", 7, [], {}])
    @pytest.mark.covers("testgen.field.job-status")
    def test_no_word_is_an_error_that_quotes_the_answer(
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
    def test_times_and_error_come_along(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
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
    def test_a_strange_time_does_not_hide_the_state(
        self, time: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("wrong_type", field="completed_at", value=time))
        assert suite_run().fetch_status(testgen, run_id).state is RunState.QUEUED


class TestErrors:
    __test__ = True

    @pytest.mark.parametrize(
        ("status", "body", "kind", "code", "detail"),
        [
            (401, {"detail": "Not authenticated"}, AuthenticationError, None, "Not authenticated"),
            (404, {"detail": "Not Found"}, NotFoundError, None, "Not Found"),
            (
                404,
                {"detail": {"errors": [{"code": "not_found", "detail": "Not found"}]}},
                NotFoundError,
                "not_found",
                "Not found",
            ),
            (
                409,
                {"detail": {"errors": [{"code": "a", "detail": "first"}, {"code": "b", "detail": "second"}]}},
                ConflictError,
                "a",
                "first",
            ),
            (
                422,
                {"detail": [{"type": "extra_forbidden", "loc": ["body", "x", 0], "msg": "Extra inputs", "input": 1}]},
                InvalidRequestError,
                "validation",
                "body.x.0: Extra inputs",
            ),
            (422, {"detail": []}, InvalidRequestError, "validation", None),
            (400, {"error": "invalid_grant"}, InvalidRequestError, "invalid_grant", "invalid_grant"),
            (
                400,
                {"error": "invalid_request", "error_description": "Missing x"},
                InvalidRequestError,
                "invalid_request",
                "Missing x",
            ),
            (500, "Internal Server Error", ServerError, None, None),
            (502, "<html><body>Bad Gateway</body></html>", ServerError, None, None),
            (500, {"detail": None}, ServerError, None, '{"detail":null}'),
            (500, {"detail": {}}, ServerError, None, '{"detail":{}}'),
            (500, {"detail": {"errors": []}}, ServerError, None, None),
            (500, {"detail": {"errors": ["x"]}}, ServerError, None, None),
            (500, {"detail": ["x"]}, ServerError, None, '{"detail":["x"]}'),
            (500, {}, ServerError, None, "{}"),
            (500, [], ServerError, None, "[]"),
            (503, {"error": {"code": 503, "message": "upstream"}}, ServerError, None, None),
            (500, {"detail": {"errors": [{"code": 5, "detail": {"a": 1}}]}}, ServerError, None, None),
            (500, {"error": 5}, ServerError, None, None),
        ],
    )
    @pytest.mark.covers(
        "testgen.error.detail-as-text",
        "testgen.error.400",
        "testgen.error.422-fields",
        "testgen.error.invalid-generation-set",
    )
    def test_are_read_in_every_shape(
        self,
        status: int,
        body: Any,
        kind: type[VendorError],
        code: str | None,
        detail: str | None,
        sandbox: Sandbox,
        testgen_at: TestGenMaker,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            suite_run().start(testgen_at("testgen", max_retries=0), attempt())
        assert type(raised.value) is kind
        assert raised.value.vendor == "TestGen"
        assert raised.value.status == status
        if code is not None:
            assert raised.value.code == code
        if detail is not None:
            assert raised.value.detail == detail
        if isinstance(body, str):
            assert body in raised.value.detail

    @pytest.mark.covers("testgen.login.bearer-token-jwt")
    def test_a_wrong_token(self, testgen_at: TestGenMaker) -> None:
        with pytest.raises(AuthenticationError, match="Invalid or expired token"):
            suite_run().start(testgen_at("testgen", access_token="wrong-token"), attempt())

    @pytest.mark.parametrize("run", [suite_run(UNKNOWN), group_run(UNKNOWN)], ids=["suite", "table group"])
    @pytest.mark.covers("testgen.login.roles-edit-to-submit-cancel", "testgen.error.404-not-found")
    def test_an_unknown_target(self, run: Any, testgen: TestGenResource) -> None:
        with pytest.raises(NotFoundError, match="has no access to the object"):
            run.start(testgen, attempt())


class TestAJobThatIsGone:
    """404 means that the job is lost only if TestGen itself says so; a lost job is started anew."""

    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers("testgen.endpoint.status", "testgen.error.404-not-found")
    def test_is_told_by_testgens_own_words(self, mount: str, testgen_at: TestGenMaker) -> None:
        with pytest.raises(NotFoundError):
            testgen_at(mount).get_job(UNKNOWN)

    @pytest.mark.parametrize(
        "body",
        [
            {"detail": "Not Found"},
            {"error": "Not Found"},
            {"error": "Not Found", "status": 404, "path": "/api/v1/jobs"},
            {"detail": {"errors": [{"code": "no_such_route", "detail": "x"}]}},
            {"detail": [{"loc": [], "msg": "x"}]},
            {"message": "no Route matched with those values"},
            {},
            "404 page not found",
            "<html><body>404</body></html>",
            "default backend - 404",
        ],
    )
    @pytest.mark.covers("testgen.error.404-no-route")
    def test_is_not_told_by_a_route_that_is_gone(self, body: Any, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.add_fault(Fault("status", status=404, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            testgen.get_job(UNKNOWN)
        assert raised.value.status == 404
        assert not raised.value.is_permanent

    def test_is_not_told_by_another_server(self, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        with pytest.raises(UnexpectedResponseError):
            testgen_at("testgen", base_url=f"{sandbox.url}/nothing-here").get_job(UNKNOWN)


class TestCanceling:
    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.parametrize("run", [suite_run(), group_run()], ids=["tests", "profiling"])
    @pytest.mark.covers("testgen.endpoint.cancel", "testgen.state.cancel-requested")
    def test_ends_canceled(self, mount: str, run: Any, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        resource = testgen_at(mount)
        run_id = run.start(resource, attempt())
        sandbox.advance(4)
        run.cancel(resource, run_id)
        assert run.fetch_status(resource, run_id).vendor_status == "cancel_requested"
        run.cancel(resource, run_id)  # harmless
        sandbox.advance(10)
        assert run.fetch_status(resource, run_id).state is RunState.CANCELED

    @pytest.mark.covers("testgen.error.409-cancel-after-end")
    def test_what_has_ended_is_a_conflict(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.advance(100)
        with pytest.raises(ConflictError, match="Cannot cancel job in 'completed' status"):
            suite_run().cancel(testgen, run_id)

    @pytest.mark.usefixtures("clock")
    def test_is_sent_again_when_its_answer_is_lost(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(cancel_seconds=100), vendor="testgen")
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("lost_response", path="/cancel", times=1))
        sandbox.add_fault(Fault("status", status=503, path="/cancel", times=1))
        suite_run().cancel(testgen, run_id)
        assert sandbox.runs("testgen")[0].cancel_requested_at is not None


@pytest.mark.covers("testgen.endpoint.status", "testgen.field.job-started-at")
def test_the_recorded_answers_of_real_servers_are_read(sandbox: Sandbox, testgen: TestGenResource) -> None:
    """The job object as 5.134.0 sent it: all fields there, null until set, and some that we do not know."""
    body = json.loads(
        '{"id":"3b1f","job_key":"run-tests","status":"pending","source":"api","created_at":"2026-11-22T17:51:49.771437Z",'
        '"claimed_at":null,"started_at":null,"completed_at":null,"error_message":null,"later":{"added":true}}'
    )
    sandbox.add_fault(Fault("status", status=200, body=body))
    status = suite_run().fetch_status(testgen, "3b1f")
    assert status.state is RunState.QUEUED
    assert status.created_at is not None
    assert status.created_at.microsecond == 771437
