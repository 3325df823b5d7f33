"""Problems that last: logged once when they begin and once when they end, and shown as failed ticks where they must be.

A sensor's tick that only logs a problem is green. A problem that a person has to solve (wrong credentials, a variable
that is not set) therefore also fails ticks, but never in a way that holds up the ends of other vendors' runs.
"""

import logging
from collections.abc import Iterable, Mapping

from dagster_runs.transport.clock import current_clock

FAILS_WITHIN = 300.0
"""Seconds within which at least one tick fails while a problem lasts."""


class LastingProblem(Exception):
    """A tick fails because of a problem that a person has to solve. Its work is not lost."""


class OutageLog:
    """Logs each problem when it begins and when it ends, however many ticks it lasts."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def update(
        self,
        log: logging.Logger,
        problems: Mapping[str, str],
        *,
        over: str,
        errors: Mapping[str, BaseException] | None = None,
    ) -> None:
        """Log what has begun and what has ended since the last call.

        Args:
            log: The tick's log.
            problems: The message of each current problem, by what it concerns.
            over: The message for the end of a problem, with two placeholders: what it concerns, and its seconds.
            errors: The exceptions whose traceback is worth logging: those of code, not those of a vendor.
        """
        now = current_clock().wall()
        for name, message in problems.items():
            if name not in self._since:
                self._since[name] = now
                log.warning("%s", message, exc_info=(errors or {}).get(name))
        for name in self._since.keys() - problems.keys():
            log.info(over, name, now - self._since.pop(name))


class Alarm:
    """Decides which ticks fail while a problem lasts.

    A tick that has nothing to report fails. A tick that has something to report does so, except that within
    `FAILS_WITHIN` one tick fails in any case: what it had to report waits for the next tick. Two ticks never fail in a
    row for longer than that, so that Dagster stores the sensor's cursor now and then.
    """

    def __init__(self) -> None:
        self._has_begun = False
        self._failed_at = 0.0
        self._stored_at = 0.0
        self._failed_last = False

    def check_before_reporting(self, problems: Iterable[str]) -> None:
        """Fail the tick if none has failed for too long.

        Raises:
            LastingProblem: It must fail.
        """
        said, now = self._begin(problems), current_clock().wall()
        if said and now - self._failed_at >= FAILS_WITHIN and not self._failed_last:
            self._fail(said, now)

    def check_after_reporting(self, problems: Iterable[str], *, is_idle: bool) -> None:
        """Fail a tick that has nothing to report.

        Raises:
            LastingProblem: It must fail.
        """
        said, now = self._begin(problems), current_clock().wall()
        is_stale = now - self._stored_at >= FAILS_WITHIN
        if said and is_idle and not (is_stale and self._failed_last):
            self._fail(said, now)
        self._stored_at, self._failed_last = now, False

    def _begin(self, problems: Iterable[str]) -> str:
        said = ". ".join(problems)
        if said and not self._has_begun:
            self._failed_at = self._stored_at = current_clock().wall()
            self._failed_last = False
        self._has_begun = bool(said)
        return said

    def _fail(self, said: str, now: float) -> None:
        self._failed_at, self._failed_last = now, True
        raise LastingProblem(said)
