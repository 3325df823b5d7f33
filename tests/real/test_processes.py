"""A real Dagster with one process for each step, and a real TestGen: termination, kills, and a search for secrets."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
import testgen_fixtures as ids
from lossy_proxy import LossyProxy, lossy_proxy
from real_testgen import RealTestGen

from tests.dagster_ui import DagsterUI, dagster_ui

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen

WRONG_TOKEN = "wrong-token-that-nobody-may-read"
# TestGen's tokens are JSON web tokens, which all start with the same header.
ANY_TOKEN = rb"eyJhbGciOi[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"


@dataclass(frozen=True)
class Ui:
    """The UI, the proxy between its code location and TestGen, and its secrets."""

    dagster: DagsterUI
    proxy: LossyProxy
    secrets: list[str] = field(repr=False)


@pytest.fixture(scope="module")
def ui(testgen_server: RealTestGen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    grant = testgen_server.login()
    env = {
        "TESTGEN_REAL_ACCESS_TOKEN": testgen_server.access_token,
        "TESTGEN_REAL_CLIENT_ID": grant.client_id,
        "TESTGEN_REAL_CLIENT_SECRET": grant.client_secret,
        "TESTGEN_REAL_REFRESH_TOKEN": grant.refresh_token,
        "TESTGEN_REAL_WRONG_TOKEN": WRONG_TOKEN,
    }
    definitions = Path(__file__).with_name("testgen_definitions.py")
    home = tmp_path_factory.mktemp("dagster_home")
    secrets = [testgen_server.access_token, grant.client_secret, grant.refresh_token, WRONG_TOKEN]
    with ExitStack() as stack:
        proxy = stack.enter_context(lossy_proxy(testgen_server.base_url))
        env["TESTGEN_REAL_URL"] = proxy.base_url
        yield Ui(stack.enter_context(dagster_ui(definitions, home, env)), proxy, secrets)


def job_of(ui: Ui, asset: str, run_id: str) -> str:
    """Returns the job that a Dagster run started, as soon as it is in the event log."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for event in ui.dagster.instance.fetch_observations(dg.AssetKey(asset), limit=100).records:
            observation = event.asset_observation
            if event.run_id == run_id and observation is not None and "dagster_runs/run_id" in observation.metadata:
                return str(observation.metadata["dagster_runs/run_id"].value)
        time.sleep(0.2)
    raise TimeoutError(f"no job of run {run_id}:\n{ui.dagster.log(run_id)}")


def step_process(ui: Ui, run_id: str) -> int:
    """Returns the process of the only step of the run."""
    for event in ui.dagster.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED):
        assert event.dagster_event is not None
        return int(str(event.dagster_event.engine_event_data.metadata["pid"].value))
    raise AssertionError(f"no step process:\n{ui.dagster.log(run_id)}")


def jobs_of_suite(server: RealTestGen, suite_id: str) -> list[str]:
    jobs = [job["id"] for job in server.api.jobs() if job["job_key"] == "run-tests" and job["source"] == "api"]
    return [job_id for job_id in jobs if server.api.get(f"/test-runs/{job_id}")["test_suite_id"] == suite_id]


def test_termination_in_the_ui_cancels_the_job(testgen_server: RealTestGen, ui: Ui) -> None:
    run_id = ui.dagster.launch("slow")
    job_id = job_of(ui, "slow", run_id)
    testgen_server.api.wait_for(job_id, "running")
    ui.dagster.terminate(run_id)
    assert ui.dagster.wait_until_ended(run_id) == dg.DagsterRunStatus.CANCELED
    assert testgen_server.api.get(f"/jobs/{job_id}")["status"] == "canceled"


def test_retry_after_a_killed_step_attaches_to_its_run(testgen_server: RealTestGen, ui: Ui) -> None:
    before = set(jobs_of_suite(testgen_server, ids.NAP_SUITE))
    run_id = ui.dagster.launch("nap")
    job_id = job_of(ui, "nap", run_id)
    testgen_server.api.wait_for(job_id, "running")
    os.kill(step_process(ui, run_id), signal.SIGKILL)
    assert ui.dagster.wait_until_ended(run_id) == dg.DagsterRunStatus.SUCCESS, ui.dagster.log(run_id)

    assert set(jobs_of_suite(testgen_server, ids.NAP_SUITE)) - before == {job_id}
    materialization = ui.dagster.instance.get_latest_materialization_event(dg.AssetKey("nap"))
    assert materialization is not None
    assert materialization.asset_materialization is not None
    metadata = materialization.asset_materialization.metadata
    assert metadata["dagster_runs/run_id"].value == job_id
    assert metadata["dagster_runs/attached"].value is True


def test_retry_after_a_step_killed_before_the_start_response_finds_the_run(testgen_server: RealTestGen, ui: Ui) -> None:
    before = set(jobs_of_suite(testgen_server, ids.CLEAN_SUITE))
    ui.proxy.hold_posts = 1
    run_id = ui.dagster.launch("clean")
    assert ui.proxy.holding.wait(60), ui.dagster.log(run_id)
    os.kill(step_process(ui, run_id), signal.SIGKILL)
    assert ui.dagster.wait_until_ended(run_id) == dg.DagsterRunStatus.SUCCESS, ui.dagster.log(run_id)
    assert set(jobs_of_suite(testgen_server, ids.CLEAN_SUITE)) - before == {job_of(ui, "clean", run_id)}


def test_evicted_run_stays_active_and_is_resumed(testgen_server: RealTestGen, ui: Ui) -> None:
    before = set(jobs_of_suite(testgen_server, ids.NAP_SUITE))
    evicted = ui.dagster.launch("nap")
    job_id = job_of(ui, "nap", evicted)
    testgen_server.api.wait_for(job_id, "running")
    # Like an eviction: the processes get a signal, and Dagster is not informed.
    worker = ui.dagster.run_worker(evicted)
    assert worker is not None, ui.dagster.log(evicted)
    os.kill(worker, signal.SIGTERM)
    assert ui.dagster.wait_until_ended(evicted) != dg.DagsterRunStatus.SUCCESS
    assert testgen_server.api.get(f"/jobs/{job_id}")["status"] in ("running", "completed")

    resumed = ui.dagster.re_execute_from_failure(evicted)
    assert ui.dagster.wait_until_ended(resumed) == dg.DagsterRunStatus.SUCCESS, ui.dagster.log(resumed)
    assert set(jobs_of_suite(testgen_server, ids.NAP_SUITE)) - before == {job_id}
    assert testgen_server.api.get(f"/jobs/{job_id}")["status"] == "completed"


def test_no_secret_is_stored(ui: Ui) -> None:
    """Runs after the other tests, which have filled the storage."""
    refused = ui.dagster.launch("refused")
    assert ui.dagster.wait_until_ended(refused) == dg.DagsterRunStatus.FAILURE
    assert "401" in ui.dagster.log(refused)

    secrets = re.compile(b"|".join([ANY_TOKEN, *(re.escape(secret.encode()) for secret in ui.secrets)]))
    files = [path for path in ui.dagster.home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    leaks = {str(path): found[:2] for path in files if (found := secrets.findall(path.read_bytes()))}
    assert leaks == {}
