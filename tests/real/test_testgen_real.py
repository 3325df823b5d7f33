"""Assets against a real TestGen, with every possible outcome of a job."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
import testgen_fixtures as ids
from lossy_proxy import lossy_proxy
from materializing import Outcome, materialize
from real_testgen import RealTestGen

from dagster_runs import QualityGate, TestGenProfilingRun, TestGenResource, TestGenTestGenerationRun, TestGenTestRun

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen

GATE = QualityGate(min_score=0.95, blocking=True)
TOLERANT_GATE = QualityGate(min_score=0.95, max_failures=1, blocking=True)
UNKNOWN_ID = "c0ffee00-0000-4000-8000-00000000dead"
RUNS: dict[str, TestGenTestRun | TestGenProfilingRun] = {
    "demo": TestGenTestRun(test_suite_id=ids.DEMO_SUITE),
    "clean": TestGenTestRun(test_suite_id=ids.CLEAN_SUITE),
    "badsql": TestGenTestRun(test_suite_id=ids.BADSQL_SUITE),
    "badsql tolerated": TestGenTestRun(test_suite_id=ids.BADSQL_SUITE),
    "empty": TestGenTestRun(test_suite_id=ids.EMPTY_SUITE),
    "down": TestGenTestRun(test_suite_id=ids.DOWN_SUITE),
    "demo profiling": TestGenProfilingRun(table_group_id=ids.DEMO_GROUP),
    "nowhere profiling": TestGenProfilingRun(table_group_id=ids.NOWHERE_GROUP),
    "down profiling": TestGenProfilingRun(table_group_id=ids.DOWN_GROUP),
}
TEST_CHECKS = {"run_status", "tests_passed", "quality_score"}


@pytest.fixture(scope="module")
def resource(testgen_server: RealTestGen) -> TestGenResource:
    os.environ["TESTGEN_TOKEN"] = testgen_server.access_token
    return resource_for(testgen_server, access_token=dg.EnvVar("TESTGEN_TOKEN"))


def resource_for(server: RealTestGen, **changes: Any) -> TestGenResource:
    return TestGenResource(
        **{
            "base_url": server.base_url,
            "project_code": ids.PROJECT,
            "ui_url": "http://127.0.0.1:8501",
            "dagster_url": "http://127.0.0.1:3000",
            "poll_interval": 1,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def outcomes(testgen_server: RealTestGen, resource: TestGenResource) -> dict[str, Outcome]:
    """Starts all `RUNS` at once, because the server needs some seconds for each."""
    before = job_ids(testgen_server)
    gates = {"badsql tolerated": TOLERANT_GATE}

    def outcome_of(name: str) -> Outcome:
        return materialize(RUNS[name], resource, gate=gates.get(name, GATE))

    with ThreadPoolExecutor(len(RUNS)) as pool:
        found = dict(zip(RUNS, pool.map(outcome_of, RUNS), strict=True))
    assert job_ids(testgen_server) - before == {outcome.job_id for outcome in found.values()}
    return found


def job_ids(server: RealTestGen) -> set[str]:
    return {job["id"] for job in server.api.jobs()}


def assert_failed(outcome: Outcome, check: str) -> None:
    evaluation = outcome.checks[check]
    assert not evaluation.passed, check
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR, check


def test_demo_suite_results_are_reported_and_checked(testgen_server: RealTestGen, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["demo"]
    job = testgen_server.api.get(f"/jobs/{outcome.job_id}")
    result = testgen_server.api.get(f"/test-runs/{outcome.job_id}")["result"]
    counts = result["result_counts"]
    assert min(counts[name] for name in ("passed", "failed", "warning", "error")) > 0  # so the comparison is meaningful

    metadata = outcome.metadata
    assert {name: metadata[f"testgen/tests_{name}"] for name in counts} == counts
    assert metadata["testgen/score"] == pytest.approx(result["score"])
    assert metadata["dagster_runs/run_id"] == outcome.job_id
    assert metadata["dagster_runs/vendor"] == "TestGen"
    assert metadata["dagster_runs/state"] == "SUCCEEDED"
    assert "dagster_runs/attached" not in metadata
    assert metadata["dagster_runs/url"] == (
        f"http://127.0.0.1:8501/test-runs:results?project_code=DEFAULT&run_id={outcome.job_id}"
    )
    assert metadata["dagster_runs/started_at"] == pytest.approx(epoch(job["started_at"]), abs=0.001)
    assert metadata["dagster_runs/finished_at"] == pytest.approx(epoch(job["completed_at"]), abs=0.001)
    assert metadata["dagster_runs/duration_seconds"] == pytest.approx(
        epoch(job["completed_at"]) - epoch(job["started_at"]), abs=0.01
    )

    assert set(outcome.checks) == TEST_CHECKS
    assert outcome.checks["run_status"].passed
    assert_failed(outcome, "tests_passed")
    assert_failed(outcome, "quality_score")


def epoch(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def test_failing_tests_are_listed(testgen_server: RealTestGen, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["demo"]
    records = [record.data for record in outcome.metadata["testgen/failing_tests"].records]
    expected = [
        (item["table_name"], item["column_names"], item["result_message"])
        for status in ("failed", "error", "warning")
        for item in testgen_server.api.get(f"/test-runs/{outcome.job_id}/results?status={status}&limit=100")["items"]
    ]
    assert len(records) == len(expected)
    flat = {" ".join(str(value) for value in record.values()) for record in records}
    for table, column, message in expected:
        assert any(table in row and (column or "") in row and message.split(".")[0][:40] in row for row in flat), (
            message
        )


def test_test_generation_shows_how_many_tests_the_suite_has(
    testgen_server: RealTestGen, resource: TestGenResource
) -> None:
    run = TestGenTestGenerationRun(test_suite_id=ids.GENERATED_SUITE, generation_sets=("Standard",))
    outcome = materialize(run, resource)
    assert outcome.failure == ""
    job = testgen_server.api.get(f"/jobs/{outcome.job_id}")
    assert (job["job_key"], job["status"]) == ("run-test-generation", "completed")
    suites = testgen_server.api.get(f"/projects/{ids.PROJECT}/test-suites?limit=100")["items"]
    [count] = [suite["test_count"] for suite in suites if suite["test_suite_id"] == ids.GENERATED_SUITE]
    assert outcome.metadata["testgen/test_count"] == count > 0
    assert set(outcome.checks) == {"run_status"}


def test_failed_gate_blocks_downstream_assets(outcomes: dict[str, Outcome]) -> None:
    assert not outcomes["demo"].downstream_ran
    assert outcomes["clean"].downstream_ran


def test_clean_suite_passes(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["clean"]
    assert outcome.failure == ""
    assert {name: check.passed for name, check in outcome.checks.items()} == dict.fromkeys(TEST_CHECKS, True)
    assert outcome.metadata["testgen/score"] == 1.0
    assert outcome.metadata["testgen/tests_passed"] == 1


def test_broken_test_is_not_a_pass(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["badsql"]
    assert outcome.metadata["testgen/score"] == 1.0  # according to the server
    assert outcome.metadata["testgen/tests_error"] == 1
    assert_failed(outcome, "tests_passed")
    assert not outcome.downstream_ran


def test_tolerated_broken_tests_alone_fail_the_quality_score(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["badsql tolerated"]
    assert outcome.metadata["testgen/score"] == 1.0  # of data that no test examined
    assert_failed(outcome, "quality_score")
    assert not outcome.downstream_ran


def test_empty_suite_is_not_a_pass(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["empty"]
    assert outcome.metadata["testgen/score"] == 1.0  # according to the server
    assert_failed(outcome, "tests_passed")
    assert_failed(outcome, "quality_score")
    assert outcome.checks["run_status"].passed
    assert not outcome.downstream_ran


def test_profiling_results_are_reported_and_checked(testgen_server: RealTestGen, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["demo profiling"]
    result = testgen_server.api.get(f"/profiling-runs/{outcome.job_id}")["result"]
    hygiene, pii = result["issue_counts"]["hygiene_issues"], result["issue_counts"]["potential_pii"]
    assert min(hygiene["definite"], pii["moderate"]) > 0  # so the comparison is meaningful

    metadata = outcome.metadata
    assert metadata["testgen/score"] == pytest.approx(result["score"])
    assert metadata["testgen/table_count"] == result["table_ct"]
    assert metadata["testgen/column_count"] == result["column_ct"]
    assert metadata["testgen/record_count"] == result["record_ct"]
    assert {name: metadata[f"testgen/hygiene_{name}"] for name in hygiene} == hygiene
    assert {name: metadata[f"testgen/pii_{name}"] for name in pii} == pii
    assert f"run_id={outcome.job_id}" in metadata["dagster_runs/url"]
    assert outcome.checks["run_status"].passed
    assert_failed(outcome, "hygiene_issues")


def test_profiling_without_tables_is_not_a_pass(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["nowhere profiling"]
    assert outcome.metadata["testgen/table_count"] == 0
    assert_failed(outcome, "hygiene_issues")
    assert not outcome.downstream_ran


@pytest.mark.parametrize("name", ["down", "down profiling"])
def test_unreachable_database_fails_the_step_but_no_data_check(
    testgen_server: RealTestGen, outcomes: dict[str, Outcome], name: str
) -> None:
    outcome = outcomes[name]
    job = testgen_server.api.get(f"/jobs/{outcome.job_id}")
    assert job["status"] == "error"
    first_line = job["error_message"].splitlines()[0]
    assert outcome.failure
    assert first_line in outcome.failure
    assert set(outcome.checks) == {"run_status"}
    assert_failed(outcome, "run_status")
    assert first_line in str(outcome.checks["run_status"].metadata["error"].value)
    assert not outcome.downstream_ran


def test_server_stores_the_dagster_run_that_requested_a_run(
    testgen_server: RealTestGen, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes["clean"]
    run = testgen_server.api.get(f"/test-runs/{outcome.job_id}")
    assert run["external_url"] == f"http://127.0.0.1:3000/runs/{outcome.dagster_run_id}"
    assert outcome.dagster_run_id in run["metadata"].values()
    other = testgen_server.api.get(f"/test-runs/{outcomes['empty'].job_id}")["metadata"]
    assert not set(run["metadata"].values()) & set(other.values()) - {"dagster-runs", "dagster_runs"}, (
        "nothing in it distinguishes one run from another"
    )


@pytest.mark.parametrize(("on_timeout", "ends"), [("cancel", "canceled"), ("leave", "running")])
def test_timed_out_run_is_canceled_or_left_active(
    testgen_server: RealTestGen, resource: TestGenResource, on_timeout: str, ends: str
) -> None:
    run = TestGenTestRun(test_suite_id=ids.SLOW_SUITE)
    outcome = materialize(run, resource, timeout=4, on_timeout=on_timeout)
    assert outcome.failure
    assert outcome.job_id in outcome.failure
    assert testgen_server.api.wait_for(outcome.job_id, ends)["status"] == ends
    assert "tests_passed" not in outcome.checks
    if ends == "running":
        testgen_server.api.call("POST", f"/jobs/{outcome.job_id}/cancel")


def test_run_canceled_on_the_server_fails_the_step(testgen_server: RealTestGen, resource: TestGenResource) -> None:
    before = job_ids(testgen_server)

    def cancel() -> None:
        deadline = time.monotonic() + 30
        while not (new := job_ids(testgen_server) - before) and time.monotonic() < deadline:
            time.sleep(0.2)
        (job_id,) = new
        testgen_server.api.wait_for(job_id, "running")
        testgen_server.api.call("POST", f"/jobs/{job_id}/cancel")

    person = threading.Thread(target=cancel)
    person.start()
    outcome = materialize(TestGenTestRun(test_suite_id=ids.SLOW_SUITE), resource)
    person.join()
    assert outcome.failure
    assert "canceled" in outcome.failure
    assert set(outcome.checks) == {"run_status"}
    assert_failed(outcome, "run_status")


def test_clients_revoking_each_others_tokens_both_succeed(testgen_server: RealTestGen) -> None:
    grant = testgen_server.login()
    # Neither knows about the other's refreshes, as if it were in another process.
    resources = [
        resource_for(
            testgen_server,
            base_url=base_url,
            client_id=grant.client_id,
            client_secret=grant.client_secret,
            refresh_token=grant.refresh_token,
        )
        for base_url in (testgen_server.base_url, testgen_server.base_url.replace("127.0.0.1", "localhost"))
    ]
    run = TestGenTestRun(test_suite_id=ids.CLEAN_SUITE)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda resource: materialize(run, resource), resources))
    for outcome in outcomes:
        assert outcome.failure == ""
        assert len(outcome.job_ids) == 1


@pytest.mark.parametrize(
    ("run", "changes", "message"),
    [
        (RUNS["clean"], {"access_token": "not-a-token-of-this-server"}, "401"),
        (TestGenTestRun(test_suite_id=UNKNOWN_ID), {}, "404"),
        (TestGenProfilingRun(table_group_id=UNKNOWN_ID), {}, "404"),
        (TestGenTestRun(test_suite_id=ids.DEMO_GROUP), {}, "404"),
        (
            RUNS["clean"],
            {"access_token": None, "client_id": "a", "client_secret": "bbbb", "refresh_token": "cccc"},
            "401",
        ),
    ],
    ids=["wrong token", "unknown suite", "unknown table group", "a table group's id for a suite's", "unknown client"],
)
def test_rejected_start_starts_nothing(
    testgen_server: RealTestGen, run: TestGenTestRun, changes: dict[str, Any], message: str
) -> None:
    before = job_ids(testgen_server)
    resource = resource_for(testgen_server, **{"access_token": testgen_server.access_token, **changes})
    outcome = materialize(run, resource, retry_policy=dg.RetryPolicy(max_retries=3, delay=30))
    assert message in outcome.failure
    assert outcome.checks == {}
    assert "not-a-token" not in outcome.failure
    assert job_ids(testgen_server) == before


def test_lost_start_response_starts_only_one_run(testgen_server: RealTestGen, resource: TestGenResource) -> None:
    before = job_ids(testgen_server)
    with lossy_proxy(testgen_server.base_url) as proxy:
        proxy.lose_posts = 1
        # An external run of the same suite starts at the same time, and must not be attached to.
        theirs = testgen_server.api.call("POST", f"/test-suites/{ids.CLEAN_SUITE}/test-runs")["id"]
        outcome = materialize(
            TestGenTestRun(test_suite_id=ids.CLEAN_SUITE),
            resource_for(testgen_server, base_url=proxy.base_url, access_token=dg.EnvVar("TESTGEN_TOKEN")),
        )
        assert [request for request in proxy.requests if request.startswith("POST")] == [
            f"POST /api/v1/test-suites/{ids.CLEAN_SUITE}/test-runs"
        ]
    assert outcome.failure == ""
    assert job_ids(testgen_server) - before == {theirs, outcome.job_id}


def test_lost_profiling_start_starts_no_second_run(testgen_server: RealTestGen) -> None:
    """Profiling stores no correlation id, so the only run of this kind, target and time is attached to."""
    before = job_ids(testgen_server)
    with lossy_proxy(testgen_server.base_url) as proxy:
        proxy.lose_posts = 1
        outcome = materialize(
            TestGenProfilingRun(table_group_id=ids.NOWHERE_GROUP),
            resource_for(testgen_server, base_url=proxy.base_url, access_token=dg.EnvVar("TESTGEN_TOKEN")),
        )
    assert job_ids(testgen_server) - before == {outcome.job_id}
    assert outcome.failure == ""
