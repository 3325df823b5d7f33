"""Short campaigns with a fixed seed, on both storages and with sabotage."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.chaos.conftest import ActiveCampaign, Chaos
from tests.chaos.kinds import DRILLED, PIPELINE, SLOTS
from tests.chaos.plan import Disturbance, Group, How, finds_bad_data, plan

pytestmark = pytest.mark.timeout(600)
SEED = 11
MANY = 3000
DRILLS = ([0, 2, 4, 6], [1, 5])
"""Run workers that are killed, and step processes; the latter cost most. Between them one of each vendor."""


def counted(printed: str) -> dict[str, int]:
    """Returns the rows of the first table of the report."""
    return {name.strip(): int(count) for name, count in re.findall(r"│ ([^│]+?) +│ (\d+) +│", printed)}


def first_disturbance(group: Group) -> Disturbance | None:
    return next(iter(group.disturbances), None)


def seconds(group: Group) -> float:
    """Returns about how long the remote runs take."""
    every = (behavior for one in group.materializations for behavior in one.behaviors)
    return sum(behavior.core.get("running_seconds", 0) for behavior in every)


def loses_a_response(group: Group) -> bool:
    return any(
        fault.kind == "lost_response" and fault.method == "POST"
        for one in group.materializations
        for fault in one.faults
    )


def fails_its_gate(group: Group) -> bool:
    return any(finds_bad_data(one.behaviors[-1], one.slot) for one in group.materializations)


def ended_at_a_start(group: Group, how: How) -> bool:
    first = first_disturbance(group)
    return first is not None and (first.how, first.at_start_of is not None) == (how, True)


def short_campaign(part: int) -> list[Group]:
    """Returns some of the drills, and a short group each with an eviction, a termination and a lost response.

    Also one whose data fails its gate, in one partition or several days; and one that is killed while its remote run
    is active, and is re-executed by the Python API.
    """
    groups = plan(SEED, MANY)
    in_process = [group for group in groups[len(DRILLED) :] if group.executor == "in_process"]
    gated = [group for group in in_process if group.disturbances == () and fails_its_gate(group)]
    held_back = [group for group in gated if (group.days > 1) == (part == 1)]
    by_python = [group for group in in_process if group.by_python and ended_at_a_start(group, "kill")]
    evicted = [group for group in in_process if ended_at_a_start(group, "evict")]
    terminated = [group for group in in_process if ended_at_a_start(group, "terminate")]
    lost = [group for group in in_process if group.disturbances == () and loses_a_response(group)]
    drills = [groups[number] for number in DRILLS[part]]
    return drills + [sorted(brief, key=seconds)[part] for brief in (evicted, terminated, lost, held_back, by_python)]


def killed_at_a_start(group: Group) -> bool:
    """A second run can start at Prophecy, which has neither a list nor conflicts."""
    first = first_disturbance(group)
    return (
        first is not None and first.how == "kill" and first.at_start_of == [slot.kind for slot in SLOTS].index(PIPELINE)
    )


def a_run_fails(group: Group) -> bool:
    return group.disturbances == () and any(
        one.behaviors[0].core.get("outcome") == "fail" and not one.faults for one in group.materializations
    )


def evicted_at_a_start(group: Group) -> bool:
    """The run can be canceled."""
    first = first_disturbance(group)
    if first is None or first.at_start_of is None:
        return False
    return first.how == "evict" and SLOTS[first.at_start_of].kind.run_class.can_cancel()


CAMPAIGNS: dict[str, Callable[[], list[object]]] = {
    "sqlite": lambda: ["--storage", "sqlite", *numbers(short_campaign(0))],
    "postgres": lambda: ["--storage", "postgres", *numbers(short_campaign(1))],
    "no ledger": lambda: ["--calm", "--sabotage", "no-ledger", *numbers(briefest(killed_at_a_start))],
    "fresh": lambda: ["--calm", "--sabotage", "re-execution-is-fresh", *numbers(briefest(killed_at_a_start))],
    # The other sabotages do not affect each other.
    "broken": lambda: [
        "--calm",
        *(option for name in BROKEN for option in ("--sabotage", name)),
        *numbers(briefest(killed_at_a_start, a_run_fails, evicted_at_a_start)),
    ],
}
BROKEN = {
    "swallow-errors": "unresolved start",
    "failed-is-good": "wrongly successful",
    "cancel-on-eviction": "wrongly canceled",
    "print-a-token": "secret",
    "without-targets": "check without its target",
}


def briefest(*kinds: Callable[[Group], bool]) -> list[Group]:
    """Returns the shortest group of each kind."""
    groups = plan(SEED, MANY)
    return [min((group for group in groups if suits(group)), key=seconds) for suits in kinds]


def numbers(groups: list[Group]) -> list[object]:
    return [option for group in groups for option in ("--group", group.number)]


@pytest.fixture(scope="module")
def campaigns(chaos: Chaos) -> dict[str, ActiveCampaign]:
    """Starts all campaigns at once, because they mostly wait."""
    same = ("--materializations", MANY, "--seed", SEED)
    return {name: chaos(*same, *options()) for name, options in CAMPAIGNS.items()}


@pytest.mark.parametrize(("storage", "part"), [("sqlite", 0), ("postgres", 1)])
def test_short_campaign_has_no_findings(campaigns: dict[str, ActiveCampaign], storage: str, part: int) -> None:
    done = campaigns[storage].end()
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    count = counted(done.stdout)
    groups = short_campaign(part)
    assert count["materializations asked for"] >= sum(len(group.materializations) for group in groups)
    for how in ("kill" if part == 0 else "kill step", "evict", "terminate"):
        assert count[f"interrupted: {how}"] > 0
    assert count["materialized"] > 5
    assert count["uncertain start: StartOutcomeUnknown"] > 0


@pytest.mark.parametrize("broken", ["no ledger", "fresh"])
def test_campaign_without_the_ledger_finds_duplicates(campaigns: dict[str, ActiveCampaign], broken: str) -> None:
    done = campaigns[broken].end()
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr[-2000:]
    assert counted(done.stdout)["duplicate"] > 0, done.stdout[-5000:]
    assert f"--seed {SEED}" in done.stdout, "it can be replayed"


def test_sabotage_is_found(campaigns: dict[str, ActiveCampaign]) -> None:
    done = campaigns["broken"].end()
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr[-2000:]
    for found in BROKEN.values():
        assert counted(done.stdout)[found] > 0, done.stdout[-5000:]
