"""What a vendor tells apart as ended, read on from tick to tick, so that going runs need no looks of their own."""

from collections.abc import Callable
from math import inf

from dagster_runs.remote_run.contract import ListedRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import UnexpectedResponseError

_LISTED_LATE = 900.0
"""Seconds by which an end may be listed late, or as earlier than it was by our clock."""
_SHORTEST_PART = 60.0


class Ends:
    """How far one resource's list of ends was read.

    A vendor with thousands of runs going has few that ended since the last tick. After a restart, or an outage, there
    may be more than a tick has time for: the list is then read part by part, in the order of time.
    """

    def __init__(self) -> None:
        self._read_to = 0.0
        self._part = inf

    def read(self, resource: RemoteRunResource, since: float, show: Callable[[ListedRun], bool]) -> bool:
        """Show the ends that were not shown yet.

        Args:
            resource: The resource.
            since: Epoch seconds before which none of the runs that matter can have ended.
            show: Takes one of them in; whether there is time for another.

        Returns:
            Whether all were shown, so that what was never shown is still going.
        """
        begin, late = max(self._read_to, since), _LISTED_LATE
        while True:
            now = current_clock().wall()
            end = min(begin + self._part, now)
            is_last = end == now
            if not self._is_shown(resource, begin - late, None if is_last else end, show):
                self._part = max(_SHORTEST_PART, (end - begin) / 4)
                return False
            self._read_to = begin = end
            if is_last:
                return True
            self._part, late = 2 * self._part, 0.0

    def _is_shown(
        self, resource: RemoteRunResource, begin: float, end: float | None, show: Callable[[ListedRun], bool]
    ) -> bool:
        try:
            listed = resource.list_ended(begin, end)
            return listed is not None and all(show(run) for run in listed)
        except UnexpectedResponseError:  # its pages may be too many
            return False
