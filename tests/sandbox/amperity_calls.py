"""Helpers for the tests of the simulated Amperity."""

from __future__ import annotations

from typing import Any

from dagster_runs.sandbox import well_known

COURIERS, ORCHESTRATION = well_known.AMPERITY_COURIERS, well_known.AMPERITY_ORCHESTRATION
CAMPAIGN, FAILING = well_known.AMPERITY_CAMPAIGN, well_known.AMPERITY_FAILING
OVERVIEW = {"created_at", "ended_at", "id", "name", "state", "tenant", "type"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
RUNS = "/workflow/runs"


def start(api: Any, config_id: str = COURIERS, **fields: Any) -> str:
    return str(api.json("POST", RUNS, json={"config_id": config_id, **fields})["id"])


def fetch(api: Any, run_id: str, view: str = "verbose") -> Any:
    return api.json("GET", f"{RUNS}/{run_id}?view={view}")


def states(run: Any) -> list[str]:
    return [task["state"] for task in run["task_instances"]]


def assert_rejected(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"status", "message", "request_id", "trace_id"}
    assert body["status"] == status
    return str(body["message"])
