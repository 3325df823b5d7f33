"""`python -m benchmarks.ticking URL VENDOR ASSETS PARTITIONS GROUP`: ticks of a completion sensor, in its own process.

Prints what the first ticks cost, until all runs are known, then one with nothing to do, and what the process takes.
When a line comes in, the runs have ended: it ticks until all are reported, or for a while, and prints what that cost.
"""

import gc
import json
import sys
import time
from dataclasses import asdict, dataclass

import dagster as dg
import psutil

from benchmarks.in_flight_location import deferred_assets, sensor
from benchmarks.processes import cost_of
from dagster_runs.sandbox import SandboxClient
from dagster_runs.transport.clock import Clock, use_clock
from tests.sensors.driving import Driver

UNTIL_DUE = 6.0
"""Seconds after a look until its run is due again: a first run's pause of ten, less half of what lies between ticks."""
_A_MINUTE = 61.0
MAX_REPORTING_SECONDS = 20.0
"""Seconds of ticks that report."""


@dataclass(frozen=True)
class Tick:
    """One tick.

    Attributes:
        seconds: From its beginning until its events were stored.
        evaluated: Of these, in the sensor; Dagster ends a tick where these are 60.
        events: How many it reported.
        said: What the UI shows of it.
    """

    seconds: float
    evaluated: float
    events: int
    said: str


class _Later(Clock):
    """Lets the minute pass in which entries are read again; what is due stays so by the wall clock."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def main(url: str, vendor: str, assets: int, partitions: int, group: str) -> None:
    """As the module says."""
    definitions, clock = deferred_assets(vendor, assets, partitions, group), _Later()
    with dg.DagsterInstance.get() as instance, use_clock(clock):
        driver = Driver(sensor(definitions), definitions, SandboxClient(url), instance)  # type: ignore[arg-type]
        cold = [_tick(driver, instance)]
        while cold[-1].said.startswith("Reading"):
            cold.append(_tick(driver, instance))
        soon = _tick(driver, instance)
        clock.ahead += _A_MINUTE
        # Some of these may have looks to take, as time goes on.
        warm = min((_tick(driver, instance) for _ in range(4)), key=lambda tick: tick.seconds)
        gc.collect()
        cost = cost_of([psutil.Process()])
        first = {"cold": [asdict(tick) for tick in cold], "soon": asdict(soon), "warm": asdict(warm)}
        _say({**first, "rss": cost.rss, "pss": cost.pss})
        sys.stdin.readline()
        time.sleep(UNTIL_DUE)
        reporting: list[Tick] = []
        until = time.monotonic() + MAX_REPORTING_SECONDS
        while time.monotonic() < until and not (reporting and reporting[-1].said.endswith(" 0 in flight")):
            reporting.append(_tick(driver, instance))
        _say({"reporting": [asdict(tick) for tick in reporting]})


def _tick(driver: Driver, instance: dg.DagsterInstance) -> Tick:
    """As the daemon does it: evaluate, then store the events one by one, then the cursor."""
    begun = time.perf_counter()
    data = driver.evaluate()
    evaluated = time.perf_counter() - begun
    for event in data.asset_events or []:
        instance.report_runless_asset_event(event)
    driver.cursor = data.cursor
    events = len(data.asset_events or [])
    return Tick(time.perf_counter() - begun, evaluated, events, data.skip_message or "")


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
