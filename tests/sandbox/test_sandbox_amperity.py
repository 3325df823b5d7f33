"""Amperity: workflow runs and their tasks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.sandbox.amperity_calls import (
    CAMPAIGN,
    COURIERS,
    FAILING,
    ORCHESTRATION,
    OVERVIEW,
    RUNS,
    TIME,
    assert_rejected,
    fetch,
    start,
    states,
)


def test_start_response(sandbox: Sandbox, amperity: Any) -> None:
    response = amperity("POST", RUNS, json={"config_id": COURIERS})
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {
        *("task_instances", "id", "name", "principal_name", "principal_id", "type", "launched_version", "state"),
        *("created_at", "tenant", "current_version"),
    }
    assert re.fullmatch(r"wf-\d{8}-\d{5}-[0-9A-Za-z]{6}", body["id"])
    assert re.fullmatch(TIME, body["created_at"])
    assert (body["type"], body["state"], body["tenant"]) == ("courier.group/run", "scheduled", "sandbox")
    assert body["task_instances"] == []
    sandbox.set_behavior(COURIERS, Behavior(start_status=200))
    assert amperity("POST", RUNS, json={"config_id": COURIERS}).status_code == 200
    assert sandbox.starts("amperity") == 2


def test_run_life_cycle(sandbox: Sandbox, amperity: Any) -> None:
    run_id, observed = start(amperity), []
    for _ in range(4):
        observed.append(fetch(amperity, run_id, "overview")["state"])
        assert set(fetch(amperity, run_id, "overview")) == OVERVIEW - {"ended_at"}
        sandbox.advance(1.5)
    assert observed == ["scheduled", "scheduled", "started", "in progress"]
    sandbox.advance(14.1)
    ended = amperity.json("GET", f"{RUNS}/{run_id}")
    assert set(ended) == OVERVIEW
    assert (ended["id"], ended["state"]) == (run_id, "succeeded")
    assert re.fullmatch(TIME, ended["ended_at"])
    everything = fetch(amperity, run_id)
    assert states(everything) == ["succeeded"] * 3
    assert "error" not in everything
    assert {**everything, **ended} == everything


@pytest.mark.parametrize(
    ("config_id", "kind"),
    [
        (COURIERS, "courier.group/run"),
        (ORCHESTRATION, "amperity.orchestration.orchestration/run"),
        (CAMPAIGN, "campaign.send"),
    ],
)
def test_prefix_determines_the_kind_of_run(sandbox: Sandbox, amperity: Any, config_id: str, kind: str) -> None:
    run_id = start(amperity, config_id)
    sandbox.advance(21)
    ended = fetch(amperity, run_id)
    assert (ended["type"], ended["state"]) == (kind, "succeeded")
    assert ended["task_instances"]


def test_tasks_continue_after_a_failed_task(sandbox: Sandbox, amperity: Any) -> None:
    run_id, observed = start(amperity, FAILING), []
    for _ in range(4):
        run = fetch(amperity, run_id)
        observed.append((run["state"], states(run)))
        assert "error" not in run
        sandbox.advance(4)
    assert observed == [
        ("scheduled", []),
        ("in progress", ["running", "scheduled", "scheduled", "scheduled"]),
        ("in progress", ["succeeded", "running", "scheduled", "scheduled"]),
        ("running with failures", ["succeeded", "failed", "running", "scheduled"]),
    ]
    ended = fetch(amperity, run_id)
    assert (ended["state"], states(ended)) == ("failed", ["succeeded", "failed", "succeeded", "skipped"])
    assert set(ended["error"]) == {"attribution", "type", "message", "data"}
    assert ended["error"]["data"] is None
    assert "loyalty_members" in ended["error"]["message"]
    failed, skipped = ended["task_instances"][1], ended["task_instances"][3]
    assert set(failed) == {
        *("id", "state", "tenant", "created_at", "ended_at", "state_changed_at", "execution_type", "label", "run_id"),
        *("task_definition_id", "task_definition_type", "task_instance_id", "timeout_ms", "workflow_id", "error"),
    }
    assert failed["id"].startswith("wft-")
    assert failed["workflow_id"] == run_id
    assert "created_at" not in skipped
    # The overview does not contain the error.
    assert set(fetch(amperity, run_id, "overview")) == OVERVIEW


def test_tasks_and_errors_follow_the_behavior(sandbox: Sandbox, amperity: Any) -> None:
    tasks = ["skipped", {"label": "Mine", "outcome": "failed", "error": "no space"}, "up for retry"]
    first_behavior = Behavior(
        outcome="fail", error="boom", tasks=tasks, attribution="platform", error_type="a.b/c", task_start="started_at"
    )
    sandbox.set_behavior(
        COURIERS, [first_behavior, Behavior(outcome="fail", attribution=None, error_data={"n": 1}, tasks=[])]
    )
    first, second = start(amperity), start(amperity)
    sandbox.advance(25)
    ended = fetch(amperity, first)
    assert ended["error"] == {"attribution": "platform", "type": "a.b/c", "message": "boom"}
    assert states(ended) == ["skipped", "failed", "up for retry"]
    mine = ended["task_instances"][1]
    assert (mine["label"], mine["error"]["message"]) == ("Mine", "no space")
    assert "created_at" not in mine
    assert re.fullmatch(TIME, mine["started_at"])
    ended = fetch(amperity, second)
    assert ended["task_instances"] == []
    assert ended["error"]["data"] == {"n": 1}
    assert "attribution" not in ended["error"]
    for tasks in ("failed", ["failed", 1], [{"name": "x"}]):
        with pytest.raises(ValueError, match="task"):
            sandbox.set_behavior(COURIERS, Behavior(tasks=tasks))


@pytest.mark.parametrize(
    ("state_case", "state"),
    [("lower", "in progress"), ("title", "In progress"), ("kebab", "in-progress"), ("snake", "in_progress")],
)
def test_state_cases(sandbox: Sandbox, amperity: Any, state_case: str, state: str) -> None:
    sandbox.set_behavior(COURIERS, Behavior(state_case=state_case))
    run_id = start(amperity)
    sandbox.advance(9)
    assert fetch(amperity, run_id)["state"] == state
    sandbox.advance(12)
    ended = fetch(amperity, run_id)
    expected = "Succeeded" if state_case == "title" else "succeeded"
    assert {ended["state"], *states(ended)} == {expected}
    # A filter accepts any case.
    assert len(amperity.json("GET", f"{RUNS}?state=SUCCEEDED")["data"]) == 1


@pytest.mark.parametrize(
    ("options", "expected_states"),
    [
        ({}, ["stopping", "canceled"]),
        ({"stopped_state": "stopped"}, ["stopping", "stopped"]),
        ({"state_names": "stop", "state_case": "title"}, ["Canceling", "Canceled"]),
    ],
)
def test_stop(sandbox: Sandbox, amperity: Any, options: Any, expected_states: list[str]) -> None:
    sandbox.set_behavior(COURIERS, Behavior(**options))
    run_id = start(amperity)
    sandbox.advance(12)
    stopping = amperity.json("POST", f"{RUNS}/{run_id}/stop")
    assert set(stopping) == (OVERVIEW | {"task_instances"}) - {"ended_at"}
    assert (stopping["state"], stopping["task_instances"]) == (expected_states[0], [])
    assert amperity("POST", f"{RUNS}/{run_id}/stop").status_code == 200
    sandbox.advance(2)
    stopped = fetch(amperity, run_id)
    final = expected_states[1]
    assert (stopped["state"], states(stopped)) == (final, [stopped["task_instances"][0]["state"], final, final])
    assert stopped["error"] == {
        "attribution": "customer",
        "type": "amperity.workflow.workflow.repository.core/cancel",
        "message": "Workflow manually stopped",
    }
    assert final in assert_rejected(amperity("POST", f"{RUNS}/{run_id}/stop"), 409)
    assert_rejected(amperity("POST", f"{RUNS}/wf-20261123-00000-000000/stop"), 404)


def test_immediate_stop(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(COURIERS, Behavior(cancel_seconds=0))
    run_id = start(amperity)
    stopped = amperity.json("POST", f"{RUNS}/{run_id}/stop")
    assert set(stopped) == OVERVIEW | {"task_instances"}
    assert stopped["state"] == "canceled"
    assert fetch(amperity, run_id)["task_instances"] == []


def test_run_canceled_without_a_request(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(COURIERS, Behavior(outcome="cancel"))
    run_id, observed = start(amperity), []
    for _ in range(3):
        sandbox.advance(9)
        run = fetch(amperity, run_id)
        observed.append((run["state"], states(run)))
    # The run was canceled during its last task.
    assert observed == [
        ("in progress", ["succeeded", "running", "scheduled"]),
        ("stopping", ["succeeded", "succeeded", "stopping"]),
        ("canceled", ["succeeded", "succeeded", "canceled"]),
    ]
    assert run["error"]["type"].endswith("core/cancel")


def test_started_orchestration_task_continues_after_a_stop(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(ORCHESTRATION, Behavior(running_seconds=60))
    run_id = start(amperity, ORCHESTRATION)
    sandbox.advance(5)
    amperity.json("POST", f"{RUNS}/{run_id}/stop")
    sandbox.advance(5)
    stopped = fetch(amperity, run_id)
    assert (stopped["state"], states(stopped)) == ("canceled", ["running", "canceled", "canceled"])
    sandbox.advance(15)
    later = fetch(amperity, run_id)
    assert states(later) == ["succeeded", "canceled", "canceled"]
    assert later["task_instances"][0]["ended_at"] > later["ended_at"]


def test_paused_run(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(COURIERS, Behavior(hold="Paused"))
    run_id = start(amperity)
    sandbox.advance(86_400)
    assert fetch(amperity, run_id)["state"] == "Paused"
    assert states(fetch(amperity, run_id)) == ["succeeded", "running", "scheduled"]
    amperity.json("POST", f"{RUNS}/{run_id}/stop")
    sandbox.advance(2)
    assert fetch(amperity, run_id)["state"] == "canceled"


@pytest.mark.parametrize(
    "fields",
    [
        {"range_from": "2026-11-01"},
        {"range_from": "2026-11-01", "range_to": "2026-11-02"},
        {"range_from": "2026-11-01T00:00:00Z", "range_to": "2026-11-01T00:00:00.5+00:00", "run_mode": "source"},
        {"run_mode": "refresh", "range_from": "2026-11-01T10:30Z"},
    ],
)
def test_valid_bodies(sandbox: Sandbox, amperity: Any, fields: Any) -> None:
    start(amperity, well_known.AMPERITY_FILES, **fields)
    assert sandbox.runs()[0].body == {"config_id": well_known.AMPERITY_FILES, **fields}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "object"),
        ({}, "config_id"),
        ({"config_id": None}, "config_id"),
        ({"config_id": "xx-1"}, "cg-"),
        ({"config_id": "cg-unknown"}, "cg-unknown"),
        ({"config_id": COURIERS, "name": "x"}, "name"),
        ({"config_id": COURIERS, "range_from": None}, "range_from"),
        ({"config_id": COURIERS, "range_to": "2026-11-02"}, "range_from"),
        ({"config_id": COURIERS, "range_from": "yesterday"}, "ISO 8601"),
        ({"config_id": COURIERS, "range_from": "2026-11-31"}, "ISO 8601"),
        ({"config_id": COURIERS, "range_from": "2026-11-01T00:00:00"}, "UTC"),
        ({"config_id": COURIERS, "range_from": "2026-11-01T00:00:00+01:00"}, "UTC"),
        ({"config_id": COURIERS, "range_from": "2026-11-02", "range_to": "2026-11-02"}, "after"),
        ({"config_id": COURIERS, "run_mode": "Full"}, "run_mode"),
        ({"config_id": well_known.AMPERITY_FILES}, "range_from"),
        ({"config_id": ORCHESTRATION, "range_from": "2026-11-01"}, "courier groups"),
        ({"config_id": CAMPAIGN, "run_mode": "full"}, "courier groups"),
    ],
)
def test_invalid_bodies(sandbox: Sandbox, amperity: Any, body: Any, message: str) -> None:
    assert message in assert_rejected(amperity("POST", RUNS, json=body), 400)
    assert sandbox.starts() == 0


def test_bodies_that_are_not_json(amperity: Any) -> None:
    # Like the example in the documentation.
    body = '{"config_id"="cg-123ABc4DE"}'
    assert_rejected(amperity("POST", RUNS, data=body, headers={"Content-Type": "application/json"}), 400)
    assert_rejected(amperity("POST", RUNS, data={"config_id": COURIERS}), 400)


def test_headers(sandbox: Sandbox, amperity: Any) -> None:
    for headers, status in [
        ({"Authorization": None}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"amperity-tenant": None}, 400),
        ({"amperity-tenant": "socktown"}, 403),
        ({"api-version": None}, 400),
        ({"api-version": "2025-07-31"}, 401),
    ]:
        assert_rejected(amperity("GET", RUNS, headers=headers), status)
    by_query = f"{RUNS}?api_version=2024-04-01"
    assert amperity("GET", by_query, headers={"api-version": None}).status_code == 200
    # The header takes precedence.
    assert_rejected(amperity("GET", by_query, headers={"api-version": "2020-01-01"}), 401)
    sandbox.configure("amperity", version_status=400)
    assert_rejected(amperity("GET", RUNS, headers={"api-version": "unstable"}), 400)
    headers = sandbox.requests("amperity")[0].headers
    assert (headers["authorization"], headers["amperity-tenant"], headers["api-version"]) == (
        "missing",
        "sandbox",
        "2024-04-01",
    )
    assert well_known.AMPERITY_TOKEN not in repr(sandbox.requests())
