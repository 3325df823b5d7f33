"""Outages of Dagster's storage, which must not end a step whose remote run is fine."""

import logging
from collections.abc import Callable
from typing import TypeVar

from dagster_runs.transport.clock import current_clock

STORAGE_GRACE = 600.0
"""Seconds for which a waiting step bears that Dagster's storage fails. A failover or a restart takes less; a step that
has lost its storage for good must end some time, and its remote run is attached to later."""
_PAUSE = 5.0
_logger = logging.getLogger(__name__)
T = TypeVar("T")


class StorageOutage:
    """How long Dagster's storage has failed for one step.

    The log lines go to Python's logging: Dagster's own log is in the storage that fails.
    """

    def __init__(self, description: str) -> None:
        """Begin with a storage that works.

        Args:
            description: What the step does, for the log.
        """
        self._description = description
        self._since: float | None = None

    def attempt(self, call: Callable[[], T]) -> T | None:
        """Call the storage once; ``None`` if it fails, which it may do for ten minutes.

        Raises:
            Exception: The storage's own, when it has failed for longer.
        """
        try:
            answer = call()
        except Exception as error:  # each storage has its own errors
            self._handle_poll_error(error)
            return None
        self._end()
        return answer

    def wait_for(self, call: Callable[[], T]) -> T:
        """Call the storage until it answers.

        Raises:
            Exception: The storage's own, when it has failed for ten minutes.
        """
        while True:
            try:
                answer = call()
            except Exception as error:  # each storage has its own errors
                self._handle_poll_error(error)
                current_clock().sleep(_PAUSE)
                continue
            self._end()
            return answer

    def _handle_poll_error(self, error: Exception) -> None:
        now = current_clock().monotonic()
        if self._since is None:
            self._since = now
            _logger.warning(
                "Dagster's storage failed (%s: %s). The step of %s continues without it for up to %.0f s",
                type(error).__name__,
                error,
                self._description,
                STORAGE_GRACE,
            )
        if now - self._since > STORAGE_GRACE:
            raise error

    def _end(self) -> None:
        if self._since is not None:
            lasted = current_clock().monotonic() - self._since
            _logger.warning("Dagster's storage answers again after %.0f s (%s)", lasted, self._description)
            self._since = None
