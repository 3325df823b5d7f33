"""Logs outages once when they begin and once when they end, and decides which of them fail ticks.

A tick that only logs a problem counts as successful. A problem that a user must solve (wrong credentials, a variable
that is not set) therefore also fails ticks, but never in a way that delays the outcomes of other vendors' runs.
"""

import logging
from collections.abc import Iterable, Mapping

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
        errors: Mapping[str, BaseException] | None = None,
    ) -> None:
        """Logs the problems that have begun or ended since the last call.

        Args:
            log: The tick's logger.
            problems: The message of each current problem, by its subject.
            over: The message for the end of a problem, with two placeholders: its subject, and its duration in seconds.
            errors: The exceptions whose traceback is logged: errors in code, but not those of a vendor.
        """
        now = current_clock().wall()
        for name, message in problems.items():
            if name not in self._since:
                self._since[name] = now
                log.warning("%s", message, exc_info=(errors or {}).get(name))
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
        self._was_answered = False
        self._is_idle = False
        self._list_errors: dict[str, Exception] = {}
        self._pending_error: Exception | None = None
        self._unsupported: dict[str, Exception] = {}
        self._logged_unsupported: set[str] = set()
        self._log = OutageLog()
        self._list_log = OutageLog()

    def succeeded(self) -> None:
        """Records that the vendor responded to a call."""
        self._failures_in_a_row, self._was_answered = 0, True

    def failed(self, error: Exception) -> None:
        """Records that a call failed."""
        self._failures_in_a_row += 1
        self._pending_error = error

    def list_succeeded(self, name: str, *, unsupported: Exception | None = None) -> None:
        """Records that a list was read, or that the vendor does not offer the list, which is not a problem."""
        self._list_errors.pop(name, None)
        if unsupported is not None:
            self._unsupported[name] = unsupported
        else:
            self._unsupported.pop(name, None)

    def list_failed(self, name: str, error: Exception) -> None:
        """Records that a list could not be read. Each run is then polled individually."""
        self._list_errors[name] = error

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
        elif self._was_answered:
            self.last_error = self._failing_since = None
        self._failures_in_a_row, self._was_answered = 0, False

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
    def refusal(self) -> str | None:
        """Why the vendor refuses our credentials, if it has responded with 401 or 403 for a while."""
        is_refusal = isinstance(self.last_error, (AuthenticationError, PermissionDeniedError))
        if not is_refusal or self._failing_since is None:
            return None
        return self.problem if current_clock().wall() - self._failing_since >= limits.REFUSED_GRACE else None

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
        self._log.update(log, problems, over=f"{over}, after %.0f s", errors=_errors_of_code(errors))
        for name in self._unsupported.keys() - self._logged_unsupported:
            log.info("%s are not listed by the vendor, so other calls are used: %s", name, self._unsupported[name])
        self._logged_unsupported = set(self._unsupported)
        if self.problem is None:  # otherwise the vendor is unavailable as a whole
            self.log_lists(log)

    def log_lists(self, log: logging.Logger) -> None:
        """Logs one line when a list begins to fail, and one when it works again."""
        errors = _errors_of_code(self._list_errors)
        self._list_log.update(log, self._list_problems, over="%s can be listed again, after %.0f s", errors=errors)


def _errors_of_code(errors: Mapping[str, Exception]) -> dict[str, Exception]:
    """Returns the errors whose traceback is worth logging. A vendor's own errors say everything in their message."""
    return {name: error for name, error in errors.items() if not isinstance(error, VendorError)}


class Alarm:
    """Decides which ticks fail while a problem lasts.

    A tick that has nothing to report fails. A tick that has something to report succeeds, but at least one tick fails
    within each `limits.ALARM_INTERVAL`, and what it had to report waits for the next tick. Ticks do not fail in a row
    for longer than that, so that Dagster stores the sensor's cursor from time to time.
    """

    def __init__(self) -> None:
        self._has_begun = False
        self._failed_at = 0.0
        self._stored_at = 0.0
        self._failed_last = False

    def check_before_reporting(self, problems: Iterable[str]) -> None:
        """Fails the tick if none has failed for too long.

        Raises:
            LastingProblem: The tick must fail.
        """
        message, now = self._begin(problems), current_clock().wall()
        if message and now - self._failed_at >= limits.ALARM_INTERVAL and not self._failed_last:
            self._fail(message, now)

    def check_after_reporting(self, problems: Iterable[str], *, is_idle: bool) -> None:
        """Fails a tick that has nothing to report.

        Raises:
            LastingProblem: The tick must fail.
        """
        message, now = self._begin(problems), current_clock().wall()
        is_stale = now - self._stored_at >= limits.ALARM_INTERVAL
        if message and is_idle and not (is_stale and self._failed_last):
            self._fail(message, now)
        self._stored_at, self._failed_last = now, False

    def _begin(self, problems: Iterable[str]) -> str:
        message = ". ".join(problems)
        if message and not self._has_begun:
            self._failed_at = self._stored_at = current_clock().wall()
            self._failed_last = False
        self._has_begun = bool(message)
        return message

    def _fail(self, message: str, now: float) -> None:
        self._failed_at, self._failed_last = now, True
        raise LastingProblem(message)
