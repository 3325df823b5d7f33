"""RudderStack: the Reverse ETL Connections API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dagster_runs.sandbox import Behavior, Sandbox, well_known

CONNECTION = well_known.RETL_AUDIENCE


def start(api: Any, connection: str = CONNECTION, **body: Any) -> str:
    sent = {"syncType": "incremental", **body}
    return str(api.json("POST", f"/retl-connections/{connection}/start", json=sent)["syncId"])


def get_sync(api: Any, sync_id: str, connection: str = CONNECTION) -> Any:
    return api.json("GET", f"/retl-connections/{connection}/syncs/{sync_id}")


def list_syncs(api: Any, **params: Any) -> Any:
    return api.json("GET", f"/retl-connections/{CONNECTION}/syncs", params=params)


def test_sync_life_cycle(sandbox: Sandbox, rudderstack: Any) -> None:
    sync_id = start(rudderstack)
    running = get_sync(rudderstack, sync_id)
    assert set(running) == {"id", "status", "startedAt", "metrics"}
    assert (running["id"], running["status"]) == (sync_id, "running")
    assert running["metrics"]["succeeded"] == {"total": 0}
    sandbox.advance(16)
    finished = get_sync(rudderstack, sync_id)
    assert set(finished) == {"id", "status", "startedAt", "finishedAt", "metrics"}
    assert finished["status"] == "succeeded"
    assert finished["metrics"] == {
        "succeeded": {"total": 1200},
        "failed": {"total": 0},
        "changed": {"total": 1200},
        "total": 48_000,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", finished["finishedAt"])


def test_shapes_of_a_sync(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(field_case="snake", metrics_shape="flat", rows={"failed": 3}))
    sync_id = start(rudderstack)
    sandbox.advance(16)
    finished = get_sync(rudderstack, sync_id)
    assert {"started_at", "finished_at"} <= set(finished)
    assert finished["metrics"] == {"changed": 0, "succeeded": 0, "failed": 3, "total": 0}
    sandbox.set_behavior(CONNECTION, Behavior(rows=None))
    assert "metrics" not in get_sync(rudderstack, start(rudderstack))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [(well_known.RETL_FAILING, ("failed", True)), (well_known.RETL_REJECTED_ROWS, ("succeeded", False))],
)
def test_unsuccessful_syncs(sandbox: Sandbox, rudderstack: Any, connection: str, expected: tuple[str, bool]) -> None:
    sync_id = start(rudderstack, connection)
    sandbox.advance(16)
    ended = get_sync(rudderstack, sync_id, connection)
    assert (ended["status"], "error" in ended) == expected


def test_stop_ends_the_running_sync(sandbox: Sandbox, rudderstack: Any) -> None:
    sync_id = start(rudderstack)
    response = rudderstack("POST", f"/retl-connections/{CONNECTION}/stop")
    assert (response.status_code, response.content) == (204, b"")
    sandbox.advance(3)
    stopped = get_sync(rudderstack, sync_id)
    assert (stopped["status"], stopped["error"]) == ("failed", "The sync was stopped")
    assert rudderstack("POST", f"/retl-connections/{CONNECTION}/stop").status_code == 204


def test_connection_has_one_running_sync_at_a_time(sandbox: Sandbox, rudderstack: Any) -> None:
    start(rudderstack)
    again = rudderstack("POST", f"/retl-connections/{CONNECTION}/start", json={"syncType": "full"})
    assert (again.status_code, set(again.json())) == (409, {"error"})
    start(rudderstack, well_known.RETL_SLOW)
    assert sandbox.starts("rudderstack") == 2


def test_list_is_filtered_and_paged(sandbox: Sandbox, rudderstack: Any) -> None:
    syncs = []
    for _ in range(3):
        syncs.append(start(rudderstack))
        sandbox.advance(60)
    syncs.append(start(rudderstack, syncType="full"))
    newest_first = syncs[::-1]
    everything = list_syncs(rudderstack)
    assert [sync["id"] for sync in everything["syncs"]] == newest_first
    assert everything["paging"] == {"total": 4}
    assert everything["syncs"][-1] == get_sync(rudderstack, syncs[0])
    first = list_syncs(rudderstack, per_page=3)
    assert first["paging"] == {"total": 4, "next": f"/retl-connections/{CONNECTION}/syncs?page=2"}
    assert [sync["id"] for sync in list_syncs(rudderstack, per_page=3, page=2)["syncs"]] == syncs[:1]
    assert [sync["id"] for sync in list_syncs(rudderstack, status="running")["syncs"]] == syncs[3:]
    second = everything["syncs"][2]["startedAt"]
    assert [sync["id"] for sync in list_syncs(rudderstack, started_after=second)["syncs"]] == newest_first[:3]
    assert [sync["id"] for sync in list_syncs(rudderstack, started_before=second)["syncs"]] == syncs[:1]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", f"{CONNECTION}/start", {}, 400),
        ("POST", f"{CONNECTION}/start", {"json": {}}, 400),
        ("POST", f"{CONNECTION}/start", {"json": {"syncType": "partial"}}, 400),
        ("POST", f"{CONNECTION}/start", {"json": {"syncType": "full", "more": 1}}, 400),
        ("POST", "2aNone/start", {"json": {"syncType": "full"}}, 404),
        ("POST", f"{well_known.PROFILES_FEATURES}/start", {"json": {"syncType": "full"}}, 404),
        ("POST", "2aNone/stop", {}, 404),
        ("GET", "2aNone/syncs", {}, 404),
        ("GET", f"{CONNECTION}/syncs/none", {}, 404),
        ("GET", f"{CONNECTION}/syncs?status=done", {}, 400),
        ("GET", f"{CONNECTION}/syncs?started_after=now", {}, 400),
        ("GET", f"{CONNECTION}/syncs?started_before=2026-01-01T00:00:00", {}, 400),
        ("GET", f"{CONNECTION}/syncs?page=0", {}, 400),
    ],
)
def test_invalid_requests(rudderstack: Any, method: str, path: str, options: dict[str, Any], status: int) -> None:
    assert rudderstack(method, f"/retl-connections/{path}", **options).status_code == status


def test_connection_is_no_profiles_project(rudderstack: Any) -> None:
    assert rudderstack("POST", f"/sources/{CONNECTION}/start").status_code == 404
