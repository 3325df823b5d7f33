"""The poll schedule: when a run is polled, by its age and by the durations of the asset's earlier runs."""

import re
from itertools import pairwise
from math import ceil, nan
from random import Random

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_runs.remote_run.execution.poll_schedule import FIRST_PAUSE, PollSchedule, growing_pause
from dagster_runs.sandbox import Behavior, Sandbox
from tests.remote_run.materializing import PROFILES, TESTS, metadata, run_profiles, run_tests

DURATIONS = st.lists(st.floats(0.1, 2000), max_size=20)
MAX_INTERVALS = st.floats(0.1, 600)
FEW_EXAMPLES = settings(max_examples=30, deadline=None)


def pauses_between_polls(sandbox: Sandbox, vendor: str) -> list[float]:
    """Returns the seconds from the newest start to the first poll, and from each poll to the next."""
    requests = sandbox.requests(vendor)
    start = max(number for number, request in enumerate(requests) if request.method == "POST")
    polls = [
        request.received_at for request in requests[start:] if re.search(r"/start|/status$|/jobs/|-runs$", request.path)
    ]
    return [after - before for before, after in pairwise(polls)]


def ages_at_polls(schedule: PollSchedule, duration: float) -> list[float]:
    ages = [schedule.pause(0.0)]
    while ages[-1] < duration:
        ages.append(ages[-1] + schedule.pause(ages[-1]))
    return ages


class TestAnyHistory:
    @FEW_EXAMPLES
    @given(DURATIONS, MAX_INTERVALS, st.floats(0, 1e7))
    def test_pauses_stay_between_the_shortest_and_the_longest(
        self, earlier: list[float], longest: float, age: float
    ) -> None:
        assert 0 < min(0.249, longest / 2.001) <= PollSchedule.after(earlier, longest=longest).pause(age) <= longest

    @FEW_EXAMPLES
    @given(DURATIONS, st.floats(10, 600), st.floats(0.1, 5000))
    def test_run_costs_at_most_twice_the_calls_of_a_fixed_interval_of_ten_seconds(
        self, earlier: list[float], longest: float, duration: float
    ) -> None:
        most = 1 + ceil(round(duration / 5, 6))
        assert len(ages_at_polls(PollSchedule.after(earlier, longest=longest), duration)) <= most

    def test_runs_like_the_earlier_ones_cost_no_more_calls_than_a_fixed_interval_on_average(self) -> None:
        ours = fixed = 0
        for seed in range(200):
            rng = Random(seed)
            earlier = [rng.choice([20.0, rng.uniform(20, 2000)]) for _ in range(rng.randint(1, 20))]
            again = [*earlier, *reversed(earlier)]  # durations that neither grow nor shrink
            schedule = PollSchedule.after(again, longest=rng.choice([10, 20, 30, 60, 300]))
            ours += sum(len(ages_at_polls(schedule, duration)) for duration in earlier)
            fixed += sum(1 + ceil(duration / 10) for duration in earlier)
        assert ours <= fixed

    @FEW_EXAMPLES
    @given(DURATIONS, MAX_INTERVALS)
    def test_poll_ages_increase_and_end_soon_after_the_longest_run(self, earlier: list[float], longest: float) -> None:
        poll_ages = PollSchedule.after(earlier, longest=longest).poll_ages
        assert all(before < after for before, after in pairwise(poll_ages))
        assert len(poll_ages) <= 2 + 2e5 / min(10, longest)

    def test_invalid_durations_are_ignored(self) -> None:
        assert PollSchedule.after([nan, 0.0, -5.0, float("inf")], longest=30) == PollSchedule(30)


