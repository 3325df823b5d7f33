"""Each fault, as a plain HTTP client sees it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
import requests

from dagster_runs.sandbox import Fault, Sandbox, well_known

PROJECT, SUITE = well_known.PROFILES_FEATURES, well_known.SUITE_DEFAULT
START = f"/sources/{PROJECT}/start"


@pytest.fixture
def run_status(rudderstack: Any) -> str:
    run_id = rudderstack.json("POST", START)["runId"]
    return f"/sources/{PROJECT}/runs/{run_id}/status"


def test_lost_response_is_processed(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", path="/start$", times=1))
    with pytest.raises(requests.ConnectionError, match="closed connection without response"):
        rudderstack("POST", START)
    assert sandbox.starts() == 1
    recorded = sandbox.requests()[0]
    assert (recorded.status, recorded.fault, recorded.started_run) == (None, "lost_response", sandbox.runs()[0].id)
    assert rudderstack("POST", START).status_code == 409


def test_reset_is_not_processed(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("reset", times=1))
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        rudderstack("POST", START)
    assert sandbox.starts() == 0
    assert rudderstack("POST", START).status_code == 200


def test_down_ends_after_its_seconds(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    sandbox.add_fault(Fault("down", path="^/rudderstack/", seconds=60))
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            rudderstack("POST", START)
    assert testgen("GET", "/health").status_code == 200
    sandbox.advance(60)
    assert rudderstack("POST", START).status_code == 200


def test_hang_does_not_block_other_requests(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    sandbox.add_fault(Fault("hang", path="/rudderstack/"))
    started_at = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        rudderstack("POST", START, timeout=0.1)
    assert testgen("GET", "/health").status_code == 200
    assert time.monotonic() - started_at < 1
    assert sandbox.starts() == 1


def test_hang_ends_after_its_seconds(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("hang", seconds=0.1))
    started_at = time.monotonic()
    assert rudderstack("POST", START).status_code == 200
    assert time.monotonic() - started_at >= 0.1


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 401, 403])
def test_status(sandbox: Sandbox, rudderstack: Any, testgen: Any, code: int) -> None:
    sandbox.add_fault(Fault("status", status=code, retry_after="7", headers={"X-Request-Id": "r1"}))
    for response in (rudderstack("POST", START), testgen("POST", f"/test-suites/{SUITE}/test-runs")):
        assert response.status_code == code
        assert (response.headers["Retry-After"], response.headers["X-Request-Id"]) == ("7", "r1")
        assert response.text
    assert sandbox.starts() == 0


def test_status_body(sandbox: Sandbox, testgen: Any) -> None:
    for body, kind in (({"a": 1}, "application/json"), ("a gateway's text", "text/plain")):
        sandbox.add_fault(Fault("status", status=500, body=body, times=1))
        response = testgen("GET", "/projects/DEFAULT/jobs")
        assert response.headers["Content-Type"].startswith(kind)
        assert response.text in (json.dumps(body, separators=(",", ":")), body)
    sandbox.add_fault(Fault("status", status=500, times=1))
    real = testgen("GET", "/projects/DEFAULT/jobs")
    assert (real.text, real.headers["Content-Type"].split(";")[0]) == ("Internal Server Error", "text/plain")
    sandbox.add_fault(Fault("status", status=202, body={"id": SUITE, "created_at": "2026-01-01T00:00:00Z"}))
    assert testgen("POST", f"/test-suites/{SUITE}/test-runs").status_code == 202
    assert sandbox.starts() == 0


def test_status_after_is_processed(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.add_fault(Fault("status_after", method="POST", times=1))
    response = testgen("POST", f"/test-suites/{SUITE}/test-runs")
    assert (response.status_code, response.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert sandbox.starts() == 1
    assert sandbox.requests()[0].started_run == sandbox.runs()[0].id


def test_html(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("html", times=1))
    response = rudderstack("POST", START)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Sign in" in response.text
    assert sandbox.starts() == 0
    sandbox.add_fault(Fault("html", status=503, processed=True, times=1))
    assert rudderstack("POST", START).status_code == 503
    assert sandbox.starts() == 1


def test_not_json(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("not_json"))
    assert rudderstack("POST", START).text == "OK"
    assert sandbox.starts() == 1


def test_truncated_body_with_matching_length(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("truncated", times=1))
    response = rudderstack("POST", START)
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated"):
        response.json()
    assert sandbox.starts() == 1


def test_truncated_body_with_early_close(sandbox: Sandbox, rudderstack: Any, run_status: str) -> None:
    sandbox.add_fault(Fault("truncated", variant="early_close"))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError), match="IncompleteRead"):
        rudderstack("GET", run_status)
    assert sandbox.requests()[-1].status is None


def test_slow_body_is_complete(sandbox: Sandbox, rudderstack: Any, run_status: str) -> None:
    sandbox.add_fault(Fault("slow_body", seconds=0.2))
    started_at = time.monotonic()
    assert rudderstack.json("GET", run_status)["status"] == "running"
    assert time.monotonic() - started_at >= 0.15


@pytest.mark.parametrize("variant", ["chunked", "content_length"])
def test_huge_body(sandbox: Sandbox, rudderstack: Any, run_status: str, variant: str) -> None:
    sandbox.add_fault(Fault("huge_body", size=3_000_000, variant=variant, times=1))
    response = rudderstack("GET", run_status)
    assert len(response.content) == 3_000_000
    assert ("Content-Length" in response.headers) == (variant == "content_length")
    assert set(response.json()) == {"padding"}
    sandbox.add_fault(Fault("huge_body", size=10**10, times=1))
    with rudderstack("GET", run_status, stream=True) as endless:
        assert next(endless.iter_content(1000))
    assert rudderstack("GET", run_status).status_code == 200


def test_redirect(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("redirect", location="https://elsewhere.example/login", status=307))
    response = rudderstack("POST", START)
    assert (response.status_code, response.headers["Location"]) == (307, "https://elsewhere.example/login")
    assert sandbox.starts() == 0


def test_not_found_after_a_start(sandbox: Sandbox, testgen: Any) -> None:
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    sandbox.add_fault(Fault("not_found", method="GET", path=f"/jobs/{job_id}$", times=2))
    statuses = [testgen("GET", f"/jobs/{job_id}").status_code for _ in range(3)]
    assert statuses == [404, 404, 200]
    sandbox.add_fault(Fault("not_found", times=1))
    errors = testgen("GET", f"/jobs/{job_id}").json()["detail"]["errors"]
    assert errors == [{"code": "not_found", "detail": "Not found"}]


def test_expired_token(sandbox: Sandbox, testgen: Any, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("expired_token", times=2))
    response = testgen("GET", "/projects/DEFAULT/jobs")
    assert (response.status_code, response.json()) == (401, {"detail": "Invalid or expired token"})
    assert rudderstack("POST", START).status_code == 401
    assert testgen("GET", "/projects/DEFAULT/jobs").status_code == 200


def test_echo_secret(sandbox: Sandbox, rudderstack: Any) -> None:
    sandbox.add_fault(Fault("echo_secret"))
    response = rudderstack("POST", START)
    assert response.status_code == 500
    assert f"Bearer {well_known.RUDDERSTACK_TOKEN}" in response.text


@pytest.mark.parametrize("ended", [False, True])
def test_unknown_state(sandbox: Sandbox, rudderstack: Any, testgen: Any, ended: bool) -> None:
    sandbox.add_fault(Fault("unknown_state", state="Hibernating", ended=ended))
    # The responses to a start have no state, so they are not changed.
    run_id = rudderstack.json("POST", START)["runId"]
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    run = rudderstack.json("GET", f"/sources/{PROJECT}/runs/{run_id}/status")
    assert (run["status"], run.get("finishedAt") is not None) == ("Hibernating", ended)
    for path in (f"/jobs/{job_id}", f"/test-runs/{job_id}"):
        job = testgen.json("GET", path)
        assert (job["status"], job["completed_at"] is not None) == ("Hibernating", ended)
    assert [item.fault for item in sandbox.requests()] == [None, None, *["unknown_state"] * 3]
    snake = well_known.PROFILES_SNAKE_CASE
    run_id = rudderstack.json("POST", f"/sources/{snake}/start")["runId"]
    run = rudderstack.json("GET", f"/sources/{snake}/runs/{run_id}/status")
    assert (run["finished_at"] is not None, "finishedAt" in run) == (ended, False)


def test_missing_field_and_wrong_type(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    sandbox.add_fault(Fault("missing_field", field="runId", times=1))
    sandbox.add_fault(Fault("wrong_type", field="tasks.0.startedAt", value=[1], times=1))
    job_id = testgen.json("POST", f"/test-suites/{SUITE}/test-runs")["id"]
    assert rudderstack.json("POST", START) == {}
    assert sandbox.starts() == 2
    path = f"/sources/{PROJECT}/runs/{sandbox.runs('rudderstack')[0].id}/status"
    assert rudderstack.json("GET", path)["tasks"][0]["startedAt"] == [1]
    assert rudderstack.json("GET", path)["tasks"][0]["startedAt"] != [1]
    sandbox.advance(30)
    sandbox.add_fault(Fault("missing_field", field="result.result_counts", times=1))
    sandbox.add_fault(Fault("wrong_type", field="result.result_counts.passed", value="many", times=1))
    first, second, third = (testgen.json("GET", f"/test-runs/{job_id}")["result"] for _ in range(3))
    assert set(first) == {"score"}
    assert second["result_counts"]["passed"] == "many"
    assert third["result_counts"]["passed"] == 179


def test_skip_and_times(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.add_fault(Fault("status", status=503, times=2, skip=1))
    sandbox.add_fault(Fault("status", status=429, times=1, skip=2))
    statuses = [testgen("GET", "/projects/DEFAULT/jobs").status_code for _ in range(6)]
    assert statuses == [200, 503, 503, 429, 200, 200]


def test_fault_without_times_lasts_until_cleared(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.add_fault(Fault("status", method="get", path="/jobs"))
    assert {testgen("GET", "/projects/DEFAULT/jobs").status_code for _ in range(5)} == {503}
    assert testgen("POST", f"/test-suites/{SUITE}/test-runs").status_code == 202
    sandbox.clear_faults()
    assert testgen("GET", "/projects/DEFAULT/jobs").status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "meteor"},
        {"kind": "redirect"},
        {"kind": "unknown_state"},
        {"kind": "missing_field"},
        {"kind": "truncated", "variant": "sideways"},
        {"kind": "hang", "processed": False},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "path": "("},
    ],
)
def test_invalid_faults(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fault|times|path"):
        Fault(**arguments)


def test_stop_does_not_wait_for_slow_responses() -> None:
    sandbox = Sandbox(speed=0).start()
    for kind in ("hang", "slow_body"):
        sandbox.add_fault(Fault(kind, path=kind, seconds=60))
    url, errors = sandbox.url, []

    def send_request(path: str) -> None:
        try:
            requests.get(f"{url}/rudderstack/{path}", timeout=30)
        except requests.RequestException as error:
            errors.append(error)

    threads = [threading.Thread(target=send_request, args=(kind,)) for kind in ("hang", "slow_body")]
    for thread in threads:
        thread.start()
    while len(sandbox.requests()) < 2:
        time.sleep(0.005)
    started_at = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - started_at < 0.3
    for thread in threads:
        thread.join()


class TestFaultsOfOneTarget:
    """A fault may apply to one target: its starts and its runs."""

    def test_target_in_the_path(self, sandbox: Sandbox, rudderstack: Any) -> None:
        sandbox.add_fault(Fault("status", target=PROJECT, status=503))
        assert rudderstack("POST", START).status_code == 503
        assert rudderstack("POST", f"/sources/{well_known.PROFILES_SNAKE_CASE}/start").status_code == 200

    def test_target_in_the_body(self, sandbox: Sandbox, prophecy: Any) -> None:
        sandbox.add_fault(Fault("status", target=well_known.PROPHECY_PIPELINE, status=503))
        body = {"fabricId": well_known.PROPHECY_FABRIC, "projectId": well_known.PROPHECY_PROJECT}
        start = {**body, "pipelineName": well_known.PROPHECY_PIPELINE}
        assert prophecy("POST", "", json=start).status_code == 503
        other = {**body, "pipelineName": well_known.PROPHECY_PIPELINE_FAILING}
        assert prophecy("POST", "", json=other).status_code == 200

    def test_run_of_the_target(self, sandbox: Sandbox, amperity: Any) -> None:
        runs = "/workflow/runs"
        our_run = amperity.json("POST", runs, json={"config_id": well_known.AMPERITY_COURIERS})["id"]
        other = amperity.json("POST", runs, json={"config_id": well_known.AMPERITY_CAMPAIGN})["id"]
        sandbox.add_fault(Fault("status", method="GET", target=well_known.AMPERITY_COURIERS, status=503))
        assert amperity("GET", f"{runs}/{our_run}").status_code == 503
        assert amperity("GET", f"{runs}/{other}").status_code == 200
        assert amperity("GET", runs).status_code == 200, "a list names no target"

    def test_body_that_is_not_an_object_names_no_target(self, sandbox: Sandbox, rudderstack: Any) -> None:
        sandbox.add_fault(Fault("status", target=well_known.PROFILES_SNAKE_CASE, status=503))
        for body in ("[1]", "{", '"text"'):
            assert rudderstack("POST", START, data=body).status_code == 400
