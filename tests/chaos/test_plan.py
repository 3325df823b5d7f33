"""A seed always gives the same plan, and a large plan contains all faults and interruptions."""

from __future__ import annotations

from itertools import islice

from tests.chaos.kinds import DRILLED, SLOTS
from tests.chaos.plan import MAX_DAYS, finds_bad_data, group_of_day, plan, vendor_faults


def test_same_seed_gives_the_same_plan() -> None:
    assert plan(5, 200) == plan(5, 200)
    assert plan(5, 200) != plan(6, 200)
    assert list(islice(vendor_faults(5), 20)) == list(islice(vendor_faults(5), 20))


def test_groups_do_not_depend_on_the_size_of_the_plan() -> None:
    assert plan(5, 200) == plan(5, 400)[: len(plan(5, 200))]


def test_materializations_have_distinct_targets() -> None:
    materializations = [one for group in plan(5, 1000) for one in group.materializations]
    assert len(materializations) >= 1000
    assert len({(one.slot.kind.vendor, one.target) for one in materializations}) == len(materializations)
    assert len({one.number for one in materializations}) == len(materializations)


def test_groups_have_distinct_partitions() -> None:
    groups = plan(5, 1000, web_groups=5)
    partitions = [partition for group in groups for partition in group.partitions]
    assert len(set(partitions)) == len(partitions)
    for group in groups:
        assert {one.slot.is_daily for one in group.materializations} == {group.days > 0}
        assert {group_of_day(day) for day in group.partitions if group.days} <= {group.number}


def test_plan_has_a_drill_for_each_kind_of_run() -> None:
    drills = plan(5, 1)
    kinds = [SLOTS[group.disturbances[0].at_start_of].kind.name for group in drills]  # type: ignore
    assert sorted(kinds) == sorted({slot.kind.name for slot in SLOTS})
    for group, slot in zip(drills, DRILLED, strict=True):
        [drilled] = [one for one in group.materializations if one.slot.number == slot]
        assert [(fault.kind, fault.method, fault.target) for fault in drilled.faults[:1]] == [
            ("hang", "POST", drilled.target)
        ]


def test_large_plan_contains_every_disturbance_and_fault() -> None:
    groups = plan(5, 1000, web_groups=5)
    disturbances = {one.how for group in groups for one in group.disturbances if one is not None}
    assert disturbances == {"kill", "kill machine", "kill step", "evict", "terminate"}
    assert {group.executor for group in groups} == {"in_process", "in_processes", "web"}
    assert any(group.rerun_all_steps for group in groups)
    assert {group.days for group in groups} == {0, 1, 2, MAX_DAYS}
    assert {(group.executor, group.by_python) for group in groups} == {
        *((executor, by_python) for executor in ("in_process", "in_processes") for by_python in (True, False)),
        ("web", False),
    }
    materializations = [one for group in groups for one in group.materializations]
    assert {one.slot for one in materializations} == set(SLOTS)
    assert any(one.forgotten_after for one in materializations)
    gated = [one for one in materializations if one.slot.has_gate]
    for days in (False, True):
        found = [finds_bad_data(one.behaviors[-1], one.slot) for one in gated if one.slot.is_daily == days]
        assert 5 < sum(found) < len(found) - 5
    assert any(finds_bad_data(one.behaviors[0], one.slot) and len(one.behaviors) > 1 for one in gated)
    faults = {fault.kind for one in materializations for fault in one.faults}
    faults |= {fault.kind for _, fault in islice(vendor_faults(5), 300)}
    assert faults >= {
        *("lost_response", "reset", "status", "status_after", "html", "not_json", "truncated", "hang", "slow_body"),
        *("unknown_state", "not_found", "expired_token", "echo_secret", "redirect", "missing_field", "down"),
    }
