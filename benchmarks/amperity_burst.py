"""Sends many status calls to Amperity at once, from several resources and threads.

Measures whether the client respects the rate limit, and how much time it loses because of that.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from dagster_runs import AmperityResource
from dagster_runs.sandbox import Sandbox, well_known

CALLS, PER_SECOND = 100, 10
FORCED = (CALLS - PER_SECOND) / PER_SECOND
"""The minimum duration in seconds: the first ten calls need no pause, each further one needs a tenth of a second."""
_RESOURCES, _THREADS, _ROUNDS = 4, 20, 3
_FORGOTTEN = 1.5
"""Seconds after which the client no longer counts the calls of the previous burst."""


def calls_in_busiest_second() -> list[float]:
    """Returns the maximum number of calls in any second of real time, as counted by the sandbox."""
    return [float(busiest) for busiest, _ in _rounds()]


def time_lost() -> list[float]:
    """Returns by how many percent the burst takes longer than the rate limit requires."""
    return [100 * (took / FORCED - 1) for _, took in _rounds()]


@cache
def _rounds() -> list[tuple[int, float]]:
    return [_burst() for _ in range(_ROUNDS)]


def _burst() -> tuple[int, float]:
    time.sleep(_FORGOTTEN)
    with Sandbox() as sandbox:
        workflow = sandbox.start_run(well_known.AMPERITY_SLOW)
        resources = [
            AmperityResource(
                tenant=well_known.AMPERITY_TENANT,
                access_token=well_known.AMPERITY_TOKEN,
                base_url=f"{sandbox.url}/amperity",
            )
            for _ in range(_RESOURCES)
        ]
        begun = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as pool:
            calls = range(CALLS)
            responses = pool.map(
                lambda call: resources[call % _RESOURCES].get_workflow(workflow.id, verbose=False), calls
            )
            assert {response.id for response in responses} == {workflow.id}
        took = time.perf_counter() - begun
        assert {request.status for request in sandbox.requests("amperity")} == {200}
        return sandbox.peak_requests_per_second("amperity"), took
