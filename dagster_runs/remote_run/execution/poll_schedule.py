"""Decides when to poll a run: rarely while it cannot have finished yet, often when earlier runs finished."""

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
"""The minimum number of seconds between two polls, used when a run is likely to finish."""
_SECONDS_PER_CALL = 10.0
"""The budget: one status call per this many seconds of a run, which is the fixed interval of other integrations."""
_PLANNED_SHARE = 0.9
"""The share of the budget to plan with, because plans based on few earlier runs may cost more than expected."""
_MAX_COST_FACTOR = 2
"""The maximum cost of a run, however late it finishes, as a multiple of the budget."""
_MAX_CORRECTIONS, _CORRECTION_TOLERANCE = 6, 0.02
"""The maximum number of times that the plan is corrected by its cost, and the relative change that ends this early."""
_MAX_POLLS = 400.0
"""No poll is planned with a chance below 1 in this number of finding the run finished, even if calls were saved."""
_LONE_WINDOW = 0.05
"""The window as a share of a duration, if there are too few earlier runs (one or two) to show how durations vary."""
_MIN_WINDOW = 0.5
_MIN_RUNS_FOR_GROWTH = 8
"""The minimum number of earlier runs that shows whether durations grow."""
_SHARE_OF_AGE = 0.1


def growing_pause(waited: float, *, longest: float) -> float:
    """Returns the seconds until the next attempt if the end cannot be predicted: a tenth of the time waited so far."""
    return min(longest, max(FIRST_PAUSE, waited * _SHARE_OF_AGE))


@dataclass(frozen=True)
class PollSchedule:
    """The ages at which to poll a run, in seconds since its start.

    Calls that are saved while the run is unlikely to finish are spent when it is likely to. So runs that take about as
    long as earlier ones cost, on average, at most one call every ten seconds. No run costs more than twice as many.
    The cost may come close to that limit if few earlier runs are known and their durations differ widely. Only a
    ``poll_interval`` below ten seconds allows more calls.

    For a first run there are no earlier durations, so a pause above ten seconds would only detect its end later. It is
    polled every ten seconds. With a ``poll_interval`` above 30 s that pause grows, up to a third of the interval.

    Attributes:
        longest: The maximum pause, from the resource's ``poll_interval``.
        poll_ages: The planned ages of the polls.
        first: Whether no earlier runs are known.
    """

    longest: float
    poll_ages: tuple[float, ...] = (_SECONDS_PER_CALL / 2, _SECONDS_PER_CALL)
    first: bool = True

    @classmethod
    def after(cls, earlier: Sequence[float], *, longest: float) -> "PollSchedule":
        """Returns the schedule for a run whose asset's earlier runs took ``earlier`` seconds, oldest first."""
        ends = [end for end in earlier if isfinite(end) and end > 0]
        if not ends or longest <= _MIN_SHORTEST:
            return cls(longest)
        return cls(longest, tuple(_plan(_scaled_to_present(ends), longest)), first=False)

    @property
    def pause_in_queue(self) -> float:
        """The seconds until the next poll of a queued run, which cannot finish before it has started to run."""
        return max(self.pause(0.0), min(_SECONDS_PER_CALL, self.longest))

    def pause(self, age: float) -> float:
        """Returns the seconds until the next poll of a run that was just polled at this age."""
        shortest = min(_MIN_SHORTEST, self.longest)
        planned = bisect_right(self.poll_ages, age + shortest / 2)
        if planned < len(self.poll_ages):
            pause = self.poll_ages[planned] - age
        elif self.first:
            pause = max(_SECONDS_PER_CALL, min(age / 100, self.longest / 3))
        else:
            # It takes longer than any earlier run. It may hang, and may finish in a minute or in a day.
            pause = max(_SECONDS_PER_CALL, (age - self.poll_ages[-1]) * _SHARE_OF_AGE)
        return min(self.longest, pause)


class RunAge:
    """The time that a run has been running. It excludes any time in a queue, like the durations of earlier runs.

    Args:
        started_at: Epoch seconds of its start, by our clock.
    """

    def __init__(self, started_at: float) -> None:
        self._queued = False
        self._not_before = self._began_at = started_at

    def update(self, status: RunStatus, now: float) -> None:
        """Updates the age with the status of a poll at this time."""
        self._queued = status.state is RunState.QUEUED
        if self._queued:
            self._not_before = now
        elif status.started_at is not None:
            # The vendor's clock may be wrong, so the times of our own polls bound its value.
            self._began_at = max(self._not_before, min(status.started_at.timestamp(), now))

    def pause(self, schedule: PollSchedule, now: float) -> float:
        """Returns the seconds until the next poll."""
        return schedule.pause_in_queue if self._queued else schedule.pause(now - self._began_at)


