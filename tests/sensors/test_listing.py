"""Reading a vendor's list of runs: it stops at the deadline, reads a long list in parts, and leaves no gaps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import DAY, ListedRun
from dagster_runs.sensors import limits
from dagster_runs.sensors.listing import ListReader
from dagster_runs.transport.clock import Clock, use_clock
from dagster_runs.transport.errors import UnexpectedResponseError


class ManualClock(Clock):
    """A clock that only moves when something sleeps."""

    def __init__(self) -> None:
        self._now = 1_000_000.0

    def wall(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Replaces the sandbox's clock, which would need a request for each run that is read."""
    with use_clock(ManualClock()) as clock:
        yield clock


class VendorList:
    """A vendor's list of runs that were created at some times. Each run takes a second to read.

    Args:
        clock: The clock.
        times: Epoch seconds at which the runs were created.
        max_runs: The number of runs after which the vendor's pages end with an error.
    """

    def __init__(self, clock: Clock, times: list[float], *, max_runs: int = 1_000) -> None:
        self.requests: list[tuple[float, float | None]] = []
        self._clock = clock
        self._times = times
        self._max_runs = max_runs

    def __call__(self, since: float, until: float | None) -> Iterator[ListedRun]:
        self.requests.append((since, until))
        found = [time for time in self._times if since <= time and (until is None or time < until)]
        for number, time in enumerate(found):
            if number == self._max_runs:
                raise UnexpectedResponseError("too many pages", vendor="Acme", method="GET", path="/runs")
            self._clock.sleep(1)
            yield ListedRun(str(time), time, RunState.SUCCEEDED, None)


def test_deadline_is_checked_after_each_run(clock: Clock) -> None:
    now = clock.wall()
    shown: list[ListedRun] = []
    runs = VendorList(clock, [now - number for number in range(50)])
    assert list(ListReader().read(runs, now - 60, shown.append, lambda: False)) == []
    assert len(shown) == 1


def test_minimum_number_of_runs_is_read_regardless_of_the_deadline(clock: Clock) -> None:
    now = clock.wall()
    shown: list[ListedRun] = []
    runs = VendorList(clock, [now - number for number in range(50)])
    list(ListReader().read(runs, now - 60, shown.append, lambda: False, at_least=20))
    assert len(shown) == 20


def test_runs_are_listed_after_a_clock_that_was_ahead_is_corrected(clock: Clock) -> None:
    now = clock.wall()
    shown: list[ListedRun] = []
    runs = VendorList(clock, [now - 10])
    [read_to] = ListReader().read(runs, now + DAY, shown.append, lambda: True)
    assert now <= read_to < now + 60
    assert [run.created_at for run in shown] == [now - 10]


def test_list_with_too_many_pages_is_read_in_parts_in_one_tick(clock: Clock) -> None:
    now = clock.wall()
    times = [now - 100 * number for number in range(100)]
    shown: set[str] = set()
    runs = VendorList(clock, times, max_runs=30)
    read_to = list(ListReader().read(runs, now - 10_000, lambda run: shown.add(run.run_id), lambda: True))
    assert shown == {str(time) for time in times}
    assert read_to == sorted(read_to)
    assert read_to[-1] >= now
    starts = [since for since, _ in runs.requests]
    assert max(late - early for early, late in pairwise(starts)) < 10_000, "nothing is skipped"


def test_slow_list_continues_in_the_next_tick(clock: Clock) -> None:
    now = clock.wall()
    times = [now - 100 * number for number in range(100)]
    shown: set[str] = set()
    runs, reader, read_to = VendorList(clock, times), ListReader(), now - 10_000
    ticks, until = 0, 0.0

    def has_time() -> bool:
        return clock.monotonic() < until

    while read_to < now:
        until = clock.monotonic() + 30
        read_to = max([read_to, *reader.read(runs, read_to, lambda run: shown.add(run.run_id), has_time)])
        ticks += 1
    assert 1 < ticks < 20
    assert shown == {str(time) for time in times}


def test_response_that_is_not_a_list_raises_an_error_after_one_request(clock: Clock) -> None:
    runs = VendorList(clock, [clock.wall() - 10], max_runs=0)
    with pytest.raises(UnexpectedResponseError):
        list(ListReader().read(runs, clock.wall() - DAY, lambda _: None, lambda: True))
    assert len(runs.requests) == 1


def test_run_that_the_vendor_lists_late_is_found(clock: Clock) -> None:
    now = clock.wall()
    late = now - limits.LISTED_LATE + 1
    shown: list[ListedRun] = []
    list(ListReader().read(VendorList(clock, [late]), now, shown.append, lambda: True))
    assert [run.created_at for run in shown] == [late]
