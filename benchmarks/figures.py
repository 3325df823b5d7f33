"""Measures all figures one after another, on one machine."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import (
    amperity_burst,
    ends,
    in_flight,
    ledger,
    loading,
    many_in_yaml,
    many_processes,
    many_tables,
    poll_simulation,
    users_tests,
    waiting,
)
from benchmarks.in_flight import Case, InFlight
from benchmarks.processes import MEGABYTE
from benchmarks.table import Figure
from tests.chaos.storage import StorageKind

STORAGES: Sequence[tuple[str, StorageKind]] = (("SQLite", "sqlite"), ("PostgreSQL", "postgres"))
VENDORS = {"testgen": "TestGen, which can list runs", "prophecy": "Prophecy, which cannot list runs"}
_EVERYTHING = "import dagster_runs; [getattr(dagster_runs, name) for name in dir(dagster_runs)]"
_TICK_LIMIT = 40.0
_KILOBYTE = 1e3


@dataclass(frozen=True)
class Size:
    """How many runs to measure."""

    waiting: int = 3
    ends: int = 20
    loads: int = 3
    ledger: int = 20
    tables: int = 5
    yaml: int = 5
    testing: int = 30
    in_flight: Sequence[int] = (100, 1_000, 10_000)
    rounds: int = 3


QUICK = Size(waiting=1, ends=3, loads=2, ledger=3, tables=1, yaml=1, testing=5, in_flight=(10, 100), rounds=1)


def small(size: Size) -> Iterator[Figure]:
    """Measures what does not depend on the number of runs."""
    yield Figure("`import dagster_runs`, after `import dagster`", "ms", _import_cost("import dagster_runs"), limit=50)
    yield Figure("the same, with all public names loaded", "ms", _import_cost(_EVERYTHING))
    yield Figure(f"loading {loading.ASSETS:,} remote assets", "ms", loading.ours(size.loads))
    plain = f"for comparison: {loading.ASSETS:,} plain Dagster assets, with one check each"
    yield Figure(plain, "ms", loading.plain(size.loads))
    for storage, kind in STORAGES:
        to_post, peers = ledger.to_post(kind, size.ledger), ledger.peer_to_post(kind, size.ledger)
        yield Figure(f"from the step's start to the vendor's POST ({storage})", "ms", to_post, peer=peers)
        yield Figure(
            f"additional time of a run because of the ledger ({storage})",
            "ms",
            ledger.longer(kind, size.ledger),
            limit=30,
        )
        yield Figure(f"all reads and writes of the ledger ({storage})", "ms", ledger.in_ledger(kind, size.ledger))
        yield Figure(f"for comparison: one Dagster event ({storage})", "ms", ledger.bare(kind, size.ledger))
    yield from _burst()
    yield from _many_processes(size)
    yield from _poll_schedule()


def _burst() -> Iterator[Figure]:
    busiest = amperity_burst.calls_in_busiest_second()
    yield Figure("100 status calls to Amperity at once: busiest second", "calls", busiest, limit=10)
    yield Figure("the same calls: time beyond what the rate limit requires", "%", amperity_burst.time_lost(), limit=5)


def _many_processes(size: Size) -> Iterator[Figure]:
    count, limit = many_processes.PROCESSES, many_processes.PER_SECOND
    for where, has_limits, rounds in (
        ("one machine", True, many_processes.measure(size.rounds)),
        ("as on as many machines", False, many_processes.measure(size.rounds, on_one_machine=False)),
    ):
        name = f"{count} processes, {where}, Amperity refuses more than {limit} requests per second"
        delays = [statistics.median(one.delays) for one in rounds]
        yield Figure(
            f"{name}: time from the run's end to Dagster's event", "s", delays, limit=5 if has_limits else None
        )
        refused = [one.refused_percent for one in rounds]
        yield Figure("the same: refused requests", "%", refused, limit=20 if has_limits else None)
        yield Figure("the same: failed steps", "", [float(one.failed) for one in rounds], limit=0)
    unlimited = [statistics.median(one.delays) for one in many_processes.measure(size.rounds, limited=False)]
    yield Figure(f"for comparison: {count} processes without a rate limit, the same time", "s", unlimited)


def tables(size: Size) -> Iterator[Figure]:
    """Measures the checks of a large suite."""
    found = many_tables.measure(size.tables)
    suite = f"checks of {many_tables.TABLES} tables from {many_tables.RESULTS:,} results"
    yield Figure(f"{suite}: calls after the run's end", "calls", found.calls, limit=55)
    yield Figure("the same: time after the run's end until the last check is evaluated", "s", found.seconds, limit=15)


def in_yaml(size: Size) -> Iterator[Figure]:
    """Measures how long many runs in YAML take to load."""
    found = many_in_yaml.measure(size.yaml)
    runs = f"`dg list defs` with {many_in_yaml.RUNS:,} runs"
    yield Figure(f"{runs} in YAML", "s", found.yaml)
    yield Figure("for comparison: the same runs in Python", "s", found.python)
    yield Figure("additional time because of YAML (difference of the medians)", "s", [found.additional], limit=2)


def testing(size: Size) -> Iterator[Figure]:
    """Measures what users' tests cost with the test kit."""
    tests, times = users_tests.UsersTests, size.testing
    yield Figure("a test of an asset with the test kit", "ms", users_tests.measure(tests.of_an_asset, times), limit=100)
    of_dagster = users_tests.measure(tests.of_dagster, times)
    yield Figure("for comparison: materializing an asset that does nothing", "ms", of_dagster)
    of_a_sensor = users_tests.measure(tests.of_a_sensor, times)
    yield Figure("a test of a deferred run of an hour and the completion sensor", "ms", deferred=of_a_sensor)