class TestFirstRun:
    @FEW_EXAMPLES
    @given(st.floats(0.1, 50_000), st.floats(10, 30))
    def test_end_is_seen_no_later_than_with_a_fixed_interval_of_ten_seconds(
        self, duration: float, longest: float
    ) -> None:
        assert ages_at_polls(PollSchedule.after([], longest=longest), duration)[-1] <= 10 * ceil(duration / 10) + 1e-6

    def test_pause_grows_only_with_a_longer_poll_interval(self) -> None:
        assert PollSchedule(30).pause(86_400) == 10
        assert PollSchedule(300).pause(600) == 10
        assert PollSchedule(300).pause(86_400) == 100
        assert PollSchedule(2).pause(86_400) == 2


class TestLaterRuns:
    def test_polls_are_rare_until_the_expected_end_then_frequent(self) -> None:
        schedule = PollSchedule.after([600 + jitter for jitter in (-9, 4, 7, -2, 0, 3, -5, 8)], longest=30)
        assert schedule.pause(0) == schedule.pause(300) == 30
        assert schedule.pause(600) <= 2

    def test_polls_are_frequent_at_each_duration_of_earlier_runs(self) -> None:
        poll_ages = PollSchedule.after([120, 2400, 119, 122, 2410, 2395, 121, 2402], longest=30).poll_ages
        apart = [(before, after - before) for before, after in pairwise(poll_ages)]
        assert max(gap for age, gap in apart if 119 < age < 123) < 3
        assert min(gap for age, gap in apart if 200 < age < 2300) == pytest.approx(30)
        assert max(gap for age, gap in apart if 2385 < age < 2425) < 3

    def test_growing_durations_are_extrapolated(self) -> None:
        poll_ages = PollSchedule.after([600 * 1.03**run for run in range(20)], longest=30).poll_ages
        assert min(abs(poll_age - 600 * 1.03**20) for poll_age in poll_ages) < 1

    def test_one_run_that_hung_changes_little(self) -> None:
        usual = [600.0, 604.0, 597.0, 601.0, 599.0, 603.0, 598.0, 602.0, 600.0]
        assert PollSchedule.after([*usual, 86_400.0], longest=30).pause(600) <= 2

    def test_polling_slows_down_after_the_longest_earlier_duration(self) -> None:
        schedule = PollSchedule.after([600.0, 610.0, 590.0], longest=30)
        assert schedule.pause(700) == 10
        assert schedule.pause(7000) == 30

    def test_queued_runs_are_polled_rarely(self) -> None:
        assert PollSchedule.after([5.0, 5.0, 5.0], longest=30).pause_in_queue == 10
        assert PollSchedule.after([600.0] * 3, longest=30).pause_in_queue == 30
        assert PollSchedule(2).pause_in_queue == 2


class TestGrowingPause:
    def test_growing_pause_increases_with_the_time_waited(self) -> None:
        assert growing_pause(0, longest=30) == FIRST_PAUSE
        assert growing_pause(60, longest=30) == pytest.approx(6)
        assert growing_pause(3600, longest=30) == 30


@pytest.mark.usefixtures("clock")
class TestInAStep:
    def test_earlier_durations_are_read_from_the_materializations(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=400))
        run_profiles(sandbox, instance)
        assert metadata(instance, "features")["dagster_runs/duration_seconds"] == pytest.approx(400)
        first = pauses_between_polls(sandbox, "rudderstack")
        # Approximate, because on this clock the test's own real time passes too.
        assert 10 <= max(first) < 20
        run_profiles(sandbox, instance)
        second = pauses_between_polls(sandbox, "rudderstack")
        assert second[0] > 20  # rare while no end is expected
        assert second[-1] < 10  # and frequent near the expected end
        assert len(second) < len(first)

    def test_time_in_the_queue_does_not_count(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=300))
        for _ in range(3):
            run_tests(sandbox, instance)
        sandbox.set_behavior(TESTS.target, Behavior(queued_seconds=900, running_seconds=300))
        run_tests(sandbox, instance)
        pauses = pauses_between_polls(sandbox, "testgen")
        assert 30 <= max(pauses[:20]) < 40
        assert pauses[-1] < 10
        assert len(pauses) < 1200 / 10
