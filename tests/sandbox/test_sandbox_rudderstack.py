"""RudderStack: the Profiles API."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from dagster_runs.sandbox import Behavior, Sandbox, well_known

PROJECT = well_known.PROFILES_FEATURES


def start(api: Any, project: str = PROJECT, **options: Any) -> str:
    return str(api.json("POST", f"/sources/{project}/start", **options)["runId"])


def get_status(api: Any, run_id: str, project: str = PROJECT) -> Any:
    return api.json("GET", f"/sources/{project}/runs/{run_id}/status")


def test_run_life_cycle(sandbox: Sandbox, rudderstack: Any) -> None:
    response = rudderstack("POST", f"/sources/{PROJECT}/start")
    assert response.status_code == 200
    run_id = response.json()["runId"]
    assert re.fullmatch(r"[0-9a-v]{20}", run_id)

    sandbox.advance(19)
    running = get_status(rudderstack, run_id)
    assert running["status"] == "running"
    assert "finishedAt" not in running
    assert "error" not in running

    sandbox.advance(2)
    finished = get_status(rudderstack, run_id)
    assert set(finished) == {"jobId", "jobRunId", "status", "startedAt", "finishedAt", "tasks"}
    assert (finished["jobId"], finished["jobRunId"], finished["status"]) == (PROJECT, run_id, "finished")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", finished["finishedAt"])
    assert set(finished["tasks"][0]) == {"taskId", "taskRunId", "startedAt", "finishedAt"}


def test_snake_case_responses(sandbox: Sandbox, rudderstack: Any) -> None:
    run_id = start(rudderstack, well_known.PROFILES_SNAKE_CASE)
    running = get_status(rudderstack, run_id, well_known.PROFILES_SNAKE_CASE)
    assert (running["status"], running["finished_at"], running["error"]) == ("running", None, "")
    sandbox.advance(13)
    finished = get_status(rudderstack, run_id, well_known.PROFILES_SNAKE_CASE)
    assert set(finished) == {"id", "job_id", "status", "error", "started_at", "finished_at", "tasks"}
    assert (finished["id"], finished["status"]) == (run_id, "finished")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", finished["finished_at"])
    assert set(finished["tasks"][0]) == {"task_id", "task_run_id", "job_id", "started_at", "finished_at"}


@pytest.mark.parametrize(
    ("project", "expected_status"),
    [(well_known.PROFILES_FAILING, "failed"), (well_known.PROFILES_FINISHED_WITH_ERROR, "finished")],
)
def test_both_failure_styles(sandbox: Sandbox, rudderstack: Any, project: str, expected_status: str) -> None:
    run_id = start(rudderstack, project)
    assert "error" not in get_status(rudderstack, run_id, project)
    sandbox.advance(13)
    ended = get_status(rudderstack, run_id, project)
    assert ended["status"] == expected_status
    assert "does not exist" in ended["error"]


def test_project_has_one_active_run_at_a_time(sandbox: Sandbox, rudderstack: Any) -> None:
    start(rudderstack)
    again = rudderstack("POST", f"/sources/{PROJECT}/start")
    assert again.status_code == 409
    assert set(again.json()) == {"error"}
    start(rudderstack, well_known.PROFILES_SLOW)
    assert sandbox.starts("rudderstack") == 2
    sandbox.advance(21)
    start(rudderstack)
    assert sandbox.starts("rudderstack") == 3


def test_run_started_by_others_blocks_a_start_and_is_not_counted(sandbox: Sandbox, rudderstack: Any) -> None:
    external_run = sandbox.start_run(PROJECT)
    assert external_run.source == "scheduler"
    assert rudderstack("POST", f"/sources/{PROJECT}/start").status_code == 409
    assert sandbox.starts("rudderstack") == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"parameters": []},
        {"parameters": ["--model_refs models/id_graph_users", "--rebase_incremental"]},
        {"parameters": ["--begin_time 2026-11-01T00:00:00Z", "--end_time 2026-11-02T00:00:00.5+01:00"]},
        {"parameters": ["--begin_time 1659794654", "--rebase_incremental true"]},
    ],
)
def test_valid_parameters(sandbox: Sandbox, rudderstack: Any, body: Any) -> None:
    start(rudderstack, json=body)
    assert sandbox.runs()[0].parameters == body.get("parameters", [])


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"parameters": "--model_refs a"},
        {"parameters": None},
        {"parameters": [1]},
        {"parameters": [["--model_refs", "a"]]},
        {"parameters": ["--model_refs"]},
        {"parameters": ["--model_refs", "models/a"]},
        {"parameters": ["--begin_time yesterday"]},
        {"parameters": ["--end_time=2026-11-01"]},
        {"parameters": ["--threads 4"]},
        {"parameters": ["--rebase_incremental 1"]},
        {"parameters": [], "other": 1},
    ],
)
def test_invalid_parameters(sandbox: Sandbox, rudderstack: Any, body: Any) -> None:
    response = rudderstack("POST", f"/sources/{PROJECT}/start", json=body)
    assert response.status_code == 400
    assert response.json()["message"]
    assert sandbox.starts() == 0


def test_bodies_that_are_not_json(rudderstack: Any) -> None:
    path, headers = f"/sources/{PROJECT}/start", {"Content-Type": "application/json"}
    assert rudderstack("POST", path, data=b"{", headers=headers).status_code == 400
    assert rudderstack("POST", path, data={"parameters": "x"}).status_code == 400


def test_credentials(sandbox: Sandbox, rudderstack: Any) -> None:
    path = f"/sources/{PROJECT}/start"
    unauthorized = rudderstack("POST", path, headers={"Authorization": "Bearer wrong"})
    assert (unauthorized.status_code, unauthorized.json()) == (401, {"message": "Unauthorized"})
    for value in ("Basic abc", "Bearer", None):
        missing = rudderstack("POST", path, headers={"Authorization": value})
        assert (missing.status_code, missing.text) == (401, "Invalid Authorization Header")
    assert sandbox.starts() == 0


def test_unknown_paths_and_ids(rudderstack: Any) -> None:
    run_id = start(rudderstack)
    for method, path, code in [
        ("POST", "/sources/unknown/start", 404),
        ("GET", f"/sources/{PROJECT}/runs/unknown/status", 404),
        ("GET", f"/sources/{well_known.PROFILES_SLOW}/runs/{run_id}/status", 404),
        ("GET", f"/sources/{PROJECT}/runs", 404),
        ("POST", f"/sources/{PROJECT}/stop", 404),
        ("GET", f"/sources/{PROJECT}/start", 405),
        ("GET", "/sources//start", 404),
    ]:
        response = rudderstack(method, path)
        assert (response.status_code, set(response.json())) == (code, {"message"}), path


def test_encoded_slash_reaches_no_other_endpoint(sandbox: Sandbox, rudderstack: Any) -> None:
    run_id = start(rudderstack)
    good = f"/sources/{PROJECT}/runs/{run_id}/status"
    assert rudderstack("GET", good).status_code == 200
    for path in (f"/sources/{PROJECT}%2Fruns%2F{run_id}/status", f"/sources/{PROJECT}/runs%2F{run_id}%2Fstatus"):
        assert rudderstack("GET", path).status_code == 404
    hidden = rudderstack("POST", f"/sources/x%2F..%2F{well_known.PROFILES_SLOW}/start")
    assert hidden.status_code == 404
    assert sandbox.requests()[-1].path.endswith(f"/sources/x%2F..%2F{well_known.PROFILES_SLOW}/start")
    assert sandbox.starts() == 1
    # Unnecessary percent-encoding does not change the id.
    assert rudderstack("GET", good.replace(PROJECT, f"%{ord(PROJECT[0]):x}{PROJECT[1:]}")).status_code == 200


def test_list_of_behaviors(sandbox: Sandbox, rudderstack: Any) -> None:
    failed = Behavior(running_seconds=1, outcome="fail", error="boom")
    sandbox.set_behavior(PROJECT, [failed, Behavior(running_seconds=2, field_case="snake")])
    ended = []
    for _ in range(3):
        run_id = start(rudderstack)
        sandbox.advance(3)
        ended.append(get_status(rudderstack, run_id))
    assert (ended[0]["status"], ended[0]["error"]) == ("failed", "boom")
    assert [item["status"] for item in ended[1:]] == ["finished", "finished"]
    assert "started_at" in ended[1]


def test_undocumented_states(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.set_behavior(PROJECT, Behavior(running_seconds=4, hold="paused", hold_seconds=10))
    run_id = start(rudderstack)
    statuses = []
    for _ in range(6):
        statuses.append(get_status(rudderstack, run_id)["status"])
        sandbox.advance(3.2)
    assert statuses == ["running", "paused", "paused", "paused", "running", "finished"]
    sandbox.set_behavior(PROJECT, Behavior(running_seconds=1, outcome="cancel"))
    run_id = start(rudderstack)
    sandbox.advance(1)
    assert get_status(rudderstack, run_id)["status"] == "canceled"


def test_default_ids_have_the_format_of_the_vendor() -> None:
    projects = [value for name, value in vars(well_known).items() if name.startswith("PROFILES_")]
    assert len(set(projects)) == 5
    assert all(re.fullmatch(r"[0-9A-Za-z]{27}", project) for project in projects)


def test_base_url_without_a_version_is_not_an_endpoint(sandbox: Sandbox) -> None:
    response = requests.post(f"{sandbox.url}/rudderstack/sources/{PROJECT}/start", timeout=10)
    assert response.status_code == 404
