"""TestGen's errors, with exactly the wording of a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dagster_runs.sandbox import Sandbox, well_known

SUITE, GROUP = well_known.SUITE_DEFAULT, well_known.TABLE_GROUP
UNKNOWN_ID = "11111111-1111-4111-8111-111111111111"
NOT_FOUND = {"detail": {"errors": [{"code": "not_found", "detail": "Not found"}]}}


def validation_error(kind: str, location: str, name: str, message: str, value: Any, **context: Any) -> dict[str, Any]:
    return {"type": kind, "loc": [location, name], "msg": message, "input": value, "ctx": context}


def uuid_error(name: str, value: str, reason: str) -> dict[str, Any]:
    return validation_error(
        "uuid_parsing", "path", name, f"Input should be a valid UUID, {reason}", value, error=reason
    )


@pytest.mark.parametrize(
    ("method", "path", "name", "value", "reason"),
    [
        ("GET", "/jobs/{}", "job_id", "not-a-uuid", "invalid character: found `n` at 0"),
        ("POST", "/jobs/{}/cancel", "job_id", "not-a-uuid", "invalid character: found `n` at 0"),
        ("GET", "/test-runs/{}", "job_id", "123", "invalid length: found 3"),
        ("GET", "/profiling-runs/{}", "job_id", "123", "invalid length: found 3"),
        ("POST", "/test-suites/{}/test-runs", "test_suite_id", "default-suite-1", "invalid character: found `u` at 4"),
        ("POST", "/table-groups/{}/profiling-runs", "table_group_id", "default", "invalid character: found `u` at 4"),
        ("GET", "/jobs/{}", "job_id", f"{UNKNOWN_ID}-1", "invalid group count: found 6"),
        ("GET", "/jobs/{}", "job_id", UNKNOWN_ID[:-1], "invalid group length in group 4: found 11"),
    ],
)
def test_ids_that_are_not_uuids(testgen: Any, method: str, path: str, name: str, value: str, reason: str) -> None:
    response = testgen(method, path.format(value))
    assert response.status_code == 422
    assert response.json() == {"detail": [uuid_error(name, value, reason)]}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (
            "limit=101",
            validation_error(
                "less_than_equal", "query", "limit", "Input should be less than or equal to 100", "101", le=100
            ),
        ),
        (
            "page=0",
            validation_error(
                "greater_than_equal", "query", "page", "Input should be greater than or equal to 1", "0", ge=1
            ),
        ),
        (
            "job_key=run-monitors",
            validation_error(
                "enum",
                "query",
                "job_key",
                "Input should be 'run-profile', 'run-tests' or 'run-test-generation'",
                "run-monitors",
                expected="'run-profile', 'run-tests' or 'run-test-generation'",
            ),
        ),
    ],
)
def test_queries_out_of_range(testgen: Any, query: str, error: dict[str, Any]) -> None:
    response = testgen("GET", f"/projects/DEFAULT/jobs?{query}")
    assert (response.status_code, response.json()) == (422, {"detail": [error]})


def test_all_errors_are_reported_together(sandbox: Sandbox, testgen: Any) -> None:
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    response = testgen("GET", f"/test-runs/{job_id}/results?limit=101&page=0&status=Failed")
    assert [(item["loc"][1], item["type"]) for item in response.json()["detail"]] == [
        ("status", "enum"),
        ("page", "greater_than_equal"),
        ("limit", "less_than_equal"),
    ]
    statuses = testgen("GET", "/projects/DEFAULT/jobs?status=done").json()["detail"][0]["ctx"]["expected"]
    assert statuses == (
        "'pending', 'claimed', 'running', 'completed', 'error', 'cancel_requested', 'canceled', "
        "'interrupt_requested', 'interrupted', 'pause_requested', 'paused', 'resume_requested' or 'queued'"
    )


def test_test_run_bodies(sandbox: Sandbox, testgen: Any) -> None:
    path, headers = f"/test-suites/{SUITE}/test-runs", {"Content-Type": "application/json"}

    def detail(**options: Any) -> Any:
        response = testgen("POST", path, **options)
        assert response.status_code == 422, response.text
        return response.json()["detail"]

    assert detail(data="{not json", headers=headers) == [
        {
            "type": "json_invalid",
            "loc": ["body", 1],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": "Expecting property name enclosed in double quotes"},
        }
    ]
    assert detail(json={"nonsense": 1}) == [
        {"type": "extra_forbidden", "loc": ["body", "nonsense"], "msg": "Extra inputs are not permitted", "input": 1}
    ]
    not_an_object = "Input should be a valid dictionary or object to extract fields from"
    assert detail(json=[]) == [{"type": "model_attributes_type", "loc": ["body"], "msg": not_an_object, "input": []}]
    assert detail(data="{}", headers={"Content-Type": "text/plain"})[0]["type"] == "model_attributes_type"
    many = {str(number): number for number in range(51)}
    assert detail(json={"metadata": many}) == [
        validation_error("value_error", "body", "metadata", "Value error, must have at most 50 keys", many, error={})
    ]
    long = "x" * 2049
    assert detail(json={"external_url": long}) == [
        validation_error(
            "string_too_long",
            "body",
            "external_url",
            "String should have at most 2048 characters",
            long,
            max_length=2048,
        )
    ]
    assert detail(json={"metadata": {"a": "x" * 10_300}})[0]["type"] == "value_error"
    assert detail(json={"metadata": "text"})[0]["type"] == "dict_type"
    assert detail(json={"match_schema_name": "a'b"})[0]["type"] == "string_pattern_mismatch"
    assert detail(json={"match_schema_name": 1})[0]["type"] == "string_type"
    large = testgen("POST", path, data=b"x" * 11_000_000, headers=headers)
    assert (large.status_code, large.json()) == (413, {"detail": "Request body too large"})
    assert sandbox.starts() == 0
    for body in ("", "{}", "null", json.dumps({"match_schema_name": "staging", "metadata": None})):
        assert testgen("POST", path, data=body, headers=headers).status_code == 202
    profiling = testgen("POST", f"/table-groups/{GROUP}/profiling-runs", json={"nonsense": 1})
    assert profiling.status_code == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/jobs/{UNKNOWN_ID}"),
        ("POST", f"/jobs/{UNKNOWN_ID}/cancel"),
        ("GET", f"/test-runs/{UNKNOWN_ID}"),
        ("GET", f"/test-runs/{UNKNOWN_ID}/results"),
        ("GET", f"/profiling-runs/{UNKNOWN_ID}"),
        ("GET", f"/profiling-runs/{UNKNOWN_ID}/hygiene-issues"),
        ("POST", f"/test-suites/{UNKNOWN_ID}/test-runs"),
        ("POST", f"/test-suites/{GROUP}/test-runs"),
        ("POST", f"/table-groups/{SUITE}/profiling-runs"),
        ("GET", "/projects/NOPE/jobs"),
        ("GET", "/projects/default/jobs"),
        ("GET", "/projects/default/test-suites"),
    ],
)
def test_unknown_ids(testgen: Any, method: str, path: str) -> None:
    response = testgen(method, path)
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_job_of_another_kind(testgen: Any) -> None:
    tests = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    profiling = testgen.json("POST", f"/table-groups/{GROUP}/profiling-runs")["id"]
    for path in (f"/test-runs/{profiling}", f"/profiling-runs/{tests}", f"/test-runs/{profiling}/results"):
        assert testgen("GET", path).json() == NOT_FOUND


def test_unknown_paths(sandbox: Sandbox, testgen: Any) -> None:
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    no_route = testgen("GET", "/nope")
    assert (no_route.status_code, no_route.json()) == (404, {"detail": "Not Found"})
    for method, path, allowed in (("GET", f"/jobs/{job_id}/cancel", "POST"), ("DELETE", f"/jobs/{job_id}", "GET")):
        response = testgen(method, path)
        assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
        assert response.headers["Allow"] == allowed
    slash = testgen("GET", f"/jobs/{job_id}/?a=b")
    assert slash.status_code == 307
    assert slash.headers["Location"] == f"{sandbox.url}/testgen/api/v1/jobs/{job_id}?a=b"
    assert testgen.json("GET", f"/jobs/{job_id.upper()}")["id"] == job_id


def test_encoded_slash_reaches_no_other_endpoint(sandbox: Sandbox, testgen: Any) -> None:
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    response = testgen("POST", f"/jobs/{job_id}%2Fcancel")
    assert response.status_code == 405
    assert testgen("GET", f"/jobs/{job_id}%2Fcancel").status_code == 422
    assert sandbox.runs()[0].cancel_requested_at is None


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "Not authenticated"),
        ("Basic YTpi", "Not authenticated"),
        ("Bearer ", "Not authenticated"),
        ("Bearer not-a-jwt", "Invalid or expired token"),
    ],
)
def test_credentials_are_checked_first(sandbox: Sandbox, testgen: Any, value: str | None, detail: str) -> None:
    for method, path in (
        ("GET", f"/jobs/{UNKNOWN_ID}"),
        ("GET", "/jobs/not-a-uuid"),
        ("POST", f"/test-suites/{SUITE}/test-runs"),
        ("GET", "/projects/DEFAULT/jobs"),
    ):
        response = testgen(method, path, headers={"Authorization": value})
        assert (response.status_code, response.json()) == (401, {"detail": detail})
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert testgen("GET", "/health", headers={"Authorization": None}).json() == {
        "status": "ok",
        "edition": "TestGen",
        "version": None,
    }
    assert sandbox.starts() == 0
