"""Amperity's limit of 10 requests per second, shared by all resources of a tenant in this process.

These tests take real time, since the sandbox counts requests in real time.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, RateLimitedError
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.transport import rate_limit
from tests.vendors.conftest import AmperityMaker


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The rate limiter's accounts, empty at first."""
    accounts: dict[str, Any] = {}
    monkeypatch.setattr(rate_limit, "_windows", accounts)
    return accounts


def assert_within_limit(sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    """Assert that all requests were of one account, and that no second had more than ten."""
    assert len(accounts) == 1
    assert sandbox.peak_requests_per_second("amperity") <= 10


@pytest.fixture
def unlimited_sandbox() -> Iterator[Sandbox]:
    """A separate sandbox that counts requests and refuses none."""
    with Sandbox() as sandbox:
        sandbox.configure("amperity", requests_per_second=None)
        yield sandbox


def limited_resource(sandbox: Sandbox, number: int = 0, **fields: Any) -> AmperityResource:
    """Return a resource for one of several spellings of the tenant's URL."""
    suffix = ("", "/", "/api", "/api/")[number % 4]
    url = sandbox.url.replace("127.0.0.1", "localhost") if number % 2 else sandbox.url
    settings = {
        "tenant": well_known.AMPERITY_TENANT,
        "access_token": well_known.AMPERITY_TOKEN,
        "base_url": f"{url}/amperity{suffix}",
        "max_retries": 0,
        **fields,
    }
    return AmperityResource(**settings)


@pytest.mark.covers("amperity.rule.rate-limit")
def test_burst_of_threads_and_resources_stays_within_the_limit(
    unlimited_sandbox: Sandbox, accounts: dict[str, Any]
) -> None:
    workflow = unlimited_sandbox.start_run(well_known.AMPERITY_SLOW)
    resources = [limited_resource(unlimited_sandbox, number) for number in range(4)]
    started_at = time.monotonic()
    with ThreadPoolExecutor(15) as pool:
        workflows = pool.map(lambda call: resources[call % 4].get_workflow(workflow.id, verbose=False), range(30))
        assert {found.id for found in workflows} == {workflow.id}
    duration = time.monotonic() - started_at
    assert_within_limit(unlimited_sandbox, accounts)
    assert unlimited_sandbox.peak_requests_per_second("amperity") > 1
    assert duration >= 2, "thirty requests need at least two seconds"


@pytest.mark.covers("amperity.rule.rate-limit")
def test_starts_polls_cancels_and_lists_count_toward_the_limit(
    unlimited_sandbox: Sandbox, accounts: dict[str, Any]
) -> None:
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_SLOW)
    attempt = StartAttempt(correlation_id="c", starting_at=unlimited_sandbox.now(), dagster_run_id="d")

    def start_poll_cancel_and_list(number: int) -> None:
        resource = limited_resource(unlimited_sandbox, number)
        run_id = run.start(resource, attempt)
        run.fetch_status(resource, run_id)
        run.cancel(resource, run_id)
        run.find_started(resource, attempt)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start_poll_cancel_and_list, range(4)))
    assert len(unlimited_sandbox.requests("amperity")) >= 16
    assert_within_limit(unlimited_sandbox, accounts)


@pytest.mark.usefixtures("nobody_has_logged_in")
def test_login_counts_toward_the_limit(unlimited_sandbox: Sandbox, accounts: dict[str, Any]) -> None:
    oauth = limited_resource(
        unlimited_sandbox,
        access_token=None,
        client_id=well_known.AMPERITY_CLIENT_ID,
        client_secret=well_known.AMPERITY_CLIENT_SECRET,
        token_url=f"{unlimited_sandbox.url}/amperity/api/v0/oauth2/token",
    )
    assert list(oauth.list_workflows()) == []
    assert [request.path.rpartition("/")[2] for request in unlimited_sandbox.requests("amperity")] == ["token", "runs"]
    assert_within_limit(unlimited_sandbox, accounts)


@pytest.mark.covers("amperity.rule.rate-limit")
def test_default_limit_is_ten_requests_per_second(sandbox: Sandbox) -> None:
    assert AmperityResource(tenant="t", access_token="a").requests_per_second == 10
    amperity = sandbox_resources(sandbox.url)["amperity"]
    assert amperity.requests_per_second == 10


@pytest.mark.covers("amperity.error.429")
def test_start_refused_with_429_starts_no_run(
    sandbox: Sandbox, amperity_at: AmperityMaker, clock: SandboxClock
) -> None:
    # Another process uses the same tenant.
    unlimited = amperity_at()
    sandbox.configure("amperity", requests_per_second=1)
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
    attempt = StartAttempt(correlation_id="c", starting_at=clock.wall(), dagster_run_id="d")
    run.start(unlimited, attempt)
    with pytest.raises(RateLimitedError) as raised:
        run.start(unlimited, attempt)
    assert not raised.value.is_permanent
    assert not raised.value.may_have_been_accepted
    assert sandbox.starts("amperity") == 1


def test_processes_on_one_machine_share_the_limit(tmp_path: Path, sandbox: Sandbox) -> None:
    workflow = sandbox.start_run(well_known.AMPERITY_SLOW)
    code = f"""
from dagster_runs import AmperityResource
resource = AmperityResource(tenant={well_known.AMPERITY_TENANT!r}, access_token={well_known.AMPERITY_TOKEN!r},
    base_url="{sandbox.url}/amperity")
for _ in range(15):
    resource.get_workflow({workflow.id!r}, verbose=False)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    statuses = [request.status for request in sandbox.requests("amperity")]
    assert statuses.count(200) == 60
    assert statuses.count(429) <= 6, "only requests that a busy machine delays may exceed the limit"
