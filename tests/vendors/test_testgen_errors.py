"""TestGen: errors of every format, and jobs that no longer exist."""

from typing import Any

import pytest

from dagster_runs import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    TestGenResource,
    UnexpectedResponseError,
    VendorError,
)
from dagster_runs.sandbox import Fault, Sandbox
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt, group_run, suite_run

UNKNOWN = "00000000-0000-4000-8000-000000000000"


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
    def test_errors_of_every_format_are_parsed(
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
    def test_wrong_token_raises_authentication_error(self, testgen_at: TestGenMaker) -> None:
        with pytest.raises(AuthenticationError, match="Invalid or expired token"):
            suite_run().start(testgen_at("testgen", access_token="wrong-token"), attempt())

    @pytest.mark.parametrize("run", [suite_run(UNKNOWN), group_run(UNKNOWN)], ids=["suite", "table group"])
    @pytest.mark.covers("testgen.login.roles-edit-to-submit-cancel", "testgen.error.404-not-found")
    def test_unknown_target_raises_not_found(self, run: Any, testgen: TestGenResource) -> None:
        with pytest.raises(NotFoundError, match="has no access to the object"):
            run.start(testgen, attempt())


class TestLostJob:
    """A 404 means that the job is lost only if TestGen itself says so; a lost job is started again."""

    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers("testgen.endpoint.status", "testgen.error.404-not-found")
    def test_is_recognized_by_the_testgen_error(self, mount: str, testgen_at: TestGenMaker) -> None:
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
    def test_is_not_inferred_from_a_missing_route(self, body: Any, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.add_fault(Fault("status", status=404, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            testgen.get_job(UNKNOWN)
        assert raised.value.status == 404
        assert not raised.value.is_permanent

    def test_is_not_inferred_from_another_server(self, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        with pytest.raises(UnexpectedResponseError):
            testgen_at("testgen", base_url=f"{sandbox.url}/nothing-here").get_job(UNKNOWN)
