"""Many status calls to Amperity at once, from several resources and threads: does the client keep the limit, and how
much time does it lose by that?"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from dagster_runs import AmperityResource
from dagster_runs.sandbox import Sandbox, well_known

CALLS, PER_SECOND = 100, 10
FORCED = (CALLS - PER_SECOND) / PER_SECOND
"""Seconds that the limit forces: the first ten calls are free, each further one needs a tenth of a second."""
_RESOURCES, _THREADS, _ROUNDS = 4, 20, 3
_FORGOTTEN = 1.5
"""Seconds after which the client counts the last burst's calls no more: the first ten are to be free."""


def peak_requests_per_second() -> list[float]:
    """As the sandbox counts, in any second of real time."""
    return [float(peak) for peak, _ in _rounds()]


def time_lost() -> list[float]:
    """Percent by which the burst takes longer than the limit forces."""
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
            workflows = pool.map(
                lambda call: resources[call % _RESOURCES].get_workflow(workflow.id, verbose=False), calls
            )
            assert {status.id for status in workflows} == {workflow.id}
        took = time.perf_counter() - begun
        assert {request.status for request in sandbox.requests("amperity")} == {200}
        return sandbox.peak_requests_per_second("amperity"), took
