"""Any TestGen response gives either a package error or a result that Dagster can store."""

import contextlib
import json
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import ConflictError, QualityGate, TestGenResource, UnexpectedResponseError, VendorError
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times
from tests.vendors.testgen_runs import attempt, check, group_run, suite_run

texts = st.none() | st.text(max_size=5)
counted = st.integers(min_value=-3, max_value=50)
scores = st.none() | st.floats(min_value=0, max_value=1) | st.sampled_from([float("nan"), float("inf"), 10**400, "0.5"])
test_counts = close_to(dict.fromkeys(("passed", "failed", "warning", "error", "log", "dismissed"), counted))
hygiene = close_to(dict.fromkeys(("definite", "likely", "possible", "dismissed"), counted))
issue_counts = hygiene | close_to(
    {"hygiene_issues": hygiene, "potential_pii": close_to({"high": counted, "moderate": counted}), "dismissed": counted}
)
jobs = close_to(
    {
        "id": st.text(max_size=5),
        "status": st.sampled_from(["pending", "running", "completed", "error", "canceled", "Completed"]),
        "source": st.sampled_from(["api", "ui", "scheduler"]),
        "created_at": times,
        "started_at": times,
        "completed_at": times,
        "error_message": texts,
    }
)
test_runs = close_to(
    {
        "test_suite_id": texts,
        "metadata": st.none() | st.dictionaries(st.text(max_size=5), anything, max_size=2),
        "result": close_to({"score": scores, "tests": test_counts, "result_counts": test_counts}),
    }
)
profiling_runs = close_to(
    {
        "table_group_id": texts,
        "result": close_to(
            {
                "score": scores,
                "table_ct": counted,
                "column_ct": counted,
                "record_ct": counted,
                "issues": issue_counts,
                "issue_counts": issue_counts,
            }
        ),
    }
)
GATE = QualityGate(min_score=0.5)


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> TestGenResource:
    return TestGenResource(base_url=origin.url, access_token="t0ken", project_code="P", max_retries=0)


def respond_with(origin: Origin, body: Any, status: int = 200) -> None:
    origin.replies = [Reply(status, json.dumps(body))]


def assert_dagster_accepts(result: RunResult) -> None:
    """Checks that Dagster accepts the result."""
    dg.AssetMaterialization("a", metadata=dict(result.metadata))
    for outcome in result.checks:
        dg.AssetCheckResult(
            passed=outcome.passed, check_name=outcome.name, asset_key="a", metadata=dict(outcome.metadata)
        )


@few
@given(body=jobs)
@example(body={"id": "a", "status": "running", "completed_at": "9999-12-31T23:59:59-05:00"})
@pytest.mark.covers("testgen.field.job-job-key")
def test_any_job_body_gives_a_status_or_an_error(body: Any, origin: Origin, at_origin: TestGenResource) -> None:
    respond_with(origin, body)
    with contextlib.suppress(UnexpectedResponseError):
        status = suite_run().fetch_status(at_origin, "j")
        assert status.vendor_status == body["status"]


@few
@given(body=test_runs)
@example(body={"result": {"score": float("nan"), "tests": {"passed": 1, "failed": 0, "warning": 0, "error": 0}}})
@example(body={"result": {"score": 1.0, "tests": {"passed": 0, "failed": 0, "warning": 0, "error": 0}}})
def test_any_test_run_body_gives_a_valid_result_or_an_error(
    body: Any, origin: Origin, at_origin: TestGenResource
) -> None:
    respond_with(origin, body)
    with contextlib.suppress(UnexpectedResponseError):
        result = suite_run().fetch_result(at_origin, "j", RunStatus(RunState.FAILED, "error"), GATE)
        assert_dagster_accepts(result)
        if check(result, "quality_score").passed:
            assert float(body["result"]["score"]) >= 0.5
        if check(result, "tests_passed").passed:
            counts = body["result"].get("result_counts", body["result"].get("tests"))
            assert int(counts["failed"]) + int(counts["error"]) <= 0


@few
@given(body=profiling_runs)
@pytest.mark.covers("testgen.field.profiling-run-result")
def test_any_profiling_run_body_gives_a_valid_result_or_an_error(
    body: Any, origin: Origin, at_origin: TestGenResource
) -> None:
    respond_with(origin, body)
    with contextlib.suppress(UnexpectedResponseError):
        result = group_run().fetch_result(at_origin, "j", RunStatus(RunState.FAILED, "error"), GATE)
        assert_dagster_accepts(result)
        if check(result, "hygiene_issues").passed:
            assert body["result"]["table_ct"] != 0


@few
@given(body=close_to({"items": st.lists(jobs, max_size=2), "page": counted, "limit": counted, "total": counted}))
@pytest.mark.covers("testgen.field.list-items", "testgen.field.list-page")
def test_any_job_list_gives_candidates_or_an_error(body: Any, origin: Origin, at_origin: TestGenResource) -> None:
    # The next requests get the same body.
    respond_with(origin, body)
    with contextlib.suppress(VendorError):
        for found in suite_run().find_started(at_origin, attempt()) or []:
            assert not found.is_ours


@few
@given(
    body=close_to(
        {
            "items": st.lists(
                close_to(dict.fromkeys(("test_type", "table_name", "result_status", "result_message"), texts)),
                max_size=2,
            ),
            "total": counted,
        }
    )
)
@pytest.mark.covers("testgen.field.results-items")
def test_any_result_list_gives_a_table_or_an_error(body: Any, origin: Origin, at_origin: TestGenResource) -> None:
    respond_with(origin, body)
    with contextlib.suppress(UnexpectedResponseError):
        from dagster_runs.vendors.testgen.outcomes import failing_tests

        failing_tests("failing", at_origin.list_failing_tests("j", "failed", 5), None)


@few
@given(body=close_to({"id": st.text(max_size=5)}))
@pytest.mark.covers("testgen.field.id")
def test_any_submission_body_gives_an_id_or_an_error(body: Any, origin: Origin, at_origin: TestGenResource) -> None:
    respond_with(origin, body, 202)
    with contextlib.suppress(UnexpectedResponseError):
        assert suite_run().start(at_origin, attempt())


@few
@given(
    body=close_to(
        {
            "detail": anything
            | st.lists(close_to({"loc": st.lists(texts, max_size=2), "msg": texts}), max_size=2)
            | close_to({"errors": st.lists(close_to({"code": texts, "detail": texts}), max_size=2)}),
            "error": texts,
            "error_description": texts,
        }
    )
)
@example(body={"detail": {"errors": [{"code": 5, "detail": {}}]}})
@example(body={"error": {"code": 503, "message": "upstream"}})
def test_any_error_body_raises_the_error_of_its_status(body: Any, origin: Origin, at_origin: TestGenResource) -> None:
    respond_with(origin, body, 409)
    with pytest.raises(ConflictError):
        suite_run().start(at_origin, attempt())
