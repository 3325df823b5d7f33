"""When to look at a run: seldom while it cannot have ended, often where earlier runs ended."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, inf, isfinite, log
from statistics import fmean as mean
from statistics import median

from dagster_runs.remote_run.state import RunState, RunStatus

FIRST_PAUSE = 0.5
_MIN_SHORTEST = 0.5
"""Seconds between two looks at least, where a run is likely to end."""
_PER_CALL = 10.0
"""A run may cost one status call per so many seconds: the fixed pace of other integrations."""
_SPENT = 0.9
"""The part of these calls that is planned with: durations are known from few runs only, so some plans cost more."""
_AT_MOST = 2
"""However late a run ends, it costs so many times those calls at most."""
_CORRECTIONS, _NEAR = 6, 0.02
"""How often the chance is corrected by what the plan would cost, unless it is as near as that."""
_MAX_LOOKS = 400.0
"""No look is made with a chance below 1 in so many of finding the run ended, however many calls were saved."""
_LONE_WINDOW = 0.05
"""Where one or two earlier runs do not tell how much durations vary: this share of them."""
_MIN_WINDOW = 0.5
_TELLS_GROWTH = 8
"""Earlier runs from which on they tell whether durations grow."""
_SHARE_OF_AGE = 0.1


def growing_pause(waited: float, *, longest: float) -> float:
    """Seconds until the next try of something whose end nobody can foresee: a tenth of the time waited so far."""
    return min(longest, max(FIRST_PAUSE, waited * _SHARE_OF_AGE))


@dataclass(frozen=True)
class PollSchedule:
    """The ages at which to look at a run, counted in seconds from its start.

    Calls that are not made while the run is unlikely to end are made where it is likely to. So runs that take about as
    long as earlier ones cost, on average, no more calls than one every ten seconds. No run costs more than twice as
    many; where few are known and those are of very different lengths, it may come near that. Only a ``poll_interval``
    below ten seconds asks for more.

    A first run has nothing to go by, so a pause above ten seconds would only find its end later: it is looked at every
    ten seconds. Only with a ``poll_interval`` of more than 30 s does that pause grow, to a third of it.

    Attributes:
        longest: The longest pause, from the resource's ``poll_interval``.
        looks: The planned ages.
        first: Whether there is no earlier run to go by.
    """

    longest: float
    looks: tuple[float, ...] = (_PER_CALL / 2, _PER_CALL)
    first: bool = True

    @classmethod
    def after(cls, earlier: Sequence[float], *, longest: float) -> "PollSchedule":
        """The pace of a run whose asset's earlier runs took ``earlier`` seconds, oldest first."""
        ends = [end for end in earlier if isfinite(end) and end > 0]
        if not ends or longest <= _MIN_SHORTEST:
            return cls(longest)
        return cls(longest, tuple(_plan(_brought_up_to_date(ends), longest)), first=False)

    @property
    def pause_in_queue(self) -> float:
        """Seconds until the next look at a run that has not begun to work: it cannot end before it has."""
        return max(self.pause(0.0), min(_PER_CALL, self.longest))

    def pause(self, age: float) -> float:
        """Seconds until the next look at a run that has just been looked at, at this age."""
        shortest = min(_MIN_SHORTEST, self.longest)
        planned = bisect_right(self.looks, age + shortest / 2)
        if planned < len(self.looks):
            pause = self.looks[planned] - age
        elif self.first:
            pause = max(_PER_CALL, min(age / 100, self.longest / 3))
        else:
            # It takes longer than any run before: it may hang, and end in a minute or in a day.
            pause = max(_PER_CALL, (age - self.looks[-1]) * _SHARE_OF_AGE)
        return min(self.longest, pause)


class RunAge:
    """How long a run has been working, which is what the durations of earlier runs tell: they leave out any queue.

    Args:
        started_at: Epoch seconds of its start, by our clock.
    """

    def __init__(self, started_at: float) -> None:
        self._queued = False
        self._not_before = self._began_at = started_at

    def learn(self, status: RunStatus, now: float) -> None:
        """Take in what a look at this time has shown."""
        self._queued = status.state is RunState.QUEUED
        if self._queued:
            self._not_before = now
        elif status.started_at is not None:
            # By the vendor's clock, which may be wrong; our own looks bound it.
            self._began_at = max(self._not_before, min(status.started_at.timestamp(), now))

    def pause(self, pace: PollSchedule, now: float) -> float:
        """Seconds until the next look."""
        return pace.pause_in_queue if self._queued else pace.pause(now - self._began_at)


