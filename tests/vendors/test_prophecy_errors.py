"""Prophecy: messages, rejected starts and failed status checks."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    ProphecyResource,
    ServerError,
    UnexpectedResponseError,
    VendorError,
)
from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.vendors.prophecy.messages import is_permanent, readable, says_run_not_found
from tests.vendors.any_json import few
from tests.vendors.prophecy_runs import PROJECT, get_status, start, status_of

SCALA = (
    "error in triggering pipeline: "
    "Success(Left(sdl.md.client.package$MetadataException: {})) (of class scala.util.Success)"
)


PLAY = (
    "error in triggering pipeline: JsResultException(errors:List((/fabricId,"
    "List(JsonValidationError(List(error.expected.jsnumber),ArraySeq()))), "
    "(/projectId,List(JsonValidationError(List(error.path.missing),ArraySeq())))))"
)


class TestMessages:
    @pytest.mark.parametrize(
        ("msg", "text"),
        [
            (SCALA.format("Fabric `7` not found"), "error in triggering pipeline: Fabric `7` not found"),
            (SCALA.format("no (such) fabric"), "error in triggering pipeline: no (such) fabric"),
            (PLAY, "error in triggering pipeline: /fabricId: error.expected.jsnumber; /projectId: error.path.missing"),
            ("JsResultException(errors:List((,List(JsonValidationError(List(error.expected.jsobject),ArraySeq())))))",
             "the body: error.expected.jsobject"),
            ("com.fasterxml.jackson.core.JsonParseException: Unexpected character", "Unexpected character"),
            ("Left(ExecutionError(fabric (eu) is down))", "fabric (eu) is down"),
            ("Failure(java.net.ConnectException: Connection refused)", "Connection refused"),
            ("Some(\"quoted\")", "quoted"),
            ("java.lang.NullPointerException: null", "java.lang.NullPointerException: null"),
            ("app.prophecy.io: connection refused", "app.prophecy.io: connection refused"),
            ("Left(cut off", "Left(cut off"),
            ("Left()", "Left()"),
            ("plain text (with a remark)", "plain text (with a remark)"),
        ],
    )  # fmt: skip
    @pytest.mark.covers("prophecy.error.scala-flavoured-msg")
    def test_are_reported_without_scala_wrappers(self, msg: str, text: str) -> None:
        assert readable(msg) == text

    @given(msg=st.text() | st.text(alphabet="()Left.$aError: ", min_size=1))
    @example(msg="Left(" * 500)
    @example(msg="Left(" * 500 + ")" * 500)
    @example(msg="a." * 20_000)
    @few
    def test_any_text_gives_a_readable_message(self, msg: str) -> None:
        assert isinstance(readable(msg), str)
        assert len(readable(msg)) <= len(msg) + 100
        is_permanent(msg)
        says_run_not_found(msg, "r")

    @pytest.mark.parametrize(
        "msg",
        [
            "Pipeline run not found",
            "Run MDAw== not found",
            "Run with id `MDAw==` was not found",
            "run MDAw== could not be found",
            "No run with id MDAw==",
            "run MDAw== does not exist",
            "Cannot find run MDAw==.",
        ],
    )
    @pytest.mark.covers("prophecy.field.run-msg")
    def test_run_not_found_messages_are_recognized(self, msg: str) -> None:
        assert says_run_not_found(msg, "MDAw==")

    @pytest.mark.parametrize(
        "msg",
        [
            "The run's project 41459 was not found",
            "Could not run the status query, fabric 33290 was not found",
            "Failed to fetch run status, token not found",
            "Failed to get run: session not found",
            "Cannot run request as user not found",
            "Pipeline run service: host not found",
            "Run MDBx== not found",
            "Cannot find run MDAw== in the cache, asking the fabric",
        ],
    )
    @pytest.mark.covers("prophecy.field.run-msg")
    def test_other_not_found_messages_do_not_mean_a_lost_run(self, msg: str) -> None:
        assert not says_run_not_found(msg, "MDAw==")


class TestRejections:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"fabric_id": 7}, "Fabric with uid `7` not found"),
            ({"project_id": "7"}, "Project with uid `7` not found"),
            ({"pipeline_name": "x"}, f"Pipeline with name `x` not found in project `{PROJECT}`"),
        ],
    )
    @pytest.mark.covers("prophecy.field.start-success", "prophecy.field.start-msg", "prophecy.error.success")
    def test_success_false_with_200_raises_with_the_vendor_message(
        self, fields: Any, expected: str, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        with pytest.raises(InvalidRequestError) as raised:
            start(prophecy, **fields)
        error = raised.value
        assert error.detail == f"error in triggering pipeline: {expected}"
        assert (error.status, error.is_permanent, error.may_have_been_accepted) == (200, True, False)
        assert sandbox.starts("prophecy") == 0

    @pytest.mark.parametrize(
        ("body", "detail", "is_permanent"),
        [
            ({"success": False, "msg": PLAY},
             "error in triggering pipeline: /fabricId: error.expected.jsnumber; /projectId: error.path.missing", True),
            ({"success": False, "msg": "Failure(java.net.ConnectException: Connection refused)"},
             "Connection refused", False),
            ({"success": False, "msg": "two\nlines"}, "two lines", False),
            ({"success": False, "msg": {"message": "boom"}}, "boom", False),
            ({"success": False, "runId": "", "msg": "boom"}, "boom", False),
            ({"success": False, "runId": None, "msg": "boom"}, "boom", False),
            ({"success": False}, 'success is false, without a message; the response was {"success": false}', False),
            ({"success": False, "msg": ""},
             'success is false, without a message; the response was {"success": false, "msg": ""}', False),
        ],
    )  # fmt: skip
    @pytest.mark.covers("prophecy.field.start-success", "prophecy.field.start-msg", "prophecy.error.success")
    def test_rejections_of_every_format_are_parsed(
        self, body: Any, detail: str, is_permanent: bool, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(VendorError) as raised:
            start(prophecy)
        error = raised.value
        assert (error.detail, error.is_permanent, error.may_have_been_accepted) == (detail, is_permanent, False)

    @pytest.mark.parametrize(
        "body",
        [
            {"success": True},
            {"success": True, "runId": None},
            {"success": True, "runId": ""},
            {"success": True, "runId": 7.0},
            {"success": False, "runId": "r", "msg": "half"},
            {"runId": "r"},
            {"success": None, "runId": "r"},
            {},
            [],
            5,
        ],
    )
    @pytest.mark.covers("prophecy.field.start-run-id")
    def test_unclear_start_response_may_have_been_accepted(
        self, body: Any, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            start(prophecy)
        assert raised.value.may_have_been_accepted
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.covers("prophecy.login.header-x-auth-token", "prophecy.error.expired-token-401")
    def test_wrong_token_raises_authentication_error(self, sandbox: Sandbox) -> None:
        resource = ProphecyResource(access_token="pat-wrong", base_url=f"{sandbox.url}/prophecy")
        with pytest.raises(AuthenticationError, match="Invalid or expired access token"):
            start(resource)

    @pytest.mark.covers("prophecy.error.expired-token-401")
    def test_login_page_instead_of_json_is_reported(self, sandbox: Sandbox) -> None:
        sandbox.configure("prophecy", invalid_token_response="login_page")
        resource = ProphecyResource(access_token="pat-wrong", base_url=f"{sandbox.url}/prophecy")
        with pytest.raises(UnexpectedResponseError, match=r"HTML instead of JSON.*Sign In.*login page") as raised:
            start(resource)
        # The page may come from a proxy, after the vendor has started the run.
        assert raised.value.may_have_been_accepted

    @pytest.mark.parametrize(
        ("status", "body", "kind", "detail"),
        [
            (401, {"message": "expired"}, AuthenticationError, "expired"),
            (401, {"error": "expired"}, AuthenticationError, "expired"),
            (400, {"msg": "Left(a.b.SomeException: bad)"}, InvalidRequestError, "bad"),
            (500, {"msg": None, "message": "boom"}, ServerError, "boom"),
            (500, {"error": {"message": "boom"}}, ServerError, '{"error":{"message":"boom"}}'),
            (500, ["x"], ServerError, '["x"]'),
            (500, "boom", ServerError, "boom"),
        ],
    )
    @pytest.mark.covers("prophecy.error.msg")
    def test_error_bodies_of_every_format_are_parsed(
        self,
        status: int,
        body: Any,
        kind: type[VendorError],
        detail: str,
        sandbox: Sandbox,
        prophecy: ProphecyResource,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            start(prophecy)
        assert raised.value.detail == detail


class TestFailedStatusCalls:
    @pytest.mark.covers("prophecy.field.run-success", "prophecy.field.run-msg")
    def test_unknown_run_raises_not_found(self, prophecy: ProphecyResource) -> None:
        with pytest.raises(NotFoundError) as raised:
            get_status(prophecy, "MDAw==")
        assert raised.value.detail.startswith("error in fetching pipeline run status: Pipeline run not found (")

    @pytest.mark.parametrize(
        "msg",
        [
            "error in fetching pipeline run status: Project not found",
            "error in fetching pipeline run status: Success(Left(a.b.MetadataException: Fabric `7` not found))",
            "connection to metadata lost",
            "",
            None,
        ],
    )
    @pytest.mark.covers("prophecy.field.run-success", "prophecy.field.run-msg")
    def test_other_errors_do_not_mean_a_lost_run(self, msg: Any, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        with pytest.raises(VendorError) as raised:
            status_of(sandbox, prophecy, {"success": False, "msg": msg})
        assert not isinstance(raised.value, NotFoundError)
        assert not raised.value.is_permanent
