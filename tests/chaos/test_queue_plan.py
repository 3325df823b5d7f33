"""A seed always gives the same queue groups, and a large plan has all kinds of requests and disturbances."""

from __future__ import annotations

from tests.chaos.plan import plan
from tests.chaos.queue_plan import KILL_POINTS, QUEUE_SLOTS, queue_plan


def test_same_seed_gives_the_same_plan() -> None:
    assert queue_plan(5, 4) == queue_plan(5, 6)[:4]
    assert queue_plan(5, 4) != queue_plan(6, 4)


def test_targets_are_distinct_from_those_of_other_groups() -> None:
    places = [place for group in queue_plan(5, 20) for place in group.places]
    numbers = {place.number for place in places} | {
        one.number for group in plan(5, 500) for one in group.materializations
    }
    assert len(numbers) == len(places) + sum(len(group.materializations) for group in plan(5, 500))


def test_large_plan_contains_every_request_and_disturbance() -> None:
    groups = queue_plan(5, 20)
    requests = [request for group in groups for request in group.requests]
    assert {request.place.slot for request in requests} == set(QUEUE_SLOTS)
    assert {request.is_backfill for request in requests} == {True, False}
    disturbances = [one for request in requests for one in request.disturbances]
    disturbances += [one for group in groups for one in group.started_disturbances if one is not None]
    assert {one.how for one in disturbances} == {"kill", "evict", "terminate"}
    assert {one.at_start_of is None for one in disturbances} == {True, False}
    assert all({kill.point for kill in group.kills} == set(KILL_POINTS) for group in groups)
    assert {fault.method for group in groups for fault in group.faults} == {"GET", "POST"}
    for group in groups:
        bursts = [request.variant for request in group.requests if request.place.slot.field]
        assert len(set(bursts)) < len(bursts), "some requests are equal"


def test_calm_plan_disturbs_nothing_and_still_exceeds_each_limit() -> None:
    for group in queue_plan(5, 20, calm=True):
        assert (group.started_disturbances, group.faults, group.kills) == ((), (), ())
        assert not any(request.disturbances for request in group.requests)
        for slot in QUEUE_SLOTS:
            asked = {request.place.partition for request in group.requests if request.place.slot == slot}
            assert slot.limit is None or len(asked) > slot.limit
