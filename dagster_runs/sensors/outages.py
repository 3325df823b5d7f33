"""Logs outages once when they begin and once when they end, and decides which of them fail ticks.

A tick that only logs a problem counts as successful. A problem that a user must solve (wrong credentials, a variable
that is not set) therefore also fails ticks, but never in a way that delays the outcomes of other vendors' runs.
"""

import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dagster_runs.sensors import limits
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import AuthenticationError, PermissionDeniedError, VendorError


class LastingProblem(Exception):
    """A tick fails because of a problem that a user must solve. Its work is not lost."""


class OutageLog:
    """Logs each problem when it begins and when it ends, no matter how many ticks it lasts."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def update(
        self,
        log: logging.Logger,
        problems: Mapping[str, str],
        *,
        over: str,
        errors: Mapping[str, BaseException] = MappingProxyType({}),
    ) -> None:
        """Logs the problems that have begun or ended since the last call.

        Args:
            log: The tick's logger.
            problems: The message of each current problem, by its subject.
            over: The message for the end of a problem, with two placeholders: its subject, and its duration in seconds.
            errors: The causes of problems. A cause's traceback is logged, unless it is a vendor's error, whose message
                says everything.
        """
        now = current_clock().wall()
        for name, message in problems.items():
            if name not in self._since:
                self._since[name], error = now, errors.get(name)
                log.warning(
                    "%s", message, exc_info=None if isinstance(error, VendorError) and not error.is_bug else error
                )
        for name in self._since.keys() - problems.keys():
            log.info(over, name, now - self._since.pop(name))


class OutageTracker:
    """Tracks which calls to one resource's vendor fail, and since when. Only for the tick's thread.

    Args:
        name: The resource's key, for messages.

    Attributes:
        last_error: The error of the last call, while status calls fail.
        is_unresponsive: Whether the vendor did not respond before the time of the last round was up.
    """

    def __init__(self, name: str) -> None:
        self.last_error: Exception | None = None
        self.is_unresponsive = False
        self._name = name
        self._failing_since: float | None = None
        self._failures_in_a_row = 0
        self._has_response = False
        self._is_idle = False
        self._list_errors: dict[str, Exception] = {}
        self._pending_error: Exception | None = None
        self._unsupported: dict[str, Exception] = {}
        self._logged_unsupported: set[str] = set()
        self._log = OutageLog()
        self._list_log = OutageLog()

    def succeeded(self) -> None:
        """Records that the vendor responded to a call."""
        self._failures_in_a_row, self._has_response = 0, True

    def failed(self, error: Exception) -> None:
        """Records that a call failed."""
        self._failures_in_a_row += 1
        self._pending_error = error

    def list_read(self, name: str, error: Exception | None = None, *, is_offered: bool = True) -> None:
        """Records whether a list could be read. If not, each run is polled individually.

        Args:
            name: The name of the list, for messages.
            error: Why it could not be read.
            is_offered: Whether the vendor offers this list. If not, that is not a problem.
        """
        for errors in (self._list_errors, self._unsupported):
            errors.pop(name, None)
        if error is not None:
            (self._list_errors if is_offered else self._unsupported)[name] = error

    def end_round(self, threshold: int = limits.MAX_FAILURES_IN_A_ROW, *, is_unresponsive: bool = False) -> None:
        """Decides whether there is an outage: one call may fail alone, but several in a row are an outage.

        Args:
            threshold: The number of consecutive failures that count as an outage.
            is_unresponsive: Whether the vendor did not respond before the time was up.
        """
        self._is_idle, self.is_unresponsive = False, is_unresponsive
        if self._failures_in_a_row >= max(1, threshold):
            self.last_error = self._pending_error
            self._failing_since = self._failing_since or current_clock().wall()
        elif self._has_response:
            self.last_error = self._failing_since = None
        self._failures_in_a_row, self._has_response = 0, False

    def set_idle(self) -> None:
        """Records that no run is active, so nothing is polled and nothing can fail."""
        self.last_error = self._failing_since = None
        self.is_unresponsive, self._is_idle = False, True
        self._list_errors.clear()

    @property
    def is_unavailable(self) -> bool:
        """Whether the vendor does not respond, or only with failures."""
        return self.is_unresponsive or self.last_error is not None

    @property
    def problem(self) -> str | None:
        """The reason why status calls fail; ``None`` if they do not."""
        if self.last_error is None:
            return None
        return f"Status checks of {self._name} fail; still waiting for its runs: {self.last_error}"

    @property
    def problems(self) -> list[str]:
        """The current problems: with all calls, or only with lists."""
        return [self.problem] if self.problem is not None else list(self._list_problems.values())

    @property
    def credential_problems(self) -> list[str]:
        """Why the vendor refuses our credentials, if it has responded with 401 or 403 for a while; otherwise empty."""
        is_refusal = isinstance(self.last_error, (AuthenticationError, PermissionDeniedError))
        if not is_refusal or self._failing_since is None or self.problem is None:
            return []
        return [self.problem] if current_clock().wall() - self._failing_since >= limits.REFUSED_GRACE else []

    @property
    def _list_problems(self) -> dict[str, str]:
        return {
            name: f"{name} cannot be listed, so each run is polled individually: {error}"
            for name, error in self._list_errors.items()
        }

    def log_outage(self, log: logging.Logger) -> None:
        """Logs one line when an outage begins, and one when it ends."""
        over = "%s has no active runs anymore" if self._is_idle else "Status checks of %s work again"
        errors = {self._name: self.last_error} if self.last_error is not None else {}
        problems = {self._name: self.problem} if self.problem is not None else {}
        self._log.update(log, problems, over=f"{over}, after %.0f s", errors=errors)
        for name in self._unsupported.keys() - self._logged_unsupported:
            log.info("%s are not listed by the vendor, so other calls are used: %s", name, self._unsupported[name])
        self._logged_unsupported = set(self._unsupported)
        if self.problem is None:  # otherwise the vendor is unavailable as a whole
            self.log_lists(log)

    def log_lists(self, log: logging.Logger) -> None:
        """Logs one line when a list begins to fail, and one when it works again."""
        over = "%s can be listed again, after %.0f s"
        self._list_log.update(log, self._list_problems, over=over, errors=self._list_errors)


class Alarm:
    """Decides which ticks fail while a problem lasts.

    A tick that has nothing to report fails. A tick that has something to report succeeds, but at least one tick fails
    within each `limits.ALARM_INTERVAL`, and what it had to report waits for the next tick. Ticks do not fail in a row
    for longer than that, so that Dagster stores the sensor's cursor from time to time.
    """

    def __init__(self) -> None:
        self._message = ""
        self._failed_at = self._stored_at = 0.0
        self._failed_last = False

    def check_before_reporting(self, problems: Iterable[str]) -> None:
        """Fails the tick if none has failed for too long.

        Raises:
            LastingProblem: The tick must fail.
        """
        now = self._begin(problems)
        if self._message and now - self._failed_at >= limits.ALARM_INTERVAL and not self._failed_last:
            self._fail(now)

    def check_after_reporting(self, problems: Iterable[str], *, is_idle: bool) -> None:
        """Fails a tick that has nothing to report.

        Raises:
            LastingProblem: The tick must fail.
        """
        now = self._begin(problems)
        is_stale = now - self._stored_at >= limits.ALARM_INTERVAL
        if self._message and is_idle and not (is_stale and self._failed_last):
            self._fail(now)
        self._stored_at, self._failed_last = now, False

    def _begin(self, problems: Iterable[str]) -> float:
        now, had_problem = current_clock().wall(), bool(self._message)
        self._message = ". ".join(problems)
        if self._message and not had_problem:
            self._failed_at, self._stored_at, self._failed_last = now, now, False
        return now

    def _fail(self, now: float) -> None:
        self._failed_at, self._failed_last = now, True
        raise LastingProblem(self._message)
