"""The older TestGen: a different result, fewer endpoints, and no request bodies."""

from __future__ import annotations

from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known

SUITE, GROUP = well_known.SUITE_DEFAULT, well_known.TABLE_GROUP


def test_test_run(sandbox: Sandbox, testgen_old: Any) -> None:
    job_id = testgen_old.json("POST", f"/test-suites/{SUITE}/test-runs", json={"metadata": {"correlation": "abc"}})[
        "id"
    ]
    sandbox.advance(15)
    run = testgen_old.json("GET", f"/test-runs/{job_id}")
    assert list(run) == [
        "id",
        "status",
        "test_suite_id",
        "table_group_id",
        "started_at",
        "completed_at",
        "result",
    ]
    counts = {"passed": 179, "failed": 12, "warning": 15, "error": 8, "log": 0, "dismissed": 0}
    assert (run["status"], run["result"]) == ("completed", {"score": None, "tests": counts})
    sandbox.advance(2)
    assert testgen_old.json("GET", f"/test-runs/{job_id}")["result"]["score"] is None
    sandbox.advance(2)
    assert testgen_old.json("GET", f"/test-runs/{job_id}")["result"]["score"] == 0.8395487305178113


def test_profiling_run_counts_pii_as_possible(sandbox: Sandbox, testgen_old: Any) -> None:
    job_id = testgen_old.json("POST", f"/table-groups/{GROUP}/profiling-runs")["id"]
    sandbox.advance(30)
    assert testgen_old.json("GET", f"/profiling-runs/{job_id}")["result"] == {
        "score": 0.9921,
        "table_ct": 4,
        "column_ct": 37,
        "record_ct": 12_480,
        "issues": {"definite": 2, "likely": 1, "possible": 6, "dismissed": 0},
    }


@pytest.mark.parametrize("body", ["{not json", '{"nonsense": 1}', "[]", "null", ""])
def test_any_body_is_accepted(testgen_old: Any, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = testgen_old("POST", f"/test-suites/{SUITE}/test-runs", data=body, headers=headers)
    assert response.status_code == 202


def test_missing_endpoints(sandbox: Sandbox, testgen_old: Any) -> None:
    tests = testgen_old.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    for path in (
        f"/test-runs/{tests}/results",
        f"/profiling-runs/{tests}/hygiene-issues",
        f"/test-suites/{SUITE}",
        "/projects/DEFAULT/test-suites",
        "/projects/DEFAULT/table-groups",
    ):
        response = testgen_old("GET", path)
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"}), path
    history = testgen_old("GET", f"/table-groups/{GROUP}/profiling-runs")
    assert (history.status_code, history.json()) == (405, {"detail": "Method Not Allowed"})


def test_kinds_and_states_of_the_old_version(sandbox: Sandbox, testgen_old: Any) -> None:
    monitors = sandbox.start_run(GROUP, vendor="testgen-old", kind="run-monitors")
    jobs = testgen_old.json("GET", "/projects/DEFAULT/jobs?job_key=run-monitors")["items"]
    assert [(item["id"], item["job_key"]) for item in jobs] == [(monitors.id, "run-monitors")]
    rejected = testgen_old("GET", "/projects/DEFAULT/jobs?status=paused")
    assert rejected.status_code == 422
    assert rejected.json()["detail"][0]["ctx"]["expected"].count(",") == 5


def test_versions_have_separate_jobs(sandbox: Sandbox, testgen: Any, testgen_old: Any) -> None:
    old = testgen_old.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    new = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    assert testgen("GET", f"/jobs/{old}").status_code == 404
    assert testgen_old("GET", f"/jobs/{new}").status_code == 404
    assert testgen.json("GET", "/projects/DEFAULT/jobs")["total"] == 1
    assert (sandbox.starts("testgen"), sandbox.starts("testgen-old"), sandbox.starts()) == (1, 1, 2)


def test_behavior_applies_to_both_versions_unless_one_is_specified(
    sandbox: Sandbox, testgen: Any, testgen_old: Any
) -> None:
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=0, running_seconds=1))
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=50), vendor="testgen-old")
    new = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    old = testgen_old.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    sandbox.advance(2)
    assert testgen.json("GET", f"/jobs/{new}")["status"] == "completed"
    assert testgen_old.json("GET", f"/jobs/{old}")["status"] == "pending"
