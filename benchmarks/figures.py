"""All figures, measured one after the other on one machine."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import amperity_burst, ends, in_flight, ledger, loading, pacing, waiting
from benchmarks.in_flight import Case, InFlight
from benchmarks.processes import MEGABYTE
from benchmarks.table import Figure
from tests.chaos.storage import StorageKind

STORAGES: Sequence[tuple[str, StorageKind]] = (("SQLite", "sqlite"), ("PostgreSQL", "postgres"))
VENDORS = {"testgen": "TestGen, which lists runs", "prophecy": "Prophecy, which does not"}
_EVERYTHING = "import dagster_runs; [getattr(dagster_runs, name) for name in dir(dagster_runs)]"
_TICK_LIMIT = 40.0
_KILOBYTE = 1e3


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    waiting: int = 3
    ends: int = 20
    loads: int = 3
    ledger: int = 20
    in_flight: Sequence[int] = (100, 1_000, 10_000)


QUICK = Size(waiting=1, ends=3, loads=2, ledger=3, in_flight=(10, 100))


def small(size: Size) -> Iterator[Figure]:
    """What does not depend on how many runs there are."""
    yield Figure("import dagster_runs, after import dagster", "ms", _import_cost("import dagster_runs"), limit=50)
    yield Figure("the same with every name in it", "ms", _import_cost(_EVERYTHING))
    yield Figure(f"definitions with {loading.ASSETS:,} remote assets", "ms", loading.is_ours(size.loads))
    yield Figure(
        f"for comparison: {loading.ASSETS:,} of Dagster's own, one check each", "ms", loading.plain(size.loads)
    )
    for storage, kind in STORAGES:
        to_post, peers = ledger.to_post(kind, size.ledger), ledger.peer_to_post(kind, size.ledger)
        yield Figure(f"from the step's start to the vendor's POST ({storage})", "ms", to_post, peer=peers)
        yield Figure(
            f"a run is longer than without a ledger by ({storage})", "ms", ledger.longer(kind, size.ledger), limit=30
        )
        yield Figure(f"the ledger's writes and reads, in all ({storage})", "ms", ledger.in_ledger(kind, size.ledger))
        yield Figure(f"for comparison: one bare event ({storage})", "ms", ledger.bare(kind, size.ledger))
    yield from _burst()
    yield from _pacing()


def _burst() -> Iterator[Figure]:
    busiest = amperity_burst.peak_requests_per_second()
    yield Figure("a burst of 100 status calls to Amperity: busiest second", "calls", busiest, limit=10)
    yield Figure("the same burst: longer than the limit forces", "%", amperity_burst.time_lost(), limit=5)


def _pacing() -> Iterator[Figure]:
    for name, assets, delay, calls in (
        ("foreseeable runs", pacing.PREDICTABLE, 20, 100),
        ("all later runs", pacing.ASSETS, 20, 100),
        # A look a tenth of a second earlier or later decides here: hence the two percent.
        ("first runs", pacing.FIRST_RUNS, 102, 102),
    ):
        share = [pacing.share_of_delay(assets)]
        yield Figure(f"pacing, simulated, {name}: delay, of a fixed 10 s pace's", "%", share, peer=[100], limit=delay)
        yield Figure("the same: calls", "%", [pacing.share_of_calls(assets)], peer=[100], limit=calls)


def of_runs(size: Size) -> Iterator[Figure]:
    """What a run that waits costs, and how its end is seen."""
    costs = waiting.measure(size.waiting).costs
    kinds = {"ours": "poll", "deferred": "defer", "peer": "peer"}

    def of(name: str) -> dict[str, list[float]]:
        return {
            column: [getattr(cost, name) / (1 if name == "processes" else MEGABYTE) for cost in costs[kind]]
            for column, kind in kinds.items()
        }

    yield Figure("processes of a run that waits", "", **of("processes"))
    yield Figure("their memory, RSS", "MB", **of("rss"))
    yield Figure("their memory, PSS", "MB", **of("pss"))
    seen = ends.measure(size.ends)
    delays = {column: seen[kind].delays for column, kind in kinds.items()}
    # Not the median: a few runs that end late cost most of the calls.
    calls = {column: [statistics.mean(seen[kind].calls)] for column, kind in kinds.items()}
    runs = f"runs of {ends.MINUTES} min ± {100 * ends.SPREAD:.0f} %"
    yield Figure(f"{runs}: from the remote end to Dagster's event", "s", **delays)
    yield Figure("the same: status calls a run, on average", "calls", **calls)


def in_flights(size: Size) -> Iterator[InFlight]:
    """The completion sensor with ever more runs in flight."""
    for _, kind in STORAGES:
        # How a vendor is asked has nothing to do with where the event log is: once is enough for the second one.
        vendors = [vendor for vendor in VENDORS if vendor == "testgen" or kind == "sqlite"]
        cases = [Case(vendor, runs) for vendor in vendors for runs in size.in_flight]
        many = size.in_flight[-2]
        yield from in_flight.measure(kind, [*cases, Case("testgen", many, assets=many)])


def of_ticks(found: Sequence[InFlight]) -> Iterator[Figure]:
    """What the completion sensor costs."""
    for column, growth in (("RSS", growth_of(found, "rss")), ("PSS", growth_of(found, "pss"))):
        yield Figure(
            f"memory of the sensor's process for each run in flight, {column}", "kB", deferred=growth, limit=20
        )
    for storage, kind in STORAGES:
        for one in (one for one in found if one.storage == kind):
            of = f"{one.case.runs:,} of {VENDORS[one.case.vendor].split(',')[0]} in flight, {storage}"
            if one.case.assets != in_flight.ASSETS:
                of = f"{of}, an asset each"
            cold = [max(tick.seconds for tick in one.cold)]
            yield Figure(f"{of}: tick of a new process", "s", deferred=cold, limit=_TICK_LIMIT)
            yield Figure("the same: tick with nothing to do", "s", deferred=[one.warm.seconds], limit=_TICK_LIMIT)
            reporting = [tick.seconds for tick in one.reporting if tick.events] or [0.0]
            yield Figure("the same: tick that reports", "s", deferred=[max(reporting)], limit=_TICK_LIMIT)


def growth_of(found: Sequence[InFlight], memory: str) -> list[float]:
    """Kilobytes for each further run, between the fewest and the most, of each storage and vendor."""
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
    """Milliseconds that the statement takes once `dagster` is imported, each in a fresh process."""
    code = (
        f"import time, dagster; begun = time.perf_counter(); {statement}; print(1000 * (time.perf_counter() - begun))"
    )
    # As for an installed package: compiled once, which the first of these processes does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return [float(subprocess.check_output([sys.executable, "-c", code], env=environment)) for _ in range(10)][1:]
