"""Tolerates outages of Dagster's storage, which must not end a step whose remote run is active."""

import logging
from collections.abc import Callable
from typing import TypeVar

from dagster_runs.transport.clock import current_clock

STORAGE_GRACE = 600.0
"""Seconds for which a waiting step tolerates failures of Dagster's storage. A failover or a restart takes less. If the
storage never recovers, the step fails; a later attempt attaches to the remote run."""
_PAUSE = 5.0
_logger = logging.getLogger(__name__)
T = TypeVar("T")


class StorageOutage:
    """Tracks how long Dagster's storage has failed for one step.

    The log lines go to Python's logging, because Dagster's own log is in the storage that fails.
    """

    def __init__(self, description: str) -> None:
        """Begins with a storage that works.

        Args:
            description: What the step does, for the log.
        """
        self._description = description
        self._since: float | None = None

    def attempt(self, call: Callable[[], T]) -> T | None:
        """Calls the storage once. Returns ``None`` if the call fails, for up to ten minutes of failures.

        Raises:
            Exception: The storage's own exception, after it has failed for more than ten minutes.
        """
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - each storage has its own errors; logged once
            self._handle_error(error)
            return None
        self._log_recovery()
        return result

    def wait_for(self, call: Callable[[], T]) -> T:
        """Calls the storage until the call succeeds.

        Raises:
            Exception: The storage's own exception, after it has failed for more than ten minutes.
        """
        while True:
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - each storage has its own errors; logged once
                self._handle_error(error)
                current_clock().sleep(_PAUSE)
                continue
            self._log_recovery()
            return result

    def _handle_error(self, error: Exception) -> None:
        now = current_clock().monotonic()
        if self._since is None:
            self._since = now
            _logger.warning(
                "Dagster's storage failed (%s: %s). The step of %s continues without it for up to %.0f s",
                type(error).__name__,
                error,
                self._description,
                STORAGE_GRACE,
                exc_info=error,
            )
        if now - self._since > STORAGE_GRACE:
            raise error

    def _log_recovery(self) -> None:
        if self._since is not None:
            duration = current_clock().monotonic() - self._since
            _logger.warning("Dagster's storage works again after %.0f s (%s)", duration, self._description)
            self._since = None