def _scaled_to_present(ends: Sequence[float]) -> list[float]:
    """Scales the durations to the present, if they grow or shrink by about the same share from run to run.

    The share is the median over all pairs of runs (Theil-Sen estimator), so that outliers do not change it.
    """
    if len(ends) < _MIN_RUNS_FOR_GROWTH:
        return list(ends)
    growth = median(log(late / early) / (j - i) for (i, early), (j, late) in combinations(enumerate(ends), 2))
    return [end * exp(growth * (len(ends) - run)) for run, end in enumerate(ends)]


def _plan(ends: Sequence[float], longest: float) -> list[float]:
    """Plans polls that each have the same chance of finding the run finished, as many as the budget allows.

    If each poll has a chance of 1 in n, a run costs n polls on average. So a typical run spends the calls that
    it saves by pausing for as long as it may.
    """
    per_call = min(_SECONDS_PER_CALL, longest)
    expected = _EndDistribution(ends)
    allowed = _PLANNED_SHARE * (1 + mean(expected.likely) / per_call)
    n = _bounded(1 + median(ends) * (1 / per_call - 1 / longest))
    poll_ages = _planned_polls(expected, 1 / n, longest)
    for _ in range(_MAX_CORRECTIONS):
        n, before = _bounded(n * allowed / _mean_calls(poll_ages, expected.likely)), n
        if abs(n - before) <= _CORRECTION_TOLERANCE * before:
            break
        poll_ages = _planned_polls(expected, 1 / n, longest)
    return poll_ages


def _bounded(n: float) -> float:
    return min(_MAX_POLLS, max(2.0, n))


def _planned_polls(expected: "_EndDistribution", chance: float, longest: float) -> list[float]:
    per_call, shortest = min(_SECONDS_PER_CALL, longest), min(_MIN_SHORTEST, longest)
    poll_ages: list[float] = []
    age = 0.0
    while age < expected.until:
        ended = expected.ended_by(age)
        due = min(expected.when_ended(ended + (1 - ended) * chance), age + longest)
        # If the run may well finish soon, a longer pause would only detect its end later than the fixed interval
        # does.
        if due > age + per_call and expected.ended_by(age + per_call) >= ended + (1 - ended) * chance / 4:
            due = age + per_call
        age = max(due, age + shortest, per_call / _MAX_COST_FACTOR * len(poll_ages))
        poll_ages.append(age)
    return poll_ages


def _mean_calls(poll_ages: Sequence[float], durations: Sequence[float]) -> float:
    return mean(1 + bisect_left(poll_ages, duration) for duration in durations)


class _EndDistribution:
    """The distribution of a run's end, estimated from the durations of its asset's earlier runs.

    A new run ends before, between or after ``n`` earlier ones with equal chances, 1 in ``n + 1`` each. So each earlier
    duration represents that chance, spread evenly over a window around it. The window is as wide as the distance to the
    neighboring durations: narrow where durations are similar, wide for an isolated one. The remaining chance represents
    an end after all windows.
    """

    def __init__(self, ends: Sequence[float]) -> None:
        chance = 1 / (len(ends) + 1)
        windows = [
            (max(0.0, end - reach), end + reach) for end, reach in zip(ends, _window_half_widths(ends), strict=True)
        ]
        self._ages = sorted({0.0, *(age for window in windows for age in window)})
        self._ended = [
            chance * sum(min(1.0, max(0.0, (age - begin) / (end - begin))) for begin, end in windows)
            for age in self._ages
        ]
        self.until = self._ages[-1]
        self.likely = [begin + (end - begin) * part for begin, end in windows for part in (1 / 6, 3 / 6, 5 / 6)]

    def ended_by(self, age: float) -> float:
        """Returns the chance that a run has finished by this age."""
        return _interpolate(min(age, self.until), self._ages, self._ended)

    def when_ended(self, chance: float) -> float:
        """Returns the age by which a run has finished with this chance; infinite if none is known."""
        return _interpolate(chance, self._ended, self._ages) if chance <= self._ended[-1] else inf


def _interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolates linearly between the points at ``x``. The first point is at 0, and ``x`` is not beyond the last."""
    after = max(1, bisect_left(xs, x))
    step = xs[after] - xs[after - 1]
    return ys[after - 1] + (ys[after] - ys[after - 1]) * (x - xs[after - 1]) / step


def _window_half_widths(ends: Sequence[float]) -> list[float]:
    """Returns the reach of the window around each duration, which covers the nearest third of the durations."""
    reaches = []
    for end in ends:
        away = sorted(abs(end - other) for other in ends)
        reach = away[max(1, round(len(ends) / 3))] if len(ends) > 1 else 0.0
        reaches.append(max(_MIN_WINDOW, reach, _LONE_WINDOW * end if len(ends) < 3 else 0.0))
    return reaches
