"""The stand-in of Amperity's workflows."""

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
    fetch,
    refused,
    start,
    states,
)


def test_the_answer_to_a_start(sandbox: Sandbox, amperity: Any) -> None:
    answer = amperity("POST", RUNS, json={"config_id": COURIERS})
    assert answer.status_code == 201
    body = answer.json()
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


def test_a_run_from_start_to_end(sandbox: Sandbox, amperity: Any) -> None:
    run_id, seen = start(amperity), []
    for _ in range(4):
        seen.append(fetch(amperity, run_id, "overview")["state"])
        assert set(fetch(amperity, run_id, "overview")) == OVERVIEW - {"ended_at"}
        sandbox.advance(1.5)
    assert seen == ["scheduled", "scheduled", "started", "in progress"]
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
def test_the_prefix_says_what_it_is(sandbox: Sandbox, amperity: Any, config_id: str, kind: str) -> None:
    run_id = start(amperity, config_id)
    sandbox.advance(21)
    ended = fetch(amperity, run_id)
    assert (ended["type"], ended["state"]) == (kind, "succeeded")
    assert ended["task_instances"]


def test_a_failure_with_tasks_that_go_on(sandbox: Sandbox, amperity: Any) -> None:
    run_id, seen = start(amperity, FAILING), []
    for _ in range(4):
        run = fetch(amperity, run_id)
        seen.append((run["state"], states(run)))
        assert "error" not in run
        sandbox.advance(4)
    assert seen == [
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
    # What the run shows without being asked for more says nothing of it.
    assert set(fetch(amperity, run_id, "overview")) == OVERVIEW


def test_tasks_and_errors_as_asked_for(sandbox: Sandbox, amperity: Any) -> None:
    tasks = ["skipped", {"label": "Mine", "outcome": "failed", "error": "no space"}, "up for retry"]
    wanted = Behavior(
        outcome="fail", error="boom", tasks=tasks, attribution="platform", error_type="a.b/c", task_start="started_at"
    )
    sandbox.set_behavior(COURIERS, [wanted, Behavior(outcome="fail", attribution=None, error_data={"n": 1}, tasks=[])])
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
    for wrong in ("failed", ["failed", 1], [{"name": "x"}]):
        with pytest.raises(ValueError, match="task"):
            sandbox.set_behavior(COURIERS, Behavior(tasks=wrong))


@pytest.mark.parametrize(
    ("state_case", "word"),
    [("lower", "in progress"), ("title", "In progress"), ("kebab", "in-progress"), ("snake", "in_progress")],
)
def test_spellings(sandbox: Sandbox, amperity: Any, state_case: str, word: str) -> None:
    sandbox.set_behavior(COURIERS, Behavior(state_case=state_case))
    run_id = start(amperity)
    sandbox.advance(9)
    assert fetch(amperity, run_id)["state"] == word
    sandbox.advance(12)
    ended = fetch(amperity, run_id)
    expected = "Succeeded" if state_case == "title" else "succeeded"
    assert {ended["state"], *states(ended)} == {expected}
    # A filter takes any spelling.
    assert len(amperity.json("GET", f"{RUNS}?state=SUCCEEDED")["data"]) == 1


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, ["stopping", "canceled"]),
        ({"stopped_state": "stopped"}, ["stopping", "stopped"]),
        ({"state_names": "stop", "state_case": "title"}, ["Canceling", "Canceled"]),
    ],
)
def test_a_stop(sandbox: Sandbox, amperity: Any, options: Any, seen: list[str]) -> None:
    sandbox.set_behavior(COURIERS, Behavior(**options))
    run_id = start(amperity)
    sandbox.advance(12)
    stopping = amperity.json("POST", f"{RUNS}/{run_id}/stop")
    assert set(stopping) == (OVERVIEW | {"task_instances"}) - {"ended_at"}
    assert (stopping["state"], stopping["task_instances"]) == (seen[0], [])
    assert amperity("POST", f"{RUNS}/{run_id}/stop").status_code == 200
    sandbox.advance(2)
    stopped = fetch(amperity, run_id)
    assert (stopped["state"], states(stopped)) == (seen[1], [stopped["task_instances"][0]["state"], seen[1], seen[1]])
    assert stopped["error"] == {
        "attribution": "customer",
        "type": "amperity.workflow.workflow.repository.core/cancel",
        "message": "Workflow manually stopped",
    }
    assert seen[1] in refused(amperity("POST", f"{RUNS}/{run_id}/stop"), 409)
    refused(amperity("POST", f"{RUNS}/wf-20261123-00000-nobody/stop"), 404)


def test_a_stop_that_takes_no_time(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(COURIERS, Behavior(cancel_seconds=0))
    run_id = start(amperity)
    stopped = amperity.json("POST", f"{RUNS}/{run_id}/stop")
    assert set(stopped) == OVERVIEW | {"task_instances"}
    assert stopped["state"] == "canceled"
    assert fetch(amperity, run_id)["task_instances"] == []


def test_a_run_that_somebody_else_stopped(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.set_behavior(COURIERS, Behavior(outcome="cancel"))
    run_id, seen = start(amperity), []
    for _ in range(3):
        sandbox.advance(9)
        run = fetch(amperity, run_id)
        seen.append((run["state"], states(run)))
    # It gave up in the course of its last task.
    assert seen == [
        ("in progress", ["succeeded", "running", "scheduled"]),
        ("stopping", ["succeeded", "succeeded", "stopping"]),
        ("canceled", ["succeeded", "succeeded", "canceled"]),
    ]
    assert run["error"]["type"].endswith("core/cancel")


def test_what_an_orchestration_sent_out_goes_on(sandbox: Sandbox, amperity: Any) -> None:
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


def test_a_run_that_waits_for_a_person(sandbox: Sandbox, amperity: Any) -> None:
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
def test_bodies_it_takes(sandbox: Sandbox, amperity: Any, fields: Any) -> None:
    start(amperity, well_known.AMPERITY_FILES, **fields)
    assert sandbox.runs()[0].body == {"config_id": well_known.AMPERITY_FILES, **fields}


@pytest.mark.parametrize(
    ("body", "says"),
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
def test_bodies_it_refuses(sandbox: Sandbox, amperity: Any, body: Any, says: str) -> None:
    assert says in refused(amperity("POST", RUNS, json=body), 400)
    assert sandbox.starts() == 0


def test_bodies_that_are_no_json(amperity: Any) -> None:
    # As the documentation's own example has it.
    wrong = '{"config_id"="cg-123ABc4DE"}'
    refused(amperity("POST", RUNS, data=wrong, headers={"Content-Type": "application/json"}), 400)
    refused(amperity("POST", RUNS, data={"config_id": COURIERS}), 400)


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
        refused(amperity("GET", RUNS, headers=headers), status)
    by_query = f"{RUNS}?api_version=2024-04-01"
    assert amperity("GET", by_query, headers={"api-version": None}).status_code == 200
    # The header wins.
    refused(amperity("GET", by_query, headers={"api-version": "2020-01-01"}), 401)
    sandbox.configure("amperity", version_status=400)
    refused(amperity("GET", RUNS, headers={"api-version": "unstable"}), 400)
    seen = sandbox.requests("amperity")[0].headers
    assert (seen["authorization"], seen["amperity-tenant"], seen["api-version"]) == ("missing", "sandbox", "2024-04-01")
    assert well_known.AMPERITY_TOKEN not in repr(sandbox.requests())
