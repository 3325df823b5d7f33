"""Short campaigns of a fixed seed: on both storages, and with the product broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.chaos.conftest import Chaos
from tests.chaos.kinds import DRILLED, PIPELINE, SLOTS
from tests.chaos.plan import Disturbance, Group, plan

pytestmark = pytest.mark.timeout(600)
SEED = 11
MANY = 600


def counted(printed: str) -> dict[str, int]:
    """The rows of the report's first table."""
    return {name.strip(): int(count) for name, count in re.findall(r"│ ([^│]+?) +│ (\d+) +│", printed)}


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_a_short_campaign_finds_nothing(chaos: Chaos, storage: str) -> None:
    done = chaos("--materializations", 16, "--seed", SEED, "--storage", storage)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    count = counted(done.stdout)
    assert count["materializations asked for"] == 16
    assert count["interrupted: kill"] + count["interrupted: kill step"] == len(DRILLED)
    assert count["materialized"] > 5
    assert count["uncertain start: StartOutcomeUnknown"] > 0


def first_disturbance(group: Group) -> Disturbance | None:
    return next(iter(group.disturbances), None)


def killed_at_a_start(group: Group) -> bool:
    """A second run can begin at Prophecy, which has neither a list nor a conflict."""
    first = first_disturbance(group)
    return (
        first is not None and first.how == "kill" and first.at_start_of == [slot.kind for slot in SLOTS].index(PIPELINE)
    )


def a_run_fails(group: Group) -> bool:
    return group.disturbances == () and any(
        one.behaviours[0].core.get("outcome") == "fail" and not one.faults for one in group.materializations
    )


def evicted_at_a_start(group: Group) -> bool:
    """Of a run that can be cancelled."""
    first = first_disturbance(group)
    if first is None or first.how != "evict" or first.at_start_of is None:
        return False
    return SLOTS[first.at_start_of].kind.run_class.can_cancel


def any_group(group: Group) -> bool:
    return True


@pytest.mark.parametrize(
    ("sabotage", "suits", "found"),
    [
        ("no-ledger", killed_at_a_start, "duplicate"),
        ("swallow-errors", killed_at_a_start, "unresolved start"),
        ("failed-is-good", a_run_fails, "wrongly successful"),
        ("cancel-on-eviction", evicted_at_a_start, "wrongly cancelled"),
        ("print-a-token", any_group, "secret"),
    ],
)
def test_what_is_broken_on_purpose_is_found(
    chaos: Chaos, sabotage: str, suits: Callable[[Group], bool], found: str
) -> None:
    group = min((group for group in plan(SEED, MANY) if suits(group)), key=lambda group: len(group.materializations))
    same = ("--materializations", MANY, "--seed", SEED, "--group", group.number, "--calm")
    done = chaos(*same, "--sabotage", sabotage)
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr[-2000:]
    assert counted(done.stdout)[found] > 0, done.stdout[-5000:]
    assert f"--seed {SEED}" in done.stdout, "it can be had again"
