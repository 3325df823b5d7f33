"""TestGen: requests, ids, and canceling."""

from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    ConflictError,
    InvalidRequestError,
    ServerError,
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestRun,
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
    def test_base_url_works_with_and_without_the_api_path(self, base_url: str) -> None:
        resource = TestGenResource(base_url=base_url, access_token="t0ken")
        assert resource.http().base_url == "https://tg.example.com/api/v1"

    def test_base_url_is_required(self) -> None:
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
    def test_exactly_one_login_method_is_required(self, fields: dict[str, str]) -> None:
        with pytest.raises(ValidationError, match="access_token"):
            TestGenResource(base_url="https://tg.example.com", **fields)


class TestRequests:
    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers(
        "testgen.endpoint.start-tests",
        "testgen.parameter.external-url",
        "testgen.parameter.metadata",
        "testgen.field.id",
    )
    def test_test_run_carries_the_correlation_id(self, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
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
    def test_unknown_values_are_not_sent(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
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
    def test_is_sent_to_a_server_that_supports_it(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run(match_schema_name="other").start(testgen, attempt())
        assert sandbox.requests("testgen")[-1].body["match_schema_name"] == "other"

    @pytest.mark.covers("testgen.endpoint.openapi", "testgen.parameter.match-schema-name")
    def test_is_rejected_if_the_server_would_ignore_it(self, sandbox: Sandbox, testgen_old: TestGenResource) -> None:
        with pytest.raises(InvalidRequestError, match=r"ignores match_schema_name.*5\.134") as raised:
            suite_run(match_schema_name="other").start(testgen_old, attempt())
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts() == 0

    def test_needs_no_extra_request_if_it_is_not_set(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run().start(testgen, attempt())
        assert len(sandbox.requests("testgen")) == 1

    def test_failed_support_check_means_that_nothing_was_started(
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
    def test_non_uuids_are_rejected(self, an_id: Any) -> None:
        with pytest.raises(ValidationError):
            TestGenTestRun(test_suite_id=an_id)
        with pytest.raises(ValidationError):
            TestGenProfilingRun(table_group_id=an_id)

    def test_error_says_where_to_find_the_id(self) -> None:
        with pytest.raises(ValidationError, match="'orders' is not a UUID; copy the id from the URL of its page"):
            TestGenTestRun(test_suite_id="orders")

    @pytest.mark.parametrize("spell", [str.upper, lambda an_id: an_id.replace("-", ""), lambda an_id: f"{{{an_id}}}"])
    @pytest.mark.covers("testgen.parameter.test-suite-id")
    def test_other_uuid_formats_are_normalized(self, spell: Any) -> None:
        assert TestGenTestRun(test_suite_id=spell(UNKNOWN)).target == UNKNOWN

    @pytest.mark.parametrize(
        "job_id",
        ["../x", "..", "", "a/b", "?", "a%2Fb", "a\nb", "#", f"../test-suites/{well_known.SUITE_CLEAN}/test-runs"],
    )
    @pytest.mark.covers("testgen.parameter.job-id")
    def test_job_ids_never_reach_another_endpoint(
        self, job_id: str, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        for call in (testgen.get_job, testgen.cancel_job, testgen.get_test_run, testgen.get_profiling_run):
            with pytest.raises(VendorError):
                call(job_id)
        for request in sandbox.requests("testgen"):
            assert len(request.path.split("/")) in (6, 7)
            assert request.path.split("/")[4] in ("jobs", "test-runs", "profiling-runs")
        assert sandbox.starts() == 0


class TestCanceling:
    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.parametrize("run", [suite_run(), group_run()], ids=["tests", "profiling"])
    @pytest.mark.covers("testgen.endpoint.cancel", "testgen.state.cancel-requested")
    def test_canceled_job_ends_as_canceled(
        self, mount: str, run: Any, sandbox: Sandbox, testgen_at: TestGenMaker
    ) -> None:
        resource = testgen_at(mount)
        run_id = run.start(resource, attempt())
        sandbox.advance(4)
        run.cancel(resource, run_id)
        assert run.fetch_status(resource, run_id).vendor_status == "cancel_requested"
        run.cancel(resource, run_id)  # harmless
        sandbox.advance(10)
        assert run.fetch_status(resource, run_id).state is RunState.CANCELED

    @pytest.mark.covers("testgen.error.409-cancel-after-end")
    def test_canceling_an_ended_job_raises_conflict(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = suite_run().start(testgen, attempt())
        sandbox.advance(100)
        with pytest.raises(ConflictError, match="Cannot cancel job in 'completed' status"):
            suite_run().cancel(testgen, run_id)

    @pytest.mark.usefixtures("clock")
    def test_cancel_request_is_sent_again_after_a_lost_response(
        self, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(cancel_seconds=100), vendor="testgen")
        run_id = suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("lost_response", path="/cancel", times=1))
        sandbox.add_fault(Fault("status", status=503, path="/cancel", times=1))
        suite_run().cancel(testgen, run_id)
        assert sandbox.runs("testgen")[0].cancel_requested_at is not None
