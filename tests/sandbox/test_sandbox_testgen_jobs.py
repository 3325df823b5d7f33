"""TestGen's life cycles: submitting, polling, canceling, and what can be seen on the way."""

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


def profile(api: Any, group: str = GROUP) -> str:
    return str(api.json("POST", f"/table-groups/{group}/profiling-runs")["id"])


def job(api: Any, job_id: str) -> Any:
    return api.json("GET", f"/jobs/{job_id}")


def test_run(api: Any, job_id: str) -> Any:
    return api.json("GET", f"/test-runs/{job_id}")


test_run.__test__ = False  # type: ignore[attr-defined]


def test_submitting(testgen: Any) -> None:
    answer = testgen("POST", f"/test-suites/{SUITE}/test-runs")
    assert answer.status_code == 202
    assert set(answer.json()) == {"id", "created_at"}
    assert TIME.fullmatch(answer.json()["created_at"])


def test_the_jobs_life(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    seen = [job(testgen, job_id)]
    for seconds in (1.1, 1, 12):
        sandbox.advance(seconds)
        seen.append(job(testgen, job_id))
    assert [one["status"] for one in seen] == ["pending", "claimed", "running", "completed"]
    fields = ["id", "job_key", "status", "source", "created_at", "claimed_at", "started_at", "completed_at"]
    assert all(list(one) == [*fields, "error_message"] for one in seen)
    assert [one["claimed_at"] is None for one in seen] == [True, False, False, False]
    assert [one["started_at"] is None for one in seen] == [True, True, False, False]
    assert [one["completed_at"] is None for one in seen] == [True, True, True, False]
    assert (seen[3]["job_key"], seen[3]["source"], seen[3]["error_message"]) == ("run-tests", "api", None)
    assert TIME.fullmatch(seen[3]["claimed_at"])


def test_a_test_runs_result_comes_bit_by_bit(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    sandbox.advance(2.1)
    just_running = test_run(testgen, job_id)
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
    zeros = test_run(testgen, job_id)
    assert (zeros["test_suite_id"], zeros["table_group_id"]) == (SUITE, GROUP)
    assert zeros["result"] == {"score": None, "result_counts": ZEROS}
    sandbox.advance(8)
    partial = test_run(testgen, job_id)
    assert partial["status"] == "running"
    assert partial["result"]["result_counts"]["error"] == 8
    assert 0 < partial["result"]["result_counts"]["passed"] < 179
    sandbox.advance(3)
    done = test_run(testgen, job_id)
    counts = {**ZEROS, "passed": 179, "failed": 12, "warning": 15, "error": 8}
    assert (done["status"], done["result"]) == ("completed", {"score": None, "result_counts": counts})
    sandbox.advance(0.5)
    assert test_run(testgen, job_id)["result"] == {"score": 0.8395487305178113, "result_counts": counts}


def test_a_profiling_runs_result_comes_bit_by_bit(sandbox: Sandbox, testgen: Any) -> None:
    job_id = profile(testgen)
    seen = []
    for seconds in (0, 2.1, 1, 5, 3, 1, 1):
        sandbox.advance(seconds)
        seen.append(testgen.json("GET", f"/profiling-runs/{job_id}"))
    assert all(list(one) == ["id", "status", "table_group_id", "started_at", "completed_at", "result"] for one in seen)
    assert [one["status"] for one in seen] == ["pending", *["running"] * 4, "completed", "completed"]
    nothing = {"score": None, "table_ct": None, "column_ct": None, "record_ct": None, "issue_counts": NO_ISSUES}
    sizes = {"table_ct": 4, "column_ct": 37, "record_ct": 12_480}
    found = {
        "hygiene_issues": {"definite": 2, "likely": 1, "possible": 2},
        "potential_pii": {"high": 1, "moderate": 3},
        "dismissed": 0,
    }
    assert [one["result"] for one in seen] == [
        None,
        None,
        nothing,
        {**nothing, **sizes},
        {**nothing, **sizes, "issue_counts": found},
        {**nothing, **sizes, "issue_counts": found},
        {"score": 0.9921, **sizes, "issue_counts": found},
    ]


def test_what_only_looks_green(sandbox: Sandbox, testgen: Any) -> None:
    broken, empty = submit(testgen, well_known.SUITE_BAD_SQL), submit(testgen, well_known.SUITE_EMPTY)
    nowhere = profile(testgen, well_known.TABLE_GROUP_NO_SCHEMA)
    sandbox.advance(20)
    assert test_run(testgen, broken)["result"] == {"score": 1.0, "result_counts": {**ZEROS, "error": 1}}
    assert test_run(testgen, empty)["result"] == {"score": 1.0, "result_counts": ZEROS}
    assert testgen.json("GET", f"/profiling-runs/{nowhere}")["result"] == {
        "score": 1.0,
        "table_ct": 0,
        "column_ct": 0,
        "record_ct": 0,
        "issue_counts": NO_ISSUES,
    }
    assert {job(testgen, one)["status"] for one in (broken, empty, nowhere)} == {"completed"}


def test_a_database_that_refuses(sandbox: Sandbox, testgen: Any) -> None:
    tests, profiling = submit(testgen, well_known.SUITE_DOWN), profile(testgen, well_known.TABLE_GROUP_DOWN)
    sandbox.advance(20)
    for job_id in (tests, profiling):
        ended = job(testgen, job_id)
        assert ended["status"] == "error"
        assert "Connection refused\n\tIs the server running" in ended["error_message"]
    run = test_run(testgen, tests)
    assert (run["status"], run["test_suite_id"]) == ("error", well_known.SUITE_DOWN)
    assert run["result"] == {"score": None, "result_counts": ZEROS}
    result = testgen.json("GET", f"/profiling-runs/{profiling}")["result"]
    assert result == {"score": None, "table_ct": None, "column_ct": None, "record_ct": None, "issue_counts": NO_ISSUES}


def test_two_submissions_are_two_jobs(sandbox: Sandbox, testgen: Any) -> None:
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
    ended = job(testgen, job_id)
    assert (ended["status"], ended["error_message"]) == ("canceled", None)
    assert ended["started_at"] is not None
    assert ended["completed_at"] is not None
    run = test_run(testgen, job_id)
    assert (run["status"], run["result"]["score"]) == ("canceled", None)
    refused = testgen("POST", f"/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert refused.json() == {
        "detail": {
            "errors": [{"code": "invalid_status_transition", "detail": "Cannot cancel job in 'canceled' status"}]
        }
    }
    assert sandbox.runs()[0].cancel_requested_at == pytest.approx(sandbox.now() - 2)


def test_canceling_a_pending_job(sandbox: Sandbox, testgen: Any) -> None:
    job_id = submit(testgen)
    assert testgen.json("POST", f"/jobs/{job_id}/cancel")["status"] == "cancel_requested"
    sandbox.advance(30)
    ended = job(testgen, job_id)
    assert ended["status"] == "canceled"
    assert (ended["claimed_at"], ended["started_at"]) == (None, None)
    run = test_run(testgen, job_id)
    assert (run["test_suite_id"], run["result"]) == (None, None)


@pytest.mark.parametrize(("suite", "word"), [(SUITE, "completed"), (well_known.SUITE_DOWN, "error")])
def test_canceling_what_has_ended(sandbox: Sandbox, testgen: Any, suite: str, word: str) -> None:
    job_id = submit(testgen, suite)
    sandbox.advance(20)
    refused = testgen("POST", f"/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert refused.json()["detail"]["errors"][0]["detail"] == f"Cannot cancel job in '{word}' status"


def test_canceled_though_nobody_asked(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(outcome="cancel"))
    job_id = submit(testgen)
    sandbox.advance(13)
    assert job(testgen, job_id)["status"] == "cancel_requested"
    sandbox.advance(2)
    ended = job(testgen, job_id)
    assert (ended["status"], ended["error_message"]) == ("canceled", None)
    assert sandbox.runs()[0].cancel_requested_at is None


@pytest.mark.parametrize("word", ["paused", "interrupted", "resume_requested", "brand_new"])
def test_states_that_wait_for_something_else(sandbox: Sandbox, testgen: Any, word: str) -> None:
    sandbox.set_behavior(GROUP, Behavior(hold=word))
    job_id = profile(testgen)
    sandbox.advance(100_000)
    assert job(testgen, job_id)["status"] == word
    assert job(testgen, job_id)["started_at"] is not None
    testgen.json("POST", f"/jobs/{job_id}/cancel")
    sandbox.advance(2)
    assert job(testgen, job_id)["status"] == "canceled"


def test_queued_before_the_start(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(hold="queued", hold_seconds=60, hold_when="queued"))
    job_id = submit(testgen)
    sandbox.advance(61)
    queued = job(testgen, job_id)
    assert (queued["status"], queued["started_at"]) == ("queued", None)
    sandbox.advance(2)
    assert job(testgen, job_id)["status"] == "running"
    sandbox.advance(12)
    assert job(testgen, job_id)["status"] == "completed"


def test_a_worker_that_is_down(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=math.inf, cancel_seconds=math.inf))
    job_id = submit(testgen)
    sandbox.advance(86_400)
    assert job(testgen, job_id)["status"] == "pending"
    testgen.json("POST", f"/jobs/{job_id}/cancel")
    sandbox.advance(86_400)
    assert job(testgen, job_id)["status"] == "cancel_requested"


def test_a_score_that_never_comes(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(score=None))
    job_id = submit(testgen)
    sandbox.advance(1000)
    assert test_run(testgen, job_id)["result"]["score"] is None


def test_counts_of_ones_own(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, [Behavior(counts={"passed": 3, "failed": 1}), Behavior(score=0.5, score_delay=0)])
    first, second = submit(testgen), submit(testgen)
    sandbox.advance(20)
    counts = {**ZEROS, "passed": 3, "failed": 1}
    assert test_run(testgen, first)["result"] == {"score": 0.75, "result_counts": counts}
    assert test_run(testgen, second)["result"]["score"] == 0.5
    assert test_run(testgen, second)["result"]["result_counts"]["passed"] == 179


def test_test_generation(sandbox: Sandbox, testgen: Any) -> None:
    path = f"/test-suites/{well_known.SUITE_GENERATED}/test-generation"
    job_id = testgen.json("POST", path, json={"generation_sets": ["Standard"]})["id"]
    sandbox.advance(20)
    ended = job(testgen, job_id)
    assert (ended["job_key"], ended["status"]) == ("run-test-generation", "completed")
    assert testgen("GET", f"/test-runs/{job_id}").status_code == 404
    unknown = testgen("POST", path, json={"generation_sets": ["Nope"]})
    assert (unknown.status_code, unknown.json()["detail"]["errors"][0]["code"]) == (400, "invalid_generation_set")


def test_what_a_submission_says_of_itself(sandbox: Sandbox, testgen: Any) -> None:
    body = {"external_url": "https://dagster.example/runs/1", "metadata": {"correlation": "abc"}}
    run = test_run(testgen, submit(testgen, json=body))
    assert {name: run[name] for name in body} == body
    assert sandbox.runs()[0].body == body


def test_the_page_behind_a_deep_link(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(well_known.SUITE_DOWN, Behavior(error="<script>alert(1)</script>"))
    job_id = submit(testgen, well_known.SUITE_DOWN)
    sandbox.advance(20)
    testgen.base_url = f"{sandbox.url}/testgen/ui"
    page = testgen("GET", f"/test-runs:results?project_code=DEFAULT&run_id={job_id}")
    assert page.headers["Content-Type"].startswith("text/html")
    assert job_id in page.text
    assert "<script>" not in page.text
