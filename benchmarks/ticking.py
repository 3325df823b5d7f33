"""`python -m benchmarks.ticking URL VENDOR ASSETS PARTITIONS GROUP`: measures a completion sensor in its own process.

First prints the cost of the ticks until all runs are known, of a tick with nothing to do, and the memory of the
process. After it has read a line, which means that the runs have ended, it ticks until all runs are reported or the
time is up, and prints the cost of these ticks.
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
"""Seconds after a poll until the run is due again: a first run's pause of 10 s, minus half of the sensor's interval."""
_A_MINUTE = 61.0
MAX_REPORT_SECONDS = 20.0
"""The maximum time in seconds for ticks that report outcomes."""


@dataclass(frozen=True)
class Tick:
    """One tick.

    Attributes:
        seconds: The time from its beginning until its events were stored.
        evaluated: The part of this time that the sensor took. Dagster ends a tick when this reaches 60 s.
        events: The number of events that it reported.
        said: The tick's message in the UI.
    """

    seconds: float
    evaluated: float
    events: int
    said: str


class _Later(Clock):
    """Skips the minute in which entries are read again. Due times do not change, because they use the wall clock."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def main(url: str, vendor: str, assets: int, partitions: int, group: str) -> None:
    """Measures the ticks, and prints the results as JSON; see the module."""
    definitions, clock = deferred_assets(vendor, assets, partitions, group), _Later()
    with dg.DagsterInstance.get() as instance, use_clock(clock):
        driver = Driver(sensor(definitions), definitions, SandboxClient(url), instance)  # type: ignore[arg-type]
        cold = [_tick(driver, instance)]
        while cold[-1].said.startswith("Reading"):
            cold.append(_tick(driver, instance))
        soon = _tick(driver, instance)
        clock.ahead += _A_MINUTE
        # Some of these ticks may have runs to poll, because time passes.
        warm = min((_tick(driver, instance) for _ in range(4)), key=lambda tick: tick.seconds)
        gc.collect()
        cost = cost_of([psutil.Process()])
        first = {"cold": [asdict(tick) for tick in cold], "soon": asdict(soon), "warm": asdict(warm)}
        _print({**first, "rss": cost.rss, "pss": cost.pss})
        sys.stdin.readline()
        time.sleep(UNTIL_DUE)
        reporting: list[Tick] = []
        until = time.monotonic() + MAX_REPORT_SECONDS
        while time.monotonic() < until and not (
            reporting and reporting[-1].said.endswith("No deferred run is in flight")
        ):
            reporting.append(_tick(driver, instance))
        _print({"reporting": [asdict(tick) for tick in reporting]})


def _tick(driver: Driver, instance: dg.DagsterInstance) -> Tick:
    """Does what the daemon does: evaluates the tick, then stores the events one by one, then the cursor."""
    begun = time.perf_counter()
    data = driver.evaluate()
    evaluated = time.perf_counter() - begun
    for event in data.asset_events or []:
        instance.report_runless_asset_event(event)
    driver.cursor = data.cursor
    events = len(data.asset_events or [])
    return Tick(time.perf_counter() - begun, evaluated, events, data.skip_message or "")


def _print(data: object) -> None:
    print(json.dumps(data), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