def _brought_up_to_date(ends: Sequence[float]) -> list[float]:
    """The durations as they would be now, where they grow or shrink from run to run by about the same share.

    The share is the median over all pairs of runs (Theil and Sen), which runs out of the ordinary do not change.
    """
    if len(ends) < _TELLS_GROWTH:
        return list(ends)
    growth = median(log(late / early) / (j - i) for (i, early), (j, late) in combinations(enumerate(ends), 2))
    return [end * exp(growth * (len(ends) - run)) for run, end in enumerate(ends)]


def _plan(ends: Sequence[float], longest: float) -> list[float]:
    """Looks with the same chance each of finding the run ended, as many as calls may cost on average.

    Where each has a chance of 1 in n, a run costs n of them on average. What a usual run saves by pausing as long as it
    may is spent so.
    """
    per_call = min(_PER_CALL, longest)
    expected = _Expected(ends)
    allowed = _SPENT * (1 + mean(expected.likely) / per_call)
    n = _bounded(1 + median(ends) * (1 / per_call - 1 / longest))
    looks = _looks(expected, 1 / n, longest)
    for _ in range(_CORRECTIONS):
        n, before = _bounded(n * allowed / _mean_calls(looks, expected.likely)), n
        if abs(n - before) <= _NEAR * before:
            break
        looks = _looks(expected, 1 / n, longest)
    return looks


def _bounded(n: float) -> float:
    return min(_MAX_LOOKS, max(2.0, n))


def _looks(expected: "_Expected", chance: float, longest: float) -> list[float]:
    per_call, shortest = min(_PER_CALL, longest), min(_MIN_SHORTEST, longest)
    looks: list[float] = []
    age = 0.0
    while age < expected.until:
        ended = expected.ended_by(age)
        due = min(expected.when_ended(ended + (1 - ended) * chance), age + longest)
        # Saving more where an end is not unlikely would only find it later than the fixed pace does.
        if due > age + per_call and expected.ended_by(age + per_call) >= ended + (1 - ended) * chance / 4:
            due = age + per_call
        age = max(due, age + shortest, per_call / _AT_MOST * len(looks))
        looks.append(age)
    return looks


def _mean_calls(looks: Sequence[float], durations: Sequence[float]) -> float:
    return mean(1 + bisect_left(looks, duration) for duration in durations)


class _Expected:
    """When a run ends, as its asset's earlier runs tell.

    A new run ends before, between or after ``n`` earlier ones with equal chances, 1 in ``n + 1`` each. So each earlier
    end stands for that chance, spread evenly over a window around it that is as wide as its neighbours are far: narrow
    where ends are alike, wide for one that stands alone. The rest stands for an end later than all windows.
    """

    def __init__(self, ends: Sequence[float]) -> None:
        chance = 1 / (len(ends) + 1)
        windows = [(max(0.0, end - reach), end + reach) for end, reach in zip(ends, _reaches(ends), strict=True)]
        self._ages = sorted({0.0, *(age for window in windows for age in window)})
        self._ended = [
            chance * sum(min(1.0, max(0.0, (age - begin) / (end - begin))) for begin, end in windows)
            for age in self._ages
        ]
        self.until = self._ages[-1]
        self.likely = [begin + (end - begin) * part for begin, end in windows for part in (1 / 6, 3 / 6, 5 / 6)]

    def ended_by(self, age: float) -> float:
        """The chance that a run has ended by this age."""
        return _between(min(age, self.until), self._ages, self._ended)

    def when_ended(self, chance: float) -> float:
        """The age by which a run has ended with this chance; infinite if none is known."""
        return _between(chance, self._ended, self._ages) if chance <= self._ended[-1] else inf


def _between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The value at ``x`` of the line through the points, the first of which is at 0; ``x`` is not beyond the last."""
    after = max(1, bisect_left(xs, x))
    step = xs[after] - xs[after - 1]
    return ys[after - 1] + (ys[after] - ys[after - 1]) * (x - xs[after - 1]) / step


def _reaches(ends: Sequence[float]) -> list[float]:
    """How far the window around each end reaches: to the nearest third of the others."""
    reaches = []
    for end in ends:
        away = sorted(abs(end - other) for other in ends)
        reach = away[max(1, round(len(ends) / 3))] if len(ends) > 1 else 0.0
        reaches.append(max(_MIN_WINDOW, reach, _LONE_WINDOW * end if len(ends) < 3 else 0.0))
    return reaches
