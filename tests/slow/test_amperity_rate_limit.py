"""Amperity's limit of 10 requests a second, kept by all that use the tenant in this process.

These tests take real time, since the sandbox counts by it.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, RateLimitedError
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.transport import rate_limit
from tests.vendors.conftest import AmperityMaker


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The accounts that have taken turns: nobody yet."""
    accounts: dict[str, Any] = {}
    monkeypatch.setattr(rate_limit, "_turns", accounts)
    return accounts


def check(sandbox: Sandbox, turns: dict[str, Any]) -> None:
    """All were requests of one account, and no second saw more than ten of them."""
    assert len(turns) == 1
    assert sandbox.peak_requests_per_second("amperity") <= 10


@pytest.fixture
def counting() -> Iterator[Sandbox]:
    """A sandbox of the test's own, which counts and refuses nothing."""
    with Sandbox() as sandbox:
        sandbox.configure("amperity", requests_per_second=None)
        yield sandbox


def limited(sandbox: Sandbox, number: int = 0, **fields: Any) -> AmperityResource:
    """One of several, each made as its user likes: a tenant has more than one address."""
    suffix = ("", "/", "/api", "/api/")[number % 4]
    url = sandbox.url.replace("127.0.0.1", "localhost") if number % 2 else sandbox.url
    given = {
        "tenant": well_known.AMPERITY_TENANT,
        "access_token": well_known.AMPERITY_TOKEN,
        "base_url": f"{url}/amperity{suffix}",
        "max_retries": 0,
        **fields,
    }
    return AmperityResource(**given)


@pytest.mark.covers("amperity.rule.rate-limit")
def test_a_burst_of_threads_and_resources_stays_within_it(counting: Sandbox, turns: dict[str, Any]) -> None:
    workflow = counting.start_run(well_known.AMPERITY_SLOW)
    resources = [limited(counting, number) for number in range(4)]
    begun = time.monotonic()
    with ThreadPoolExecutor(15) as pool:
        looks = pool.map(lambda call: resources[call % 4].get_workflow(workflow.id, verbose=False), range(30))
        assert {look.id for look in looks} == {workflow.id}
    took = time.monotonic() - begun
    check(counting, turns)
    assert counting.peak_requests_per_second("amperity") > 1
    assert took >= 2, "thirty need two seconds at least"


@pytest.mark.covers("amperity.rule.rate-limit")
def test_starts_looks_stops_and_lists_count_alike(counting: Sandbox, turns: dict[str, Any]) -> None:
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_SLOW)
    attempt = StartAttempt(correlation_id="c", starting_at=counting.now(), dagster_run_id="d")

    def life(number: int) -> None:
        resource = limited(counting, number)
        run_id = run.start(resource, attempt)
        run.fetch_status(resource, run_id)
        run.cancel(resource, run_id)
        run.find_started(resource, attempt)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(life, range(4)))
    assert len(counting.requests("amperity")) >= 16
    check(counting, turns)


@pytest.mark.usefixtures("nobody_has_logged_in")
def test_logging_in_counts_too(counting: Sandbox, turns: dict[str, Any]) -> None:
    oauth = limited(
        counting,
        access_token=None,
        client_id=well_known.AMPERITY_CLIENT_ID,
        client_secret=well_known.AMPERITY_CLIENT_SECRET,
        token_url=f"{counting.url}/amperity/api/v0/oauth2/token",
    )
    assert list(oauth.list_workflows()) == []
    assert [request.path.rpartition("/")[2] for request in counting.requests("amperity")] == ["token", "runs"]
    check(counting, turns)


@pytest.mark.covers("amperity.rule.rate-limit")
def test_ten_a_second_is_the_default(sandbox: Sandbox) -> None:
    assert AmperityResource(tenant="t", access_token="a").requests_per_second == 10
    amperity = sandbox_resources(sandbox.url)["amperity"]
    assert amperity.requests_per_second == 10


@pytest.mark.covers("amperity.error.429")
def test_a_429_has_started_nothing(sandbox: Sandbox, amperity_at: AmperityMaker, clock: SandboxClock) -> None:
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