ROWS: Mapping[str, Callable[[Size], Iterator[Figure]]] = {"tables": tables, "testing": testing, "yaml": in_yaml}
"""The groups of rows that can be measured alone."""


def _poll_schedule() -> Iterator[Figure]:
    for name, assets, delay, calls in (
        ("predictable runs", poll_simulation.PREDICTABLE, 20, 100),
        ("all runs with earlier runs", poll_simulation.ASSETS, 20, 100),
        # Polling a tenth of a second earlier or later changes these figures, so the tolerance is two percent.
        ("first runs", poll_simulation.FIRST_RUNS, 102, 102),
    ):
        share = [poll_simulation.share_of_delay(assets)]
        title = f"poll schedule (simulated), {name}: delay relative to polling every 10 s"
        yield Figure(title, "%", share, peer=[100], limit=delay)
        share = [poll_simulation.share_of_calls(assets)]
        yield Figure("the same runs: calls relative to polling every 10 s", "%", share, peer=[100], limit=calls)


def of_runs(size: Size) -> Iterator[Figure]:
    """Measures what a waiting run costs, and how late its end is detected."""
    costs = waiting.measure(size.waiting).costs
    kinds = {"ours": "poll", "deferred": "defer", "peer": "peer"}

    def of(name: str) -> dict[str, list[float]]:
        return {
            column: [getattr(cost, name) / (1 if name == "processes" else MEGABYTE) for cost in costs[kind]]
            for column, kind in kinds.items()
        }

    yield Figure("processes of a waiting run", "", **of("processes"))
    yield Figure("memory of these processes (RSS)", "MB", **of("rss"))
    yield Figure("memory of these processes (PSS)", "MB", **of("pss"))
    seen = ends.measure(size.ends)
    delays = {column: seen[kind].delays for column, kind in kinds.items()}
    # The mean, because a few runs that end late cause most of the calls.
    calls = {column: [statistics.mean(seen[kind].calls)] for column, kind in kinds.items()}
    runs = f"runs of {ends.MINUTES} min ± {100 * ends.SPREAD:.0f}%"
    yield Figure(f"{runs}: time from the run's end to Dagster's event", "s", **delays)
    yield Figure("the same runs: status calls per run (mean)", "calls", **calls)


def in_flights(size: Size) -> Iterator[InFlight]:
    """Measures the completion sensor with more and more runs in flight."""
    for _, kind in STORAGES:
        # Polling does not depend on the storage, so the second vendor is measured only once.
        vendors = [vendor for vendor in VENDORS if vendor == "testgen" or kind == "sqlite"]
        cases = [Case(vendor, runs) for vendor in vendors for runs in size.in_flight]
        many = size.in_flight[-2]
        yield from in_flight.measure(kind, [*cases, Case("testgen", many, assets=many)])


def of_ticks(found: Sequence[InFlight]) -> Iterator[Figure]:
    """Returns the figures of the completion sensor."""
    for column, growth in (("RSS", growth_of(found, "rss")), ("PSS", growth_of(found, "pss"))):
        yield Figure(f"memory of the sensor's process per run in flight ({column})", "kB", deferred=growth, limit=20)
    for storage, kind in STORAGES:
        for one in (one for one in found if one.storage == kind):
            of = f"{one.case.runs:,} {VENDORS[one.case.vendor].split(',')[0]} runs in flight, {storage}"
            if one.case.assets != in_flight.ASSETS:
                of = f"{of}, one asset for each"
            cold = [max(tick.seconds for tick in one.cold)]
            yield Figure(f"{of}: first tick of a new process", "s", deferred=cold, limit=_TICK_LIMIT)
            yield Figure("the same: tick with nothing to do", "s", deferred=[one.warm.seconds], limit=_TICK_LIMIT)
            reporting = [tick.seconds for tick in one.reporting if tick.events] or [0.0]
            yield Figure("the same: tick that reports", "s", deferred=[max(reporting)], limit=_TICK_LIMIT)


def growth_of(found: Sequence[InFlight], memory: str) -> list[float]:
    """Returns the kilobytes per additional run, between the fewest and the most runs, for each storage and vendor."""
    growth = []
    for _, kind in STORAGES:
        for vendor in VENDORS:
            of = [
                one
                for one in found
                if (one.storage, one.case.vendor, one.case.assets) == (kind, vendor, in_flight.ASSETS)
            ]
            if not of:
                continue
            few, most = min(of, key=lambda one: one.case.runs), max(of, key=lambda one: one.case.runs)
            more = getattr(most, memory) - getattr(few, memory)
            growth.append(more / _KILOBYTE / (most.case.runs - few.case.runs))
    return growth


def _import_cost(statement: str) -> list[float]:
    """Returns the milliseconds that a statement takes after `dagster` is imported, each in a new process."""
    code = (
        f"import time, dagster; begun = time.perf_counter(); {statement}; print(1000 * (time.perf_counter() - begun))"
    )
    # The first of these processes compiles the package, as installing it would.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return [float(subprocess.check_output([sys.executable, "-c", code], env=environment)) for _ in range(10)][1:]
