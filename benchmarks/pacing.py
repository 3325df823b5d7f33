"""Looking at runs, simulated: `Pace` beside a fixed pace of ten seconds, over durations like those of real jobs.

Both are asked the same of the same runs: how long after its end a run is known to have ended, and how many status calls
that takes. Each asset's runs come one after the other, and `Pace` knows those before. Every call takes some time.
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

MAX_POLL_INTERVAL, FIXED_POLL_INTERVAL = 30.0, 10.0
KEPT = 20
_RUNS = 80
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
Duration = Callable[[random.Random, float], float]
"""Seconds that a run takes; the second argument grows to 1 over the asset's runs."""


@dataclass(frozen=True)
class Asset:
    """How long an asset's runs take.

    ``predictable``: earlier runs tell the next one's end to within some percent, so that the aim holds for it alone.
    """

    name: str
    duration: Duration
    predictable: bool = True
    kept: int = KEPT
    runs: int = _RUNS


class Seen(NamedTuple):
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
def simulated(asset: Asset) -> tuple[Sequence[Seen], Sequence[Seen]]:
    """The asset's runs, by `Pace` and by the fixed pace."""
    chance = random.Random(asset.name)
    durations = [max(1.0, asset.duration(chance, (run - KEPT) / asset.runs)) for run in range(KEPT + asset.runs)]
    ours, fixed = [], []
    for run in range(KEPT, len(durations)):
        pace = PollSchedule.after(durations[run - asset.kept : run], longest=MAX_POLL_INTERVAL)
        latency = random.Random(run)
        ours.append(_follow(durations[run], pace.pause, latency))
        latency = random.Random(run)
        fixed.append(_follow(durations[run], lambda age: FIXED_POLL_INTERVAL, latency, look_at_once=True))
    return ours, fixed


def _follow(
    duration: float, pause: Callable[[float], float], latency: random.Random, *, look_at_once: bool = False
) -> Seen:
    age, asked, calls = 0.0, -inf, 0
    while asked < duration:
        asked = age if look_at_once and not calls else age + pause(age)
        age = asked + latency.uniform(0.1, 0.3)
        calls += 1
    return Seen(age - duration, calls)


def together(assets: Sequence[Asset]) -> tuple[Sequence[Seen], Sequence[Seen]]:
    """The runs of all these assets."""
    both = [simulated(asset) for asset in assets]
    return [seen for ours, _ in both for seen in ours], [seen for _, fixed in both for seen in fixed]


def share_of_delay(assets: Sequence[Asset]) -> float:
    """Percent of the fixed pace's median delay."""
    ours, fixed = together(assets)
    return 100 * median(seen.delay for seen in ours) / median(seen.delay for seen in fixed)


def share_of_calls(assets: Sequence[Asset]) -> float:
    """Percent of the fixed pace's calls."""
    ours, fixed = together(assets)
    return 100 * sum(seen.calls for seen in ours) / sum(seen.calls for seen in fixed)


HEADER = ("asset", "median", "p95", "calls a run", "fixed: median", "p95", "calls")


def as_table() -> Table:
    """For a terminal."""
    table = Table(*HEADER, title="pacing, simulated")
    for row in rows():
        table.add_row(*row)
    return table


def rows() -> list[tuple[str, ...]]:
    """A table: for each asset and for all, median and 95th percentile of the delay and calls a run, ours and fixed."""
    groups = [(asset.name, [asset]) for asset in ASSETS + FIRST_RUNS]
    groups.append(("all with earlier runs", ASSETS))
    return [(name, *(cell for seen in together(assets) for cell in _cells(seen))) for name, assets in groups]


def _cells(seen: Sequence[Seen]) -> tuple[str, str, str]:
    waited = [one.delay for one in seen]
    return (
        f"{median(waited):.1f} s",
        f"{quantiles(waited, n=20)[-1]:.1f} s",
        f"{mean(one.calls for one in seen):.1f}",
    )
