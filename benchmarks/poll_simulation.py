"""Simulates polling: `PollSchedule` compared with polling every ten seconds, for durations like those of real jobs.

Both poll the same runs. The simulation measures how long after its end a run is detected, and how many status calls
that takes. An asset's runs take place one after another, and `PollSchedule` knows the earlier ones. Every call takes
some time.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, inf
from statistics import mean, median, quantiles
from typing import NamedTuple

from rich.table import Table

from dagster_runs.remote_run.execution.poll_schedule import PollSchedule

MAX_PAUSE, FIXED = 30.0, 10.0
KEPT = 20
_RUNS = 80
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
Duration = Callable[[random.Random, float], float]
"""Returns the duration of a run in seconds. The second argument grows to 1 over the asset's runs."""


@dataclass(frozen=True)
class Asset:
    """The durations of an asset's runs.

    Attributes:
        name: A description of the durations, which is also the seed of the simulation.
        duration: Returns the duration of each run.
        predictable: Whether earlier runs predict the end of the next one within a few percent, so that the limit must
            be met for this asset alone.
        kept: The number of earlier runs that are known.
        runs: The number of runs.
    """

    name: str
    duration: Duration
    predictable: bool = True
    kept: int = KEPT
    runs: int = _RUNS


class Detection(NamedTuple):
    """How a run's end was detected.

    Attributes:
        delay: Seconds after its end.
        calls: The number of status calls.
    """

    delay: float
    calls: int


def _about(seconds: float, spread: float) -> Duration:
    return lambda chance, _: chance.gauss(seconds, spread * seconds)


def _skewed(seconds: float, sigma: float) -> Duration:
    return lambda chance, _: seconds * exp(chance.gauss(0, sigma))


def _two_kinds(chance: random.Random, _: float) -> float:
    return (2 * _MINUTE if chance.random() < 0.8 else 40 * _MINUTE) * chance.gauss(1, 0.04)


def _sometimes_hung(chance: random.Random, _: float) -> float:
    return _DAY if chance.random() < 0.02 else chance.gauss(600, 24)


ASSETS = [
    Asset("5 min, up to 5 s more or less", lambda chance, _: 300 + chance.uniform(-5, 5)),
    Asset("40 min, up to 5 s more or less", lambda chance, _: 2400 + chance.uniform(-5, 5)),
    Asset("30 s, 10 %", _about(30, 0.1)),
    Asset("1 min, 5 %", _about(63, 0.05)),
    Asset("10 min, 4 %", _about(600, 0.04)),
    Asset("1 h, 3 %", _about(_HOUR, 0.03)),
    Asset("3 h, 2 %", _about(3 * _HOUR, 0.02)),
    Asset("grows from 20 to 30 min, 2 %", lambda chance, grown: (1200 + 600 * grown) * chance.gauss(1, 0.02)),
    Asset("10 min, one in 50 hangs for a day", _sometimes_hung),
    Asset("2 min, one in five 40 min", _two_kinds, predictable=False),
    Asset("doubles from 10 to 20 min, 2 %", lambda c, grown: 600 * 2**grown * c.gauss(1, 0.02)),
    Asset("8 min, lognormal 0.15", _skewed(480, 0.15), predictable=False),
    Asset("8 min, lognormal 0.5", _skewed(480, 0.5), predictable=False),
    Asset("1 h, lognormal 0.3", _skewed(_HOUR, 0.3), predictable=False),
    Asset("5 to 20 s", lambda chance, _: chance.uniform(5, 20), predictable=False),
    Asset("second run, 10 min, 4 %", _about(600, 0.04), predictable=False, kept=1),
    Asset("third run, 10 min, 4 %", _about(600, 0.04), predictable=False, kept=2),
]
PREDICTABLE = [asset for asset in ASSETS if asset.predictable]
FIRST_RUNS = [
    Asset("first run, 5 to 20 s", lambda chance, _: chance.uniform(5, 20), kept=0, runs=1000),
    Asset("first run, 2 to 10 min", lambda chance, _: chance.uniform(120, 600), kept=0, runs=1000),
    Asset("first run, 1 to 4 h", lambda chance, _: chance.uniform(_HOUR, 4 * _HOUR), kept=0, runs=120),
]


@cache
def simulated(asset: Asset) -> tuple[Sequence[Detection], Sequence[Detection]]:
    """Simulates the asset's runs, polled by `PollSchedule` and at the fixed interval."""
    chance = random.Random(asset.name)
    durations = [max(1.0, asset.duration(chance, (run - KEPT) / asset.runs)) for run in range(KEPT + asset.runs)]
    ours, fixed = [], []
    for run in range(KEPT, len(durations)):
        schedule = PollSchedule.after(durations[run - asset.kept : run], longest=MAX_PAUSE)
        latency = random.Random(run)
        ours.append(_poll(durations[run], schedule.pause, latency))
        latency = random.Random(run)
        fixed.append(_poll(durations[run], lambda age: FIXED, latency, begin_immediately=True))
    return ours, fixed


def _poll(
    duration: float, pause: Callable[[float], float], latency: random.Random, *, begin_immediately: bool = False
) -> Detection:
    age, polled_at, calls = 0.0, -inf, 0
    while polled_at < duration:
        polled_at = age if begin_immediately and not calls else age + pause(age)
        age = polled_at + latency.uniform(0.1, 0.3)
        calls += 1
    return Detection(age - duration, calls)


def together(assets: Sequence[Asset]) -> tuple[Sequence[Detection], Sequence[Detection]]:
    """Returns the runs of all these assets."""
    both = [simulated(asset) for asset in assets]
    return [seen for ours, _ in both for seen in ours], [seen for _, fixed in both for seen in fixed]


def share_of_delay(assets: Sequence[Asset]) -> float:
    """Returns the median delay in percent of that of the fixed interval."""
    ours, fixed = together(assets)
    return 100 * median(seen.delay for seen in ours) / median(seen.delay for seen in fixed)


def share_of_calls(assets: Sequence[Asset]) -> float:
    """Returns the calls in percent of those of the fixed interval."""
    ours, fixed = together(assets)
    return 100 * sum(seen.calls for seen in ours) / sum(seen.calls for seen in fixed)


HEADER = ("durations", "median delay", "p95", "calls per run", "fixed: median delay", "p95", "calls per run")


def as_table() -> Table:
    """Returns the table for a terminal."""
    table = Table(*HEADER, title="poll schedule (simulated)")
    for row in rows():
        table.add_row(*row)
    return table


def rows() -> list[tuple[str, ...]]:
    """Returns the rows: delays and calls for each asset and for all, by `PollSchedule` and at the fixed interval."""
    groups = [(asset.name.replace(" %", "%"), [asset]) for asset in ASSETS + FIRST_RUNS]
    groups.append(("all runs with earlier runs", ASSETS))
    return [(name, *(cell for seen in together(assets) for cell in _cells(seen))) for name, assets in groups]


def _cells(seen: Sequence[Detection]) -> tuple[str, str, str]:
    waited = [one.delay for one in seen]
    return (
        f"{median(waited):.1f} s",
        f"{quantiles(waited, n=20)[-1]:.1f} s",
        f"{mean(one.calls for one in seen):.1f}",
    )
