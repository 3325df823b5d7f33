"""The sandbox itself: time, request log, targets, start and stop, and the command."""

from __future__ import annotations

import html
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from dagster_runs.sandbox import Behavior, Fault, Sandbox, SandboxClient, well_known
from dagster_runs.sandbox.__main__ import main
from dagster_runs.sandbox.rates import RequestRate

PROJECT, SUITE, GROUP = well_known.PROFILES_FEATURES, well_known.SUITE_DEFAULT, well_known.TABLE_GROUP
NEW_SUITE = "aaaaaaaa-0000-4000-8000-000000000001"


def test_simulated_time() -> None:
    with Sandbox(speed=0) as sandbox:
        started_at = sandbox.now()
        assert started_at == pytest.approx(time.time(), abs=5)
        assert sandbox.now() == started_at
        sandbox.advance(3600)
        assert sandbox.now() == pytest.approx(started_at + 3600)
        sandbox.set_speed(10_000)
        time.sleep(0.02)
        assert sandbox.now() > started_at + 3600 + 150
        with pytest.raises(ValueError, match="negative"):
            sandbox.advance(-1)


def test_controls_over_http(sandbox: Sandbox, rudderstack: Any) -> None:
    client = SandboxClient(sandbox.url + "/")
    assert isinstance(sandbox.client, SandboxClient)
    client.set_behavior(PROJECT, Behavior(running_seconds=1))
    client.add_fault(Fault("status", times=1))
    assert rudderstack("POST", f"/sources/{PROJECT}/start").status_code == 503
    rudderstack("POST", f"/sources/{PROJECT}/start", json={"parameters": ["--model_refs models/a"]})
    assert client.starts("rudderstack") == 1
    client.advance(2)
    run = client.runs("rudderstack")[0]
    assert (run.state, run.parameters, run.vendor) == ("finished", ["--model_refs models/a"], "rudderstack")
    assert run.started_at == run.created_at
    assert run.ended_at == pytest.approx(run.created_at + 1)
    assert sandbox.runs() == client.runs()
    health = client.health()
    assert health["vendors"] == {
        "rudderstack": "/rudderstack/v2",
        "amperity": "/amperity/api",
        "segmentflow": "/segmentflow",
        "prophecy": "/prophecy",
        "testgen": "/testgen",
        "testgen-old": "/testgen-old",
    }


