"""Amperity's limit of 10 requests a second, kept by all that use the tenant in this process.

These tests take real time, since the sandbox counts by it.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, RateLimitedError
from dagster_runs.remote_run.contract import StartAttempt
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.vendors.conftest import AmperityMaker


def limited(sandbox: Sandbox, number: int) -> AmperityResource:
    """One of several, each made as its user likes."""
    suffix = ("", "/", "/api", "/api/")[number % 4]
    return AmperityResource(
        tenant=well_known.AMPERITY_TENANT,
        access_token=well_known.AMPERITY_TOKEN,
        base_url=f"{sandbox.url}/amperity{suffix}",
        max_retries=0,
    )


def test_a_burst_of_threads_and_resources_stays_within_it() -> None:
    # A sandbox of its own, whose account nobody has used yet.
    with Sandbox() as sandbox:
        workflow = sandbox.begin_run(well_known.AMPERITY_SLOW)
        resources = [limited(sandbox, number) for number in range(4)]
        begun = time.monotonic()
        with ThreadPoolExecutor(15) as pool:
            looks = pool.map(lambda call: resources[call % 4].get_workflow(workflow.id, verbose=False), range(30))
            assert {look.id for look in looks} == {workflow.id}
        took = time.monotonic() - begun
        assert sandbox.busiest_second("amperity") <= 10
        assert {request.status for request in sandbox.requests("amperity")} == {200}
    # Two seconds are forced. `make bench` has the exact figure; this one bears a busy machine.
    assert 2 <= took < 3


def test_starts_looks_stops_and_lists_count_alike() -> None:
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_SLOW)
    with Sandbox() as sandbox:
        attempt = StartAttempt(correlation_id="c", starting_at=sandbox.now(), dagster_run_id="d")

        def life(number: int) -> None:
            resource = limited(sandbox, number)
            run_id = run.start(resource, attempt)
            run.fetch_status(resource, run_id)
            run.cancel(resource, run_id)
            run.find_started(resource, attempt)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(life, range(4)))
        assert len(sandbox.requests("amperity")) >= 16
        assert sandbox.busiest_second("amperity") <= 10


def test_ten_a_second_is_the_default(sandbox: Sandbox) -> None:
    assert AmperityResource(tenant="t", access_token="a").requests_per_second == 10
    amperity = sandbox_resources(sandbox.url)["amperity"]
    assert amperity.requests_per_second == 10


def test_a_429_has_started_nothing(sandbox: Sandbox, amperity_at: AmperityMaker, clock: SandboxClock) -> None:
    # Another process uses the same tenant.
    unlimited = amperity_at()
    sandbox.configure("amperity", requests_per_second=1)
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
    attempt = StartAttempt(correlation_id="c", starting_at=clock.wall(), dagster_run_id="d")
    run.start(unlimited, attempt)
    with pytest.raises(RateLimitedError) as raised:
        run.start(unlimited, attempt)
    assert not raised.value.permanent
    assert not raised.value.may_have_been_accepted
    assert sandbox.starts("amperity") == 1
