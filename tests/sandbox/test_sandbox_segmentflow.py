"""Segmentflow: journeys."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known

JOURNEY, KEY = well_known.SEGMENTFLOW_JOURNEY, well_known.SEGMENTFLOW_JOURNEY_KEY
EXITING, FAILING = well_known.SEGMENTFLOW_EXITING, well_known.SEGMENTFLOW_FAILING
OLD, NEW = f"/public/journeys/{JOURNEY}/trigger", f"/journeys/{KEY}/trigger"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ANNA, BEN = {"email": "anna@example.com"}, {"userId": "ben"}
SHAPE_A = {"runId", "journeyId", "profileId", "status", "triggeredAt", "completedAt", "error"}


def trigger(api: Any, journey: str = JOURNEY, recipient: Any = ANNA) -> str:
    return str(api.json("POST", f"/public/journeys/{journey}/trigger", json={"recipient": recipient})["runId"])


def trigger_by_key(api: Any, key: str | None, body: Any, path: str = NEW) -> Any:
    return api("POST", path, json=body, headers={"idempotency-key": key})


def get_status(api: Any, run_id: str) -> Any:
    return api.json("GET", f"/public/journeys/runs/{run_id}")


def assert_rejected(response: Any, code: int, error: str, **details: Any) -> str:
    assert response.status_code == code, response.text
    body = response.json()
    assert set(body) - {"details"} == {"error", "message"}
    assert body["error"] == error
    if details:
        assert body["details"] == details
    return str(body["message"])


def test_older_trigger(sandbox: Sandbox, segmentflow: Any) -> None:
    response = segmentflow("POST", OLD, json={"recipient": {**ANNA, "anonymousId": "x"}, "variables": {"a": [1]}})
    assert response.status_code == 202
    started = response.json()
    assert set(started) == {"runId", "workflowId", "status"}
    assert uuid.UUID(started["runId"]).version == 4
    assert started["status"] == "queued"
    # It ignores the idempotency key, so a repeated request starts another run.
    headers = {"idempotency-key": "k"}
    again = [segmentflow.json("POST", OLD, json={"recipient": ANNA}, headers=headers)["runId"] for _ in range(2)]
    assert len({started["runId"], *again}) == 3
    assert sandbox.starts("segmentflow") == 3


def test_run_life_cycle(sandbox: Sandbox, segmentflow: Any) -> None:
    run_id, statuses = trigger(segmentflow), []
    for _ in range(3):
        run = get_status(segmentflow, run_id)
        assert (run["completedAt"], run["error"]) == (None, None)
        statuses.append(run["status"])
        sandbox.advance(3)
    assert statuses == ["queued", "running", "running"]
    sandbox.advance(2)
    run = get_status(segmentflow, run_id)
    assert set(run) == SHAPE_A | {"workflowId"}
    assert (run["runId"], run["journeyId"], run["status"], run["error"]) == (run_id, JOURNEY, "completed", None)
    assert re.fullmatch(TIME, run["triggeredAt"])
    assert re.fullmatch(TIME, run["completedAt"])
    assert uuid.UUID(run["profileId"])
    assert get_status(segmentflow, trigger(segmentflow))["profileId"] == run["profileId"]
    assert get_status(segmentflow, trigger(segmentflow, recipient=BEN))["profileId"] != run["profileId"]


def test_exited_and_failed_runs(sandbox: Sandbox, segmentflow: Any) -> None:
    exiting, failing = trigger(segmentflow, EXITING), trigger(segmentflow, FAILING)
    sandbox.advance(11)
    assert [get_status(segmentflow, run_id)["status"] for run_id in (exiting, failing)] == ["running", "running"]
    sandbox.advance(2)
    exited, failed = get_status(segmentflow, exiting), get_status(segmentflow, failing)
    assert (exited["status"], exited["error"], failed["status"]) == ("exited", None, "failed")
    assert "sender profile" in failed["error"]
    assert failed["completedAt"] is not None
    sandbox.set_behavior(JOURNEY, Behavior(outcome="fail", error="boom"))
    run_id = trigger(segmentflow)
    sandbox.advance(11)
    assert get_status(segmentflow, run_id)["error"] == "boom"


@pytest.mark.parametrize(
    ("options", "completed_at", "workflow_id"),
    [
        ({"shape": "A"}, None, "absent"),
        ({"shape": "A", "completed_at": "present"}, "triggeredAt", "absent"),
        ({"shape": "A", "completed_at": "absent"}, "absent", "absent"),
        ({"shape": "B", "workflow_id": "null"}, None, None),
        ({"completed_at": "absent"}, "absent", "given"),
    ],
)
def test_shapes(sandbox: Sandbox, segmentflow: Any, options: Any, completed_at: Any, workflow_id: Any) -> None:
    sandbox.set_behavior(JOURNEY, Behavior(**options))
    run_id = trigger(segmentflow)
    sandbox.advance(5)
    run = get_status(segmentflow, run_id)
    expected = run["triggeredAt"] if completed_at == "triggeredAt" else completed_at
    assert run.get("completedAt", "absent") == expected
    assert run["status"] == "running"
    if workflow_id == "given":
        assert run["workflowId"]
    else:
        assert run.get("workflowId", "absent") == workflow_id
    sandbox.advance(6)
    ended = get_status(segmentflow, run_id)
    assert set(ended) >= SHAPE_A
    assert ended["completedAt"] > ended["triggeredAt"]


# --- the newer trigger


def test_idempotency_key_starts_one_run(sandbox: Sandbox, segmentflow: Any) -> None:
    first = trigger_by_key(
        segmentflow, "k1", {"profile": {**ANNA, "properties": {"a": 1}}, "variables": {"b": 2, "c": 3}}
    )
    assert first.status_code == 202
    assert set(first.json()) == {"runId", "status"}
    sandbox.advance(60)
    # The same content in another order gets the same response, even though the run has ended.
    body = {"variables": {"c": 3, "b": 2}, "profile": {"properties": {"a": 1}, **ANNA}}
    again = trigger_by_key(segmentflow, "k1", body)
    assert (again.status_code, again.json()) == (202, first.json())
    assert sandbox.starts("segmentflow") == 1
    assert get_status(segmentflow, first.json()["runId"])["status"] == "completed"
    assert get_status(segmentflow, first.json()["runId"])["journeyId"] == JOURNEY
    assert trigger_by_key(segmentflow, "k2", body).json()["runId"] != first.json()["runId"]
    assert [item.started_run is not None for item in sandbox.requests() if item.method == "POST"] == [True, False, True]
    assert sandbox.requests()[0].headers["idempotency-key"] == "k1"


def test_missing_variables_equal_empty_variables(sandbox: Sandbox, segmentflow: Any) -> None:
    first = trigger_by_key(segmentflow, "k", {"profile": ANNA}).json()
    assert trigger_by_key(segmentflow, "k", {"profile": ANNA, "variables": {}}).json() == first
    assert sandbox.starts() == 1


@pytest.mark.parametrize("code", [422, 409])
def test_idempotency_key_reused_with_another_body(sandbox: Sandbox, segmentflow: Any, code: int) -> None:
    sandbox.configure("segmentflow", reuse_status=code)
    trigger_by_key(segmentflow, "k", {"profile": ANNA})
    assert_rejected(trigger_by_key(segmentflow, "k", {"profile": BEN}), code, "idempotency_key_reuse")
    assert_rejected(
        trigger_by_key(segmentflow, "k", {"profile": ANNA, "variables": {"a": 1}}), code, "idempotency_key_reuse"
    )
    other = f"/journeys/{well_known.SEGMENTFLOW_EXITING_KEY}/trigger"
    assert_rejected(trigger_by_key(segmentflow, "k", {"profile": ANNA}, other), code, "idempotency_key_reuse")
    assert sandbox.starts() == 1


def test_repeated_request_returns_the_run_of_a_lost_response(sandbox: Sandbox, segmentflow: Any) -> None:
    sandbox.add_fault(Fault("status_after", status=504, times=1))
    assert trigger_by_key(segmentflow, "k", {"profile": ANNA}).status_code == 504
    repeated = trigger_by_key(segmentflow, "k", {"profile": ANNA}).json()["runId"]
    assert [run.id for run in sandbox.runs()] == [repeated]
    # A rejected request does not use up its key.
    sandbox.reset()
    sandbox.add_fault(Fault("status", status=503, times=1))
    trigger_by_key(segmentflow, "k", {"profile": BEN})
    assert_rejected(trigger_by_key(segmentflow, "k", {"profile": {}}), 422, "validation_failed")
    assert trigger_by_key(segmentflow, "k", {"profile": ANNA}).status_code == 202


@pytest.mark.parametrize("key", [None, "", "k" * 256])
def test_invalid_idempotency_keys(sandbox: Sandbox, segmentflow: Any, key: str | None) -> None:
    message = assert_rejected(
        trigger_by_key(segmentflow, key, {"profile": ANNA}), 400, "bad_request", field="idempotency-key"
    )
    assert "255" in message
    assert trigger_by_key(segmentflow, "k" * 255, {"profile": ANNA}).status_code == 202


def test_start_status(sandbox: Sandbox, segmentflow: Any) -> None:
    sandbox.set_behavior(JOURNEY, Behavior(start_status=200))
    assert segmentflow("POST", OLD, json={"recipient": ANNA}).status_code == 200
    assert trigger_by_key(segmentflow, "k", {"profile": ANNA}).status_code == 200
    assert trigger_by_key(segmentflow, "k", {"profile": ANNA}).status_code == 200


# --- rejected requests


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 400),
        ({}, 400),
        ({"recipient": "anna@example.com"}, 400),
        ({"recipient": {"email": 1}}, 400),
        ({"recipient": {"email": "anna"}}, 400),
        ({"recipient": {"externalId": "x"}}, 400),
        ({"recipient": ANNA, "variables": []}, 400),
        ({"recipient": ANNA, "variables": None}, 400),
        ({"recipient": ANNA, "profile": ANNA}, 400),
        ({"recipient": {}}, 422),
        ({"recipient": {"userId": ""}}, 422),
    ],
)
def test_invalid_bodies(sandbox: Sandbox, segmentflow: Any, body: Any, code: int) -> None:
    error = "bad_request" if code == 400 else "validation_failed"
    assert_rejected(segmentflow("POST", OLD, json=body), code, error)
    assert sandbox.starts() == 0


def test_valid_and_invalid_profiles(segmentflow: Any) -> None:
    for number, profile in enumerate([{"externalId": "x"}, {"anonymousId": "x"}, {**BEN, "properties": {}}]):
        assert trigger_by_key(segmentflow, str(number), {"profile": profile}).status_code == 202
    assert_rejected(trigger_by_key(segmentflow, "a", {"profile": {"properties": {"a": 1}}}), 422, "validation_failed")
    assert_rejected(trigger_by_key(segmentflow, "b", {"profile": {**BEN, "properties": "a"}}), 400, "bad_request")
    assert_rejected(trigger_by_key(segmentflow, "c", {"recipient": ANNA}), 400, "bad_request")
    form = segmentflow("POST", NEW, data={"profile": "x"}, headers={"idempotency-key": "d"})
    assert_rejected(form, 400, "bad_request")
    broken = segmentflow("POST", OLD, data="{", headers={"Content-Type": "application/json"})
    assert_rejected(broken, 400, "bad_request")


def test_credentials_and_scopes(sandbox: Sandbox, segmentflow: Any) -> None:
    run_id = trigger(segmentflow)
    read = f"/public/journeys/runs/{run_id}"
    for headers in (
        {"x-api-key": None},
        {"x-api-key": "sk_live_wrong"},
        {"x-api-key": None, "Authorization": "Bearer x"},
    ):
        assert_rejected(segmentflow("GET", read, headers=headers), 401, "unauthorized")
    assert [item.headers["x-api-key"] for item in sandbox.requests()[1:3]] == ["missing", "invalid"]
    assert well_known.SEGMENTFLOW_API_KEY not in repr(sandbox.requests())
    sandbox.configure("segmentflow", scopes=["journeys:trigger"])
    assert_rejected(segmentflow("GET", read), 403, "insufficient_scope", required=["journeys:read"])
    trigger(segmentflow)
    sandbox.configure("segmentflow", scopes=["journeys:read"])
    assert get_status(segmentflow, run_id)["status"] == "queued"
    for response in (
        segmentflow("POST", OLD, json={"recipient": ANNA}),
        trigger_by_key(segmentflow, "k", {"profile": ANNA}),
    ):
        assert_rejected(response, 403, "insufficient_scope", required=["journeys:trigger"])
    sandbox.reset()
    sandbox.configure("segmentflow", allow_sends=False)
    assert_rejected(segmentflow("POST", OLD, json={"recipient": ANNA}), 403, "send_not_allowed")
    assert sandbox.starts() == 0


def test_unknown_paths_and_ids(sandbox: Sandbox, segmentflow: Any) -> None:
    unknown_id = "aaaaaaaa-0000-4000-8000-000000000001"
    body = {"recipient": ANNA}
    assert_rejected(segmentflow("POST", f"/public/journeys/{unknown_id}/trigger", json=body), 404, "not_found")
    assert_rejected(segmentflow("POST", f"/public/journeys/{KEY}/trigger", json=body), 400, "bad_request", field="id")
    assert_rejected(segmentflow("GET", f"/public/journeys/runs/{unknown_id}"), 404, "not_found")
    assert_rejected(segmentflow("GET", "/public/journeys/runs/1"), 400, "bad_request", field="runId")
    assert_rejected(segmentflow("GET", "/public/journeys/runs"), 404, "not_found")
    assert_rejected(segmentflow("GET", OLD), 404, "not_found")
    for key in ("unknown", JOURNEY):
        assert_rejected(
            trigger_by_key(segmentflow, "k", {"profile": ANNA}, f"/journeys/{key}/trigger"), 404, "not_found"
        )
    too_long = f"/journeys/{'j' * 121}/trigger"
    assert_rejected(
        trigger_by_key(segmentflow, "k", {"profile": ANNA}, too_long), 400, "bad_request", field="journeyKey"
    )
    # Ids are not case-sensitive.
    run_id = trigger(segmentflow, JOURNEY.upper())
    assert get_status(segmentflow, run_id.upper())["runId"] == run_id


def test_added_journeys(sandbox: Sandbox, segmentflow: Any) -> None:
    mine = "aaaaaaaa-0000-4000-8000-000000000001"
    sandbox.add_target("segmentflow", "journey", mine, Behavior(running_seconds=1), key="mine/1")
    run_id = trigger_by_key(segmentflow, "k", {"profile": ANNA}, "/journeys/mine%2F1/trigger").json()["runId"]
    assert get_status(segmentflow, run_id)["journeyId"] == mine
    sandbox.add_target("segmentflow", "journey", mine, entry="segment")
    assert "API entry" in assert_rejected(
        segmentflow("POST", f"/public/journeys/{mine}/trigger", json={"recipient": ANNA}), 422, "validation_failed"
    )
    external_run = sandbox.start_run(JOURNEY)
    assert get_status(segmentflow, external_run.id)["status"] == "queued"
    assert sandbox.starts("segmentflow") == 1
    for call in (
        lambda: sandbox.add_target("segmentflow", "journey", "mine"),
        lambda: sandbox.set_behavior(JOURNEY, Behavior(shape="C")),
        lambda: sandbox.set_behavior(JOURNEY, Behavior(start_status=201)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


# --- faults


def test_faults_have_the_shape_of_the_vendor(sandbox: Sandbox, segmentflow: Any) -> None:
    run_id = trigger(segmentflow)
    for fault, code, error in [
        (Fault("expired_token", times=1), 401, "unauthorized"),
        (Fault("not_found", times=1), 404, "not_found"),
        (Fault("status", status=409, times=1), 409, "conflict"),
        (Fault("status", status=429, times=1), 429, "rate_limited"),
        (Fault("status", status=500, times=1), 500, "internal_error"),
    ]:
        sandbox.add_fault(fault)
        assert_rejected(segmentflow("GET", f"/public/journeys/runs/{run_id}"), code, error)
    sandbox.add_fault(Fault("status", times=1))
    gateway = segmentflow("GET", f"/public/journeys/runs/{run_id}")
    assert (gateway.status_code, gateway.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    sandbox.add_fault(Fault("echo_secret", times=1))
    assert well_known.SEGMENTFLOW_API_KEY in segmentflow("POST", OLD, json={"recipient": ANNA}).text


@pytest.mark.parametrize("ended", [False, True])
def test_unknown_states(sandbox: Sandbox, segmentflow: Any, ended: bool) -> None:
    sandbox.set_behavior(JOURNEY, [Behavior(), Behavior(completed_at="absent")])
    sandbox.add_fault(Fault("unknown_state", state="Hibernating", ended=ended))
    for _ in range(2):
        started = segmentflow.json("POST", OLD, json={"recipient": ANNA})
        assert set(started) == {"runId", "workflowId", "status"}
        run = get_status(segmentflow, started["runId"])
        assert (started["status"], run["status"]) == ("Hibernating", "Hibernating")
        assert (run.get("completedAt") is not None) == ended
    assert_rejected(segmentflow("POST", OLD, json={}), 400, "bad_request")


def test_missing_and_wrong_fields(sandbox: Sandbox, segmentflow: Any) -> None:
    run_id = trigger(segmentflow)
    sandbox.add_fault(Fault("missing_field", field="workflowId", times=1))
    assert set(get_status(segmentflow, run_id)) == SHAPE_A
    sandbox.add_fault(Fault("wrong_type", field="status", value=None, times=1))
    assert get_status(segmentflow, run_id)["status"] is None
    sandbox.add_fault(Fault("missing_field", field="runId", times=1))
    assert set(trigger_by_key(segmentflow, "k", {"profile": ANNA}).json()) == {"status"}
    assert sandbox.starts() == 2
