"""TestGen's jobs: submitting, polling, canceling, and partial results."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known

SUITE, GROUP = well_known.SUITE_DEFAULT, well_known.TABLE_GROUP
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ZEROS = {"passed": 0, "failed": 0, "warning": 0, "error": 0, "log": 0, "dismissed": 0}
NO_ISSUES = {
    "hygiene_issues": {"definite": 0, "likely": 0, "possible": 0},
    "potential_pii": {"high": 0, "moderate": 0},
    "dismissed": 0,
}


def submit(api: Any, suite: str = SUITE, **options: Any) -> str:
    return str(api.json("POST", f"/test-suites/{suite}/test-runs", **options)["id"])


def submit_profiling(api: Any, group: str = GROUP) -> str:
    return str(api.json("POST", f"/table-groups/{group}/profiling-runs")["id"])


def get_job(api: Any, job_id: str) -> Any:
    return api.json("GET", f"/jobs/{job_id}")


def get_test_run(api: Any, job_id: str) -> Any:
    return api.json("GET", f"/test-runs/{job_id}")


def test_submission_response(testgen: Any) -> None:
    response = testgen("POST", f"/test-suites/{SUITE}/test-runs")
    assert response.status_code == 202
    assert set(response.json()) == {"id", "created_at"}
    assert TIME.fullmatch(response.json()["created_at"])


def test_job_life_cycle(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    jobs = [get_job(testgen, job_id)]
    for seconds in (1.1, 1, 12):
        sandbox.advance(seconds)
        jobs.append(get_job(testgen, job_id))
    assert [item["status"] for item in jobs] == ["pending", "claimed", "running", "completed"]
    fields = ["id", "job_key", "status", "source", "created_at", "claimed_at", "started_at", "completed_at"]
    assert all(list(item) == [*fields, "error_message"] for item in jobs)
    assert [item["claimed_at"] is None for item in jobs] == [True, False, False, False]
    assert [item["started_at"] is None for item in jobs] == [True, True, False, False]
    assert [item["completed_at"] is None for item in jobs] == [True, True, True, False]
    assert (jobs[3]["job_key"], jobs[3]["source"], jobs[3]["error_message"]) == ("run-tests", "api", None)
    assert TIME.fullmatch(jobs[3]["claimed_at"])


def test_partial_results_of_a_test_run(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    sandbox.advance(2.1)
    just_running = get_test_run(testgen, job_id)
    assert just_running == {
        "id": job_id,
        "status": "running",
        "test_suite_id": None,
        "table_group_id": None,
        "started_at": just_running["started_at"],
        "completed_at": None,
        "external_url": None,
        "metadata": None,
        "result": None,
    }
    sandbox.advance(1)
    zeros = get_test_run(testgen, job_id)
    assert (zeros["test_suite_id"], zeros["table_group_id"]) == (SUITE, GROUP)
    assert zeros["result"] == {"score": None, "result_counts": ZEROS}
    sandbox.advance(8)
    partial = get_test_run(testgen, job_id)
    assert partial["status"] == "running"
    assert partial["result"]["result_counts"]["error"] == 8
    assert 0 < partial["result"]["result_counts"]["passed"] < 179
    sandbox.advance(3)
    completed = get_test_run(testgen, job_id)
    counts = {**ZEROS, "passed": 179, "failed": 12, "warning": 15, "error": 8}
    assert (completed["status"], completed["result"]) == ("completed", {"score": None, "result_counts": counts})
    sandbox.advance(0.5)
    assert get_test_run(testgen, job_id)["result"] == {"score": 0.8395487305178113, "result_counts": counts}


def test_partial_results_of_a_profiling_run(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit_profiling(testgen)
    runs = []
    for seconds in (0, 2.1, 1, 5, 3, 1, 1):
        sandbox.advance(seconds)
        runs.append(testgen.json("GET", f"/profiling-runs/{job_id}"))
    assert all(
        list(item) == ["id", "status", "table_group_id", "started_at", "completed_at", "result"] for item in runs
    )
    assert [item["status"] for item in runs] == ["pending", *["running"] * 4, "completed", "completed"]
    nothing = {"score": None, "table_ct": None, "column_ct": None, "record_ct": None, "issue_counts": NO_ISSUES}
    sizes = {"table_ct": 4, "column_ct": 37, "record_ct": 12_480}
    issue_counts = {
        "hygiene_issues": {"definite": 2, "likely": 1, "possible": 2},
        "potential_pii": {"high": 1, "moderate": 3},
        "dismissed": 0,
    }
    assert [item["result"] for item in runs] == [
        None,
        None,
        nothing,
        {**nothing, **sizes},
        {**nothing, **sizes, "issue_counts": issue_counts},
        {**nothing, **sizes, "issue_counts": issue_counts},
        {"score": 0.9921, **sizes, "issue_counts": issue_counts},
    ]


def test_completed_runs_that_tested_nothing(sandbox: Sandbox, testgen: Any) -> None:
    broken, empty = submit(testgen, well_known.SUITE_BAD_SQL), submit(testgen, well_known.SUITE_EMPTY)
    no_schema = submit_profiling(testgen, well_known.TABLE_GROUP_NO_SCHEMA)
    sandbox.advance(20)
    assert get_test_run(testgen, broken)["result"] == {"score": 1.0, "result_counts": {**ZEROS, "error": 1}}
    assert get_test_run(testgen, empty)["result"] == {"score": 1.0, "result_counts": ZEROS}
    assert testgen.json("GET", f"/profiling-runs/{no_schema}")["result"] == {
        "score": 1.0,
        "table_ct": 0,
        "column_ct": 0,
        "record_ct": 0,
        "issue_counts": NO_ISSUES,
    }
    assert {get_job(testgen, item)["status"] for item in (broken, empty, no_schema)} == {"completed"}


def test_database_that_refuses_connections(sandbox: Sandbox, testgen: Any) -> None:
    tests, profiling = submit(testgen, well_known.SUITE_DOWN), submit_profiling(testgen, well_known.TABLE_GROUP_DOWN)
    sandbox.advance(20)
    for job_id in (tests, profiling):
        ended = get_job(testgen, job_id)
        assert ended["status"] == "error"
        assert "Connection refused\n\tIs the server running" in ended["error_message"]
    run = get_test_run(testgen, tests)
    assert (run["status"], run["test_suite_id"]) == ("error", well_known.SUITE_DOWN)
    assert run["result"] == {"score": None, "result_counts": ZEROS}
    result = testgen.json("GET", f"/profiling-runs/{profiling}")["result"]
    assert result == {"score": None, "table_ct": None, "column_ct": None, "record_ct": None, "issue_counts": NO_ISSUES}


def test_two_submissions_start_two_jobs(sandbox: Sandbox, testgen: Any) -> None:
    assert submit(testgen) != submit(testgen)
    assert sandbox.starts("testgen") == 2


def test_canceling_a_running_job(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen, well_known.SUITE_SLOW)
    sandbox.advance(10)
    requested = testgen.json("POST", f"/jobs/{job_id}/cancel")
    assert (requested["status"], requested["completed_at"]) == ("cancel_requested", None)
    sandbox.advance(1)
    assert testgen.json("POST", f"/jobs/{job_id}/cancel")["status"] == "cancel_requested"
    sandbox.advance(1)
    ended = get_job(testgen, job_id)
    assert (ended["status"], ended["error_message"]) == ("canceled", None)
    assert ended["started_at"] is not None
    assert ended["completed_at"] is not None
    run = get_test_run(testgen, job_id)
    assert (run["status"], run["result"]["score"]) == ("canceled", None)
    rejected = testgen("POST", f"/jobs/{job_id}/cancel")
    assert rejected.status_code == 409
    assert rejected.json() == {
        "detail": {
            "errors": [{"code": "invalid_status_transition", "detail": "Cannot cancel job in 'canceled' status"}]
        }
    }
    assert sandbox.runs()[0].cancel_requested_at == pytest.approx(sandbox.now() - 2)


def test_canceling_a_pending_job(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    assert testgen.json("POST", f"/jobs/{job_id}/cancel")["status"] == "cancel_requested"
    sandbox.advance(30)
    ended = get_job(testgen, job_id)
    assert ended["status"] == "canceled"
    assert (ended["claimed_at"], ended["started_at"]) == (None, None)
    run = get_test_run(testgen, job_id)
    assert (run["test_suite_id"], run["result"]) == (None, None)


@pytest.mark.parametrize(("suite", "status"), [(SUITE, "completed"), (well_known.SUITE_DOWN, "error")])
def test_canceling_a_job_that_has_ended(sandbox: Sandbox, testgen: Any, suite: str, status: str) -> None:
    job_id = submit(testgen, suite)
    sandbox.advance(20)
    rejected = testgen("POST", f"/jobs/{job_id}/cancel")
    assert rejected.status_code == 409
    assert rejected.json()["detail"]["errors"][0]["detail"] == f"Cannot cancel job in '{status}' status"


def test_job_canceled_without_a_request(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(outcome="cancel"))
    job_id = submit(testgen)
    sandbox.advance(13)
    assert get_job(testgen, job_id)["status"] == "cancel_requested"
    sandbox.advance(2)
    ended = get_job(testgen, job_id)
    assert (ended["status"], ended["error_message"]) == ("canceled", None)
    assert sandbox.runs()[0].cancel_requested_at is None


@pytest.mark.parametrize("status", ["paused", "interrupted", "resume_requested", "brand_new"])
def test_held_states(sandbox: Sandbox, testgen: Any, status: str) -> None:
    sandbox.set_behavior(GROUP, Behavior(hold=status))
    job_id = submit_profiling(testgen)
    sandbox.advance(100_000)
    assert get_job(testgen, job_id)["status"] == status
    assert get_job(testgen, job_id)["started_at"] is not None
    testgen.json("POST", f"/jobs/{job_id}/cancel")
    sandbox.advance(2)
    assert get_job(testgen, job_id)["status"] == "canceled"


def test_queued_before_the_start(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(hold="queued", hold_seconds=60, hold_when="queued"))
    job_id = submit(testgen)
    sandbox.advance(61)
    queued = get_job(testgen, job_id)
    assert (queued["status"], queued["started_at"]) == ("queued", None)
    sandbox.advance(2)
    assert get_job(testgen, job_id)["status"] == "running"
    sandbox.advance(12)
    assert get_job(testgen, job_id)["status"] == "completed"


def test_worker_that_is_down(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=math.inf, cancel_seconds=math.inf))
    job_id = submit(testgen)
    sandbox.advance(86_400)
    assert get_job(testgen, job_id)["status"] == "pending"
    testgen.json("POST", f"/jobs/{job_id}/cancel")
    sandbox.advance(86_400)
    assert get_job(testgen, job_id)["status"] == "cancel_requested"


def test_run_without_a_score(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(score=None))
    job_id = submit(testgen)
    sandbox.advance(1000)
    assert get_test_run(testgen, job_id)["result"]["score"] is None


def test_specified_counts(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, [Behavior(counts={"passed": 3, "failed": 1}), Behavior(score=0.5, score_delay=0)])
    first, second = submit(testgen), submit(testgen)
    sandbox.advance(20)
    counts = {**ZEROS, "passed": 3, "failed": 1}
    assert get_test_run(testgen, first)["result"] == {"score": 0.75, "result_counts": counts}
    assert get_test_run(testgen, second)["result"]["score"] == 0.5
    assert get_test_run(testgen, second)["result"]["result_counts"]["passed"] == 179


def test_test_generation(sandbox: Sandbox, testgen: Any) -> None:
    path = f"/test-suites/{well_known.SUITE_GENERATED}/test-generation"
    job_id = testgen.json("POST", path, json={"generation_sets": ["Standard"]})["id"]
    sandbox.advance(20)
    ended = get_job(testgen, job_id)
    assert (ended["job_key"], ended["status"]) == ("run-test-generation", "completed")
    assert testgen("GET", f"/test-runs/{job_id}").status_code == 404
    unknown = testgen("POST", path, json={"generation_sets": ["Nope"]})
    assert (unknown.status_code, unknown.json()["detail"]["errors"][0]["code"]) == (400, "invalid_generation_set")


def test_submission_fields_are_returned(sandbox: Sandbox, testgen: Any) -> None:
    body = {"external_url": "https://dagster.example/runs/1", "metadata": {"correlation": "abc"}}
    run = get_test_run(testgen, submit(testgen, json=body))
    assert {name: run[name] for name in body} == body
    assert sandbox.runs()[0].body == body


def test_page_of_a_deep_link(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(well_known.SUITE_DOWN, Behavior(error="<script>alert(1)</script>"))
    job_id = submit(testgen, well_known.SUITE_DOWN)
    sandbox.advance(20)
    testgen.base_url = f"{sandbox.url}/testgen/ui"
    page = testgen("GET", f"/test-runs:results?project_code=DEFAULT&run_id={job_id}")
    assert page.headers["Content-Type"].startswith("text/html")
    assert job_id in page.text
    assert "<script>" not in page.text
