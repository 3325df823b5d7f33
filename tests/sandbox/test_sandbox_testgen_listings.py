"""TestGen's lists: jobs, results, issues, suites and table groups."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known

SUITE, ORDERS, GROUP = well_known.SUITE_DEFAULT, well_known.SUITE_ORDERS, well_known.TABLE_GROUP


@pytest.fixture
def completed_test_run(sandbox: Sandbox, testgen: Any) -> str:
    return run_to_completion(sandbox, testgen, f"/test-suites/{ORDERS}/test-runs")


@pytest.fixture
def completed_profiling_run(sandbox: Sandbox, testgen: Any) -> str:
    return run_to_completion(sandbox, testgen, f"/table-groups/{GROUP}/profiling-runs")


def run_to_completion(sandbox: Sandbox, api: Any, path: str) -> str:
    job_id = str(api.json("POST", path)["id"])
    sandbox.advance(30)
    return job_id


def test_pages_of_jobs_newest_first(sandbox: Sandbox, testgen: Any) -> None:
    ids = [testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"] for _ in range(25)]
    first = testgen.json("GET", "/projects/DEFAULT/jobs")
    assert {name: first[name] for name in ("page", "limit", "total")} == {"page": 1, "limit": 20, "total": 25}
    assert [item["id"] for item in first["items"]] == ids[:4:-1]
    second = testgen.json("GET", "/projects/DEFAULT/jobs?page=2&limit=20")
    assert [item["id"] for item in second["items"]] == ids[4::-1]
    assert testgen.json("GET", "/projects/DEFAULT/jobs?page=99")["items"] == []


def test_jobs_filtered_by_kind_and_status(
    sandbox: Sandbox, testgen: Any, completed_test_run: str, completed_profiling_run: str
) -> None:
    active = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]

    def list_ids(query: str) -> list[str]:
        return [item["id"] for item in testgen.json("GET", f"/projects/DEFAULT/jobs?{query}")["items"]]

    assert list_ids("job_key=run-tests") == [active, completed_test_run]
    assert list_ids("status=completed") == [completed_profiling_run, completed_test_run]
    assert list_ids("status=completed&job_key=run-tests") == [completed_test_run]
    assert list_ids("status=pending") == [active]
    assert list_ids("status=error") == []


def test_jobs_started_by_others(sandbox: Sandbox, testgen: Any) -> None:
    scheduled = sandbox.start_run(SUITE, vendor="testgen")
    by_hand = sandbox.start_run(GROUP, vendor="testgen", source="ui")
    sandbox.start_run(SUITE, vendor="testgen", source="system")
    sandbox.advance(30)
    jobs = testgen.json("GET", "/projects/DEFAULT/jobs")["items"]
    assert [(item["id"], item["source"]) for item in jobs] == [(by_hand.id, "ui"), (scheduled.id, "scheduler")]
    assert jobs[0]["claimed_at"] is None
    assert sandbox.starts("testgen") == 0
    assert len(sandbox.runs("testgen")) == 3


def test_results(testgen: Any, completed_test_run: str) -> None:
    page = testgen.json("GET", f"/test-runs/{completed_test_run}/results?limit=100")
    assert page["total"] == 48
    assert Counter(row["result_status"] for row in page["items"]) == {"passed": 41, "failed": 5, "warning": 2}
    assert list(page["items"][0]) == [
        "test_definition_id",
        "test_type",
        "test_type_name",
        "schema_name",
        "table_name",
        "column_names",
        "result_status",
        "result_measure",
        "threshold_value",
        "result_message",
        "test_time",
        "disposition",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", page["items"][0]["test_time"])
    assert len({row["test_definition_id"] for row in page["items"]}) == 48


def test_filtered_results(testgen: Any, completed_test_run: str) -> None:
    def rows(query: str) -> Any:
        return testgen.json("GET", f"/test-runs/{completed_test_run}/results?{query}")["items"]

    failed = rows("status=failed")
    assert {row["table_name"] for row in failed} == {"orders", "customers"}
    assert [row["column_names"] for row in rows("status=failed&table_name=customers")] == ["customer_id", "email"]
    assert [row["result_message"] for row in rows("column_name=email&test_type=Pattern_Match&status=failed")] == [
        "Pattern mismatches: 18, Threshold: 0"
    ]
    assert rows("disposition=dismissed") == []
    assert testgen.json("GET", f"/test-runs/{completed_test_run}/results?page=99") == {
        "items": [],
        "page": 99,
        "limit": 20,
        "total": 48,
    }
    unknown = testgen("GET", f"/test-runs/{completed_test_run}/results?test_type=Nope")
    assert (unknown.status_code, unknown.json()["detail"]["errors"][0]["code"]) == (400, "unknown_test_type")
    assert unknown.json()["detail"]["errors"][0]["detail"].startswith("Unknown test_type 'Nope'. Valid values are")


def test_specified_results(sandbox: Sandbox, testgen: Any) -> None:
    rows = [
        {"table_name": "orders", "result_status": "failed", "result_message": "<b>bold</b>"},
        {"table_name": "orders", "result_status": "failed", "disposition": "muted"},
        {"table_name": None, "column_names": None, "test_type": "Brand_New", "result_status": "log"},
    ]
    sandbox.set_behavior(SUITE, Behavior(results=rows))
    job_id = run_to_completion(sandbox, testgen, f"/test-suites/{SUITE}/test-runs")
    counts = testgen.json("GET", f"/test-runs/{job_id}")["result"]["result_counts"]
    assert counts == {"passed": 0, "failed": 1, "warning": 0, "error": 0, "log": 1, "dismissed": 1}
    items = testgen.json("GET", f"/test-runs/{job_id}/results")["items"]
    assert [(row["table_name"], row["result_status"]) for row in items] == [("orders", "failed"), (None, "log")]
    assert items[0]["result_message"] == "<b>bold</b>"
    muted = testgen.json("GET", f"/test-runs/{job_id}/results?disposition=muted")
    assert muted["total"] == 1


def test_no_results_before_the_end(testgen: Any) -> None:
    job_id = testgen.json("POST", f"/test-suites/{ORDERS}/test-runs")["id"]
    assert testgen.json("GET", f"/test-runs/{job_id}/results")["items"] == []


def test_hygiene_issues(testgen: Any, completed_profiling_run: str) -> None:
    page = testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/hygiene-issues")
    assert Counter(row["likelihood"] for row in page["items"]) == {"definite": 2, "likely": 1, "possible": 2}
    assert list(page["items"][0]) == [
        "id",
        "issue_type",
        "issue_type_name",
        "schema_name",
        "table_name",
        "column_name",
        "likelihood",
        "impact_dimension",
        "detail",
        "disposition",
    ]
    likely = testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/hygiene-issues?likelihood=likely&limit=3")
    assert [row["issue_type_name"] for row in likely["items"]] == ["Quoted Values Found in Column Values"]
    assert testgen("GET", f"/profiling-runs/{completed_profiling_run}/hygiene-issues?issue_type=1").status_code == 400
    assert (
        testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/hygiene-issues?issue_type=1002")["total"] == 2
    )


def test_potential_pii(testgen: Any, completed_profiling_run: str) -> None:
    page = testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/potential-pii?limit=5")
    assert page["total"] == 4
    assert list(page["items"][0]) == [
        "id",
        "issue_type",
        "issue_type_name",
        "schema_name",
        "table_name",
        "column_name",
        "pii_risk",
        "detail",
        "disposition",
    ]
    assert testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/potential-pii?pii_risk=high")["total"] == 1


def test_specified_issue_counts(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(GROUP, Behavior(issues={"definite": 3, "likely": 1}, pii={"high": 2}))
    job_id = run_to_completion(sandbox, testgen, f"/table-groups/{GROUP}/profiling-runs")
    counts = testgen.json("GET", f"/profiling-runs/{job_id}")["result"]["issue_counts"]
    assert counts["hygiene_issues"] == {"definite": 3, "likely": 1, "possible": 0}
    assert counts["potential_pii"] == {"high": 2, "moderate": 0}


def test_columns(testgen: Any, completed_profiling_run: str) -> None:
    page = testgen.json("GET", f"/profiling-runs/{completed_profiling_run}/columns?limit=2")
    assert page["total"] == 37
    assert page["items"][0]["issue_counts"]["hygiene_issues"]["definite"] == 1
    assert list(page["items"][0]) == [
        "schema_name",
        "table_name",
        "column_name",
        "general_type",
        "functional_data_type",
        "db_data_type",
        "datatype_suggestion",
        "pii_flag",
        "critical_data_element",
        "record_ct",
        "null_value_ct",
        "distinct_value_ct",
        "filled_value_ct",
        "profiling_score",
        "testing_score",
        "issue_counts",
    ]
    orders = testgen.json(
        "GET", f"/profiling-runs/{completed_profiling_run}/columns?table_name=orders&sort=table&limit=100"
    )
    assert [row["column_name"] for row in orders["items"]][:2] == ["order_id", "customer_id"]
    assert {row["record_ct"] for row in orders["items"]} == {8640}


def test_specified_columns(sandbox: Sandbox, testgen: Any) -> None:
    columns = [
        {"table_name": "b", "column_name": "b_id", "record_ct": 7},
        {"table_name": "a", "column_name": "name", "record_ct": 5, "pii_flag": "manual", "schema_name": None},
        {"table_name": "b", "column_name": "a", "record_ct": 7, "general_type": "numeric"},
    ]
    issues = [{"table_name": "b", "column_name": "a", "likelihood": "likely"}]
    sandbox.set_behavior(GROUP, Behavior(columns=columns, issues=issues))
    job_id = run_to_completion(sandbox, testgen, f"/table-groups/{GROUP}/profiling-runs")
    result = testgen.json("GET", f"/profiling-runs/{job_id}")["result"]
    assert (result["table_ct"], result["column_ct"], result["record_ct"]) == (2, 3, 12)
    by_table = testgen.json("GET", f"/profiling-runs/{job_id}/columns?sort=table")["items"]
    assert [(row["table_name"], row["column_name"]) for row in by_table] == [("a", "name"), ("b", "b_id"), ("b", "a")]
    assert (by_table[0]["pii_flag"], by_table[0]["db_data_type"]) == ("manual", "character varying(50)")
    assert [row["critical_data_element"] for row in by_table] == [False, True, False]
    worst, *_ = testgen.json("GET", f"/profiling-runs/{job_id}/columns")["items"]
    assert (worst["column_name"], worst["issue_counts"]["hygiene_issues"]["likely"]) == ("a", 1)
    assert testgen("GET", f"/profiling-runs/{job_id}/columns?sort=column").status_code == 422


def test_profiling_history_of_a_table_group(sandbox: Sandbox, testgen: Any, completed_profiling_run: str) -> None:
    sandbox.set_behavior(GROUP, Behavior(outcome="fail", error="out of disk"))
    failed = run_to_completion(sandbox, testgen, f"/table-groups/{GROUP}/profiling-runs")
    history = testgen.json("GET", f"/table-groups/{GROUP}/profiling-runs")["items"]
    assert [(item["job_execution_id"], item["error_message"]) for item in history] == [
        (failed, "out of disk"),
        (completed_profiling_run, None),
    ]
    latest = testgen.json("GET", f"/table-groups/{GROUP}/profiling-runs?status=completed&limit=1")["items"][0]
    assert list(latest) == [
        "job_execution_id",
        "table_group_id",
        "status",
        "started_at",
        "completed_at",
        "profiling_score",
        "table_ct",
        "column_ct",
        "record_ct",
        "data_point_ct",
        "error_message",
        "issue_counts",
    ]
    assert (latest["job_execution_id"], latest["profiling_score"], latest["table_ct"]) == (
        completed_profiling_run,
        0.9921,
        4,
    )


def test_suites(sandbox: Sandbox, testgen: Any, completed_test_run: str) -> None:
    page = testgen.json("GET", "/projects/DEFAULT/test-suites?limit=100")
    names = [item["test_suite_name"] for item in page["items"]]
    assert names == sorted(names)
    assert {"default-suite-1", "orders", "user_features", "slow", "clean", "badsql", "empty", "down"} < set(names)
    orders = testgen.json("GET", "/projects/DEFAULT/test-suites?test_suite_name=orders")["items"]
    assert orders == [
        {
            "test_suite_id": ORDERS,
            "test_suite_name": "orders",
            "project_code": "DEFAULT",
            "connection_id": 1,
            "table_group_id": GROUP,
            "table_group_name": "default",
            "description": "orders Test Suite",
            "test_count": 48,
            "latest_run": {
                "job_execution_id": completed_test_run,
                "started_at": orders[0]["latest_run"]["started_at"],
                "test_count": 48,
                "result_counts": {"passed": 41, "failed": 5, "warning": 2, "error": 0, "log": 0, "dismissed": 0},
            },
        }
    ]
    other_group = testgen.json("GET", f"/projects/DEFAULT/test-suites?table_group_id={well_known.TABLE_GROUP_DOWN}")
    assert [item["latest_run"] for item in other_group["items"]] == [None]
    assert testgen("GET", "/projects/DEFAULT/test-suites?table_group_id=x").status_code == 422
    assert testgen.json("GET", f"/test-suites/{SUITE}")["test_suite_name"] == "default-suite-1"


def test_table_groups(sandbox: Sandbox, testgen: Any, completed_test_run: str, completed_profiling_run: str) -> None:
    page = testgen.json("GET", "/projects/DEFAULT/table-groups")
    assert [item["table_group_name"] for item in page["items"]] == ["default", "down", "marketing", "nowhere"]
    default = testgen.json("GET", "/projects/DEFAULT/table-groups?table_group_name=default&limit=1")["items"][0]
    assert list(default) == [
        "table_group_id",
        "table_group_name",
        "schema_name",
        "project_code",
        "connection_id",
        "connection_name",
        "table_count",
        "column_count",
        "row_count",
        "last_profiled_at",
        "last_tested_at",
        "profiling_score",
        "testing_score",
        "quality_score",
    ]
    assert (default["table_count"], default["profiling_score"], default["testing_score"]) == (4, 0.9921, 0.8713)
    assert [item["connection_id"] for item in page["items"]] == [1, 99, 1, 1]
    assert testgen.json("GET", "/projects/DEFAULT/table-groups?connection_id=99")["total"] == 1
    assert page["items"][3]["column_count"] is None
    assert testgen.json("GET", f"/table-groups/{GROUP}")["schema_name"] == "demo"
