"""A short campaign, and campaigns with sabotage."""

from __future__ import annotations

import re

import pytest

from tests.endurance.conftest import Endurance
from tests.endurance.kills import Kills
from tests.endurance.plan import Plan

pytestmark = pytest.mark.timeout(900)
QUICK = ("--ends-per-second", 10, "--haste", 0.3)
SEED = 7


def counted(printed: str) -> dict[str, float]:
    """Returns the rows of the report."""
    return {name.strip(): float(value) for name, value in re.findall(r"│ ([^│]+?) +│ (\d+(?:\.\d+)?) +│", printed)}


def test_short_campaign_stays_within_all_limits(endurance: Endurance) -> None:
    done = endurance("--runs", 150, "--kills", 2, "--seed", SEED, *QUICK)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    count = counted(done.stdout)
    assert count["deferred runs"] == 150
    assert count["kills of code server and daemon"] == 2
    assert count["materializations"] + count["failed Dagster runs"] == 150
    assert count["failed Dagster runs"] > 0


def seed_that_kills_late() -> int:
    """Returns a seed whose kill happens when all runs are started and half of them are reported."""
    return next(seed for seed in range(100) if 0.7 < Kills(seed, 1).due[0] < 0.8)


def seed_with_failures(runs: int) -> int:
    return next(
        seed for seed in range(100) if sum(one.fate == "fail" for one in Plan(seed, runs).deferred_runs.values()) > 1
    )


@pytest.mark.parametrize(
    ("sabotage", "arguments", "found"),
    [
        ("forget-what-was-reported", ("--kills", 1, "--seed", seed_that_kills_late()), "told twice"),
        ("take-failed-for-good", ("--kills", 0, "--seed", seed_with_failures(40)), "told wrongly"),
        ("without-targets", ("--kills", 0, "--seed", SEED), "check without its target"),
        ("forget-the-checks", ("--kills", 0, "--seed", SEED), "check missing"),
        ("exceed-the-limit", ("--kills", 0, "--seed", SEED), "limit exceeded"),
        ("drop-requests", ("--kills", 0, "--seed", SEED), "request dropped"),
        ("admit-twice", ("--kills", 0, "--seed", SEED), "two at once"),
        ("merge-different-requests", ("--kills", 0, "--seed", SEED), "request dropped"),
        ("admit-by-stale-facts", ("--kills", 0, "--seed", SEED), "limit exceeded"),
    ],
)
def test_sabotage_is_found(endurance: Endurance, sabotage: str, arguments: tuple[object, ...], found: str) -> None:
    done = endurance("--runs", 40, *arguments, "--ends-per-second", 1.5, "--haste", 0.1, "--sabotage", sabotage)
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr[-2000:]
    assert counted(done.stdout)[found] > 0, done.stdout[-6000:]
