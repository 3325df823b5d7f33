"""Amperity: lists, tokens, the rate limit, and faults."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.sandbox.amperity_calls import (
    CAMPAIGN,
    COURIERS,
    FAILING,
    OVERVIEW,
    RUNS,
    assert_rejected,
    fetch,
    start,
    states,
)


def test_pages(sandbox: Sandbox, amperity: Any) -> None:
    ids = [start(amperity) for _ in range(5)][::-1]
    first = amperity.json("GET", f"{RUNS}?limit=2&with_total=true")
    assert set(first) == {"data", "next_token", "total"}
    assert first["total"] == 5
    assert set(first["data"][0]) == (OVERVIEW | {"principal_id", "principal_name"}) - {"ended_at"}
    # A run that is added meanwhile does not shift the pages.
    start(amperity)
    second = amperity.json("GET", f"{RUNS}?limit=2&next_token={first['next_token']}")
    third = amperity.json("GET", f"{RUNS}?limit=2&next_token={second['next_token']}")
    assert [item["id"] for page in (first, second, third) for item in page["data"]] == ids
    assert set(third) == {"data"}
    sandbox.configure("amperity", last_token="empty")
    assert amperity.json("GET", RUNS)["next_token"] == ""
    assert amperity.json("GET", f"{RUNS}?limit=6")["next_token"] == ""
    assert amperity.json("GET", f"{RUNS}?limit=5")["next_token"]


def test_filters(sandbox: Sandbox, amperity: Any) -> None:
    old = start(amperity, FAILING)
    sandbox.advance(3600)
    cutoff_time = datetime.fromtimestamp(sandbox.now(), timezone.utc)
    new, campaign = start(amperity), start(amperity, CAMPAIGN)
    sandbox.advance(15)

    def list_ids(**query: str) -> set[str]:
        return {run["id"] for run in amperity.json("GET", RUNS, params=query)["data"]}

    # Truncated to milliseconds like the response. With microseconds, the cutoff would be later than the new runs.
    cutoff, later = (
        f"{cutoff_time.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z",
        (cutoff_time + timedelta(days=1)).strftime("%Y-%m-%d"),
    )
    assert list_ids() == {old, new, campaign}
    assert list_ids(created_from=cutoff) | list_ids(created_to=cutoff) == list_ids()
    assert list_ids(created_to=cutoff) == {old}
    assert list_ids(created_from=later) == set()
    assert list_ids(created_from="2020-01-01", ended_to=later) == {old, campaign}
    assert list_ids(ended_from=cutoff) == {campaign}
    assert list_ids(state="failed") == {old}
    assert list_ids(state="In progress") == {new}
    assert list_ids(state="nothing") == set()
    assert list_ids(type="courier.group/run") == {old, new}
    # With the milliseconds of the response: from is inclusive, to is exclusive.
    created_at = amperity.json("GET", f"{RUNS}/{new}")["created_at"]
    assert new in list_ids(created_from=created_at)
    assert new not in list_ids(created_to=created_at)
    sandbox.configure("amperity", list_defaults=True)
    assert list_ids() == set()
    sandbox.advance(20)
    assert list_ids() == {new}
    assert list_ids(type="campaign.send") == {campaign}


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=-1", "limit=x", "limit=%C2%B2", "with_total=yes", "next_token=", "next_token=null"),
        *("next_token=ABCd1fghIJk2l3M", "next_token=%F0%9F%98%80", "created_from=yesterday", "created_to="),
        *("ended_from=2026-11-01T00:00:00+00:00", "config_id=cg-2efo5X8vo", "page=2"),
    ],
)
def test_invalid_queries(amperity: Any, query: str) -> None:
    start(amperity)
    assert_rejected(amperity("GET", f"{RUNS}?{query}"), 400)


def test_runs_started_by_others(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.start_run(COURIERS)
    sandbox.start_run(CAMPAIGN, source="justin", kind="campaign.fetch")
    sandbox.advance(30)
    by_person, by_schedule = amperity.json("GET", RUNS)["data"]
    assert (by_person["type"], by_person["principal_email"]) == ("campaign.fetch", "justin@example.com")
    assert by_schedule["principal_name"] == "Automated workflow"
    assert fetch(amperity, by_person["id"])["state"] == "succeeded"
    assert sandbox.starts("amperity") == 0


def test_errors_in_lists(sandbox: Sandbox, amperity: Any) -> None:
    start(amperity, FAILING)
    sandbox.advance(20)
    assert "error" not in amperity.json("GET", RUNS)["data"][0]
    sandbox.configure("amperity", list_errors=True)
    assert amperity.json("GET", RUNS)["data"][0]["error"]["attribution"] == "customer"


def test_campaigns(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.add_target("amperity", "campaign", "cc-9Mine", name="Mine")
    listed = amperity.json("GET", "/campaigns?with_total=true")
    assert listed["total"] == 2
    assert [set(item) for item in listed["data"]] == [{"id", "name", "deliver_at"}, {"id", "name"}]
    first = amperity.json("GET", "/campaigns?limit=1")
    rest = amperity.json("GET", f"/campaigns?next_token={first['next_token']}")
    assert [item["id"] for item in rest["data"]] == ["cc-9Mine"]
    by_template = amperity.json("GET", "/campaigns?destination_data_template_id=ptg-1abcAB4C2")
    assert [item["id"] for item in by_template["data"]] == [CAMPAIGN]
    with pytest.raises(ValueError, match="must begin with cc-"):
        sandbox.add_target("amperity", "campaign", "cg-1")


def test_unknown_paths_and_ids(amperity: Any) -> None:
    run_id = start(amperity)
    for method, path, status in [
        ("GET", f"{RUNS}/unknown", 404),
        ("GET", f"{RUNS}/{run_id}?view=full", 400),
        ("GET", f"{RUNS}/{run_id}%2Fstop", 404),
        ("GET", f"{RUNS}/{run_id}/stop", 405),
        ("POST", f"{RUNS}/{run_id}:stop", 405),
        ("GET", "/workflows/runs", 404),
        ("GET", "/segments", 404),
    ]:
        assert_rejected(amperity(method, path), status)


# --- tokens

FORM = {
    "grant_type": "client_credentials",
    "client_id": well_known.AMPERITY_CLIENT_ID,
    "client_secret": well_known.AMPERITY_CLIENT_SECRET,
}
TENANT = {"X-Amperity-Tenant": well_known.AMPERITY_TENANT, "Authorization": None}
TOKEN = "/v0/oauth2/token"


def test_tokens_expire_in_simulated_time(sandbox: Sandbox, amperity: Any) -> None:
    issued = amperity.json("POST", TOKEN, data=FORM, headers=TENANT)
    assert set(issued) == {"access_token", "expires_in", "token_type"}
    assert (issued["expires_in"], issued["token_type"]) == (3600, "Bearer")
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    # A new token does not revoke this one.
    assert amperity.json("POST", TOKEN, data=FORM, headers=TENANT)["access_token"] != issued["access_token"]
    sandbox.advance(3599)
    assert amperity("GET", RUNS, headers=bearer).status_code == 200
    sandbox.advance(1)
    assert "expired" in assert_rejected(amperity("GET", RUNS, headers=bearer), 401)
    recorded = sandbox.requests("amperity")[0]
    assert recorded.body["client_secret"] == "<secret>"
    assert recorded.headers["x-amperity-tenant"] == "sandbox"
    again = amperity.json("POST", TOKEN, data=FORM, headers=TENANT)["access_token"]
    sandbox.reset()
    assert_rejected(amperity("GET", RUNS, headers={"Authorization": f"Bearer {again}"}), 401)


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ({**FORM, "client_secret": "wrong"}, TENANT, 401),
        ({"grant_type": "client_credentials"}, TENANT, 401),
        ({**FORM, "grant_type": "refresh_token"}, TENANT, 400),
        (FORM, {**TENANT, "X-Amperity-Tenant": None}, 400),
        (FORM, {**TENANT, "X-Amperity-Tenant": "socktown"}, 403),
        ("{}", {**TENANT, "Content-Type": "application/json"}, 400),
    ],
)
def test_invalid_token_requests(amperity: Any, form: Any, headers: Any, status: int) -> None:
    assert_rejected(amperity("POST", TOKEN, data=form, headers=headers), status)


# --- the rate limit


def test_rate_limit_of_ten_requests_per_second(sandbox: Sandbox, amperity: Any) -> None:
    for _ in range(5):
        sandbox.reset()
        for _ in range(3):
            amperity.json("POST", TOKEN, data=FORM, headers=TENANT)
        started_at = time.monotonic()
        responses = [amperity("POST", RUNS, json={"config_id": COURIERS}) for _ in range(13)]
        if time.monotonic() - started_at < 1:
            break  # otherwise, the machine was too slow to send the requests within one second
    assert [response.status_code for response in responses] == [201] * 10 + [429] * 3
    assert "Too Many" in assert_rejected(responses[-1], 429)
    # Each tenant has a limit of its own, and rejected requests count too.
    assert_rejected(amperity("GET", RUNS, headers={"amperity-tenant": "socktown"}), 403)
    assert sandbox.starts("amperity") == 10
    assert sandbox.peak_requests_per_second("amperity") == 13


def test_request_above_the_rate_limit_starts_nothing_even_with_a_fault(sandbox: Sandbox, amperity: Any) -> None:
    sandbox.configure("amperity", requests_per_second=1)
    sandbox.add_fault(Fault("status_after", skip=1))
    amperity("POST", RUNS, json={"config_id": COURIERS})
    assert amperity("POST", RUNS, json={"config_id": COURIERS}).status_code == 502
    assert sandbox.starts("amperity") == 1
    assert sandbox.peak_requests_per_second("amperity") == 2


# --- faults


def test_faults_have_the_shape_of_the_vendor(sandbox: Sandbox, amperity: Any) -> None:
    run_id = start(amperity)
    for fault, status in [
        (Fault("expired_token", times=1), 401),
        (Fault("not_found", times=1), 404),
        (Fault("status", status=500, times=1), 500),
        (Fault("status", status=503, times=1), 503),
        (Fault("status", status=429, retry_after="3", times=1), 429),
    ]:
        sandbox.add_fault(fault)
        response = amperity("GET", f"{RUNS}/{run_id}")
        assert_rejected(response, status)
        assert response.headers.get("Retry-After") == fault.retry_after
    sandbox.add_fault(Fault("status", status=502, times=1))
    assert amperity("GET", f"{RUNS}/{run_id}").headers["Content-Type"].startswith("text/html")
    sandbox.add_fault(Fault("echo_secret", times=1))
    assert well_known.AMPERITY_TOKEN in amperity("GET", f"{RUNS}/{run_id}").text


@pytest.mark.parametrize("ended", [False, True])
def test_unknown_states(sandbox: Sandbox, amperity: Any, ended: bool) -> None:
    run_ids = [start(amperity), start(amperity, CAMPAIGN)]
    sandbox.add_fault(Fault("unknown_state", state="Hibernating", ended=ended))
    for run in (fetch(amperity, run_ids[0]), *amperity.json("GET", RUNS)["data"]):
        assert (run["state"], "ended_at" in run) == ("Hibernating", ended)
    sandbox.advance(30)
    for run in (fetch(amperity, run_ids[0]), *amperity.json("GET", RUNS)["data"]):
        assert (run["state"], "ended_at" in run) == ("Hibernating", ended)
    assert amperity.json("GET", "/campaigns")["data"]
    assert [item.fault for item in sandbox.requests("amperity")][2:] == ["unknown_state"] * 4 + [None]


def test_missing_and_wrong_fields(sandbox: Sandbox, amperity: Any) -> None:
    run_id = start(amperity)
    sandbox.advance(5)
    sandbox.add_fault(Fault("missing_field", field="state", times=1))
    assert set(fetch(amperity, run_id, "overview")) == OVERVIEW - {"ended_at", "state"}
    sandbox.add_fault(Fault("wrong_type", field="task_instances.0.state", value=7, times=1))
    assert states(fetch(amperity, run_id))[0] == 7
    sandbox.add_fault(Fault("missing_field", field="data.0.id", times=1))
    assert "id" not in amperity.json("GET", RUNS)["data"][0]
