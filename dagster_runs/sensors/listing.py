"""Pages through the vendor's list of finished runs, so that active runs cost no status call."""

from collections.abc import Callable, Iterator
from math import inf

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors import limits
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import UnexpectedResponseError


class FinishedRunsReader:
    """Reads one resource's list of finished runs.

    A vendor with thousands of active runs has few that finished since the last tick. After a restart or an outage,
    there may be more than a tick has time for. The list is then read in parts, in chronological order.
    """

    def __init__(self) -> None:
        self._part = inf

    def read(self, resource: RemoteRunResource, since: float, show: Callable[[ListedRun], bool]) -> Iterator[float]:
        """Shows all runs that finished since a point in time, and some earlier ones, because a run may be listed late.

        Args:
            resource: The resource.
            since: Epoch seconds.
            show: Receives a run; returns whether there is time for another.

        Yields:
            Epoch seconds up to which all finished runs were shown, after each part; finally the time at which reading
                began.
        """
        began = current_clock().wall()
        begin = since - limits.LISTED_LATE
        while begin < began:
            end = min(begin + self._part, began)
            if not self._is_shown(resource, begin, None if end == began else end, show):
                self._part = max(limits.MIN_LIST_PART, (end - begin) / 4)
                return
            self._part *= 2
            yield end
            begin = end if end == began else end - limits.LIST_OVERLAP

    def _is_shown(
        self, resource: RemoteRunResource, begin: float, end: float | None, show: Callable[[ListedRun], bool]
    ) -> bool:
        has_shown = False
        try:
            listed = resource.list_finished(begin, end)
            for run in listed if listed is not None else ():
                has_shown = True
                if not show(run):
                    return False
        except UnexpectedResponseError:
            # The list may have too many pages, so the next tick reads a shorter part. Any other response that is not a
            # list is an error: it comes at once, or for the shortest part too.
            if not has_shown or self._part <= limits.MIN_LIST_PART:
                raise
            return False
        return listed is not None