def test_request_log(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    body = {"parameters": ["--rebase_incremental"]}
    rudderstack("POST", f"/sources/{PROJECT}/start", json=body, headers={"User-Agent": "dagster-runs/1"})
    testgen("GET", "/projects/DEFAULT/jobs?page=1&status=pending")
    testgen("GET", "/projects/DEFAULT/jobs", headers={"Authorization": "Bearer wrong"})
    testgen("GET", "/health", headers={"Authorization": None})
    start, listing, unauthorized, health = sandbox.requests()
    assert (start.seq, start.vendor, start.method, start.status) == (1, "rudderstack", "POST", 200)
    assert start.path == f"/rudderstack/v2/sources/{PROJECT}/start"
    assert start.body == body
    assert start.started_run == sandbox.runs()[0].id
    assert start.headers["user-agent"] == "dagster-runs/1"
    assert start.received_at == pytest.approx(sandbox.now())
    assert start.wall_received_at == pytest.approx(time.time(), abs=5)
    assert listing.query == {"page": "1", "status": "pending"}
    assert [item.headers["authorization"] for item in (start, unauthorized, health)] == ["valid", "invalid", "missing"]
    assert sandbox.requests("testgen") == [listing, unauthorized, health]
    assert sandbox.requests("testgen", after=2) == [unauthorized, health]
    assert sandbox.requests(after=health.seq) == []
    assert well_known.TESTGEN_TOKEN not in repr(sandbox.requests())


def test_added_target(sandbox: Sandbox, testgen: Any) -> None:
    assert testgen("POST", f"/test-suites/{NEW_SUITE}/test-runs").status_code == 404
    sandbox.add_target("testgen", "test_suite", NEW_SUITE, Behavior(counts={"passed": 2}), name="mine")
    job_id = testgen.json("POST", f"/test-suites/{NEW_SUITE.upper()}/test-runs")["id"]
    sandbox.advance(20)
    assert testgen.json("GET", f"/test-runs/{job_id}")["result"]["result_counts"]["passed"] == 2
    assert testgen.json("GET", "/projects/DEFAULT/test-suites?test_suite_name=mine")["total"] == 1


def test_invalid_arguments(sandbox: Sandbox) -> None:
    for call in (
        lambda: sandbox.set_behavior("unknown", Behavior()),
        lambda: sandbox.set_behavior(PROJECT, Behavior(counts={})),
        lambda: sandbox.set_behavior(PROJECT, Behavior(field_case="kebab")),
        lambda: sandbox.set_behavior(SUITE, Behavior(), vendor="rudderstack"),
        lambda: sandbox.add_target("unknown", "profiles", "x"),
        lambda: sandbox.add_target("rudderstack", "test_suite", "x"),
        lambda: sandbox.add_target("testgen", "test_suite", "x"),
        lambda: sandbox.runs("unknown"),
        lambda: sandbox.peak_requests_per_second("unknown"),
        lambda: sandbox.configure("unknown", requests_per_second=1),
        lambda: sandbox.configure("rudderstack", requests_per_second=0),
        lambda: sandbox.configure("rudderstack", requests_per_second=True),
        lambda: sandbox.configure("rudderstack", last_token="empty"),
        lambda: sandbox.configure("amperity", last_token="null"),
        lambda: sandbox.configure("amperity", version_status=True),
        lambda: sandbox.start_run(GROUP, kind="run-tests"),
        lambda: Behavior(running_seconds=-1),
        lambda: Behavior(outcome="explode"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_rate_limit_of_any_vendor(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    sandbox.configure("rudderstack", requests_per_second=2)
    statuses = [rudderstack("POST", f"/sources/{PROJECT}/start").status_code for _ in range(4)]
    assert statuses == [200, 409, 429, 429]
    testgen("GET", "/health")
    assert [sandbox.peak_requests_per_second(name) for name in ("rudderstack", "testgen", None)] == [4, 1, 4]
    sandbox.reset()
    assert sandbox.peak_requests_per_second() == 0
    assert [rudderstack("POST", f"/sources/{PROJECT}/start").status_code for _ in range(3)] == [200, 409, 409]


def test_peak_request_rate_is_exact() -> None:
    numbers = random.Random(7)
    for _ in range(50):
        # Multiples of 1/64 s are exact as floats, so some times are exactly one second apart.
        times = sorted(numbers.randrange(5 * 64) / 64 for _ in range(40))
        rate = RequestRate()
        counts = [rate.record("a", at) for at in times]
        assert counts == [sum(before > at - 1.0 for before in times[: index + 1]) for index, at in enumerate(times)]
        assert rate.peak == max(counts)
    assert [rate.record("b", 9.0), rate.record("c", 9.0), rate.record("b", 10.0)] == [1, 1, 1]


def test_reset(sandbox: Sandbox, rudderstack: Any, testgen: Any) -> None:
    sandbox.add_target("testgen", "test_suite", NEW_SUITE)
    sandbox.set_behavior(PROJECT, Behavior(outcome="fail"))
    sandbox.add_fault(Fault("reset", path="nowhere"))
    rudderstack("POST", f"/sources/{PROJECT}/start")
    sandbox.reset()
    assert (sandbox.runs(), sandbox.requests(), sandbox.starts()) == ([], [], 0)
    assert testgen("POST", f"/test-suites/{NEW_SUITE}/test-runs").status_code == 404
    rudderstack("POST", f"/sources/{PROJECT}/start")
    sandbox.advance(30)
    assert sandbox.runs()[0].state == "finished"


def test_restored_run_keeps_its_id(sandbox: Sandbox, testgen: Any) -> None:
    sandbox.set_behavior(SUITE, Behavior(running_seconds=600))
    testgen("POST", f"/test-suites/{SUITE}/test-runs", json={"metadata": {"mark": "ours"}})
    [original] = sandbox.runs()
    with Sandbox(speed=0) as other_sandbox:
        newer_run = other_sandbox.start_run(SUITE, vendor="testgen")
        original = replace(original, created_at=newer_run.created_at - 30)
        restored = other_sandbox.restore_run(original, Behavior(running_seconds=60, outcome="fail"))
        assert (restored.id, restored.source, restored.body) == (original.id, "api", original.body)
        assert [run.id for run in other_sandbox.runs()] == [original.id, newer_run.id]
        assert (other_sandbox.starts(), restored.state) == (1, "running")
        other_sandbox.advance(60)
        assert other_sandbox.runs()[0].state == "error"
        with pytest.raises(ValueError, match="already"):
            other_sandbox.restore_run(original)
        with pytest.raises(ValueError, match="run-tests"):
            other_sandbox.restore_run(replace(original, id=NEW_SUITE, kind="run-profile"))
        with pytest.raises(ValueError, match="add_target"):
            other_sandbox.restore_run(replace(original, id=NEW_SUITE, target_id=NEW_SUITE))


def test_restart_after_an_outage_keeps_the_state(sandbox: Sandbox) -> None:
    with Sandbox(speed=0) as other_sandbox:
        url = other_sandbox.url
        run = other_sandbox.start_run(PROJECT)
        other_sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=1)
        other_sandbox.start()
        assert other_sandbox.url == url
        assert other_sandbox.runs() == [run]


def test_port_in_use(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=port).start()


def test_overview_page(sandbox: Sandbox, rudderstack: Any) -> None:
    rudderstack("POST", f"/sources/{PROJECT}/start")
    rudderstack("GET", "/sources/%3Cscript%3E/start")
    page = requests.get(sandbox.url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "simulation" in page.text
    assert well_known.RUDDERSTACK_TOKEN in page.text
    assert sandbox.runs()[0].id in page.text
    assert "<script>" not in page.text


def test_button_on_the_overview_page_starts_a_run(sandbox: Sandbox) -> None:
    page = requests.get(sandbox.url, timeout=10).text
    [action] = re.findall(rf'action="([^"]*{PROJECT}[^"]*)"', page)
    shown = requests.post(sandbox.url + html.unescape(action), timeout=10)  # redirects to the page
    [run] = sandbox.runs()
    assert (run.target_id, run.source) == (PROJECT, "user")
    assert run.id in shown.text
    assert shown.url == f"{sandbox.url}/"


def test_unknown_paths(sandbox: Sandbox) -> None:
    response = requests.get(f"{sandbox.url}/amperitea/x", timeout=10)
    assert response.status_code == 404
    assert "rudderstack" in response.json()["mounts"]
    assert sandbox.requests()[0].vendor is None
    control = requests.get(f"{sandbox.url}/_sandbox/nothing", timeout=10)
    assert control.status_code == 404
    assert requests.post(f"{sandbox.url}/_sandbox/advance", data="{", timeout=10).status_code == 400
    assert requests.post(f"{sandbox.url}/_sandbox/advance", timeout=10).json() == {"error": "seconds is missing"}


def test_many_runs_and_requests(sandbox: Sandbox, testgen: Any) -> None:
    for _ in range(100):
        testgen("POST", f"/test-suites/{SUITE}/test-runs")
    sandbox.advance(60)
    started_at = time.monotonic()
    statuses: list[int] = []

    def send_request() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(testgen.session.headers)
            for _ in range(25):
                response = session.get(f"{testgen.base_url}/projects/DEFAULT/jobs?status=completed&limit=5", timeout=10)
                statuses.append(response.status_code)

    threads = [threading.Thread(target=send_request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100
    assert time.monotonic() - started_at < 2


def test_command_prints_a_banner() -> None:
    command = [sys.executable, "-m", "dagster_runs.sandbox", "--port", "0", "--speed", "100"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            banner = read_banner(process)
            assert "simulation" in banner
            assert "not the vendor" in banner
            url = re.search(r"(http://127\.0\.0\.1:\d+)/rudderstack/v2", banner)
            assert url is not None
            assert well_known.TESTGEN_TOKEN in banner
            assert re.search(rf"{well_known.SUITE_ORDERS} +test suite orders ", banner)
            assert re.search(rf"{well_known.PROFILES_FAILING} +.*fails", banner)
            assert SandboxClient(url[1]).health()["speed"] == 100
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
        finally:
            # `Popen` waits for the process at the end of the block, which would hang after a failed assertion.
            process.kill()


def read_banner(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "Overview" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    return "".join(lines)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_command_rejects_addresses_that_other_machines_can_reach(host: str) -> None:
    result = CliRunner().invoke(main, ["--host", host])
    assert result.exit_code == 2
    assert "--allow-remote" in result.output
