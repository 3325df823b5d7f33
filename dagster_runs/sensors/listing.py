"""Reads a vendor's list of runs: as a whole, or in parts if it is too long for a tick."""

from collections.abc import Callable, Iterator
from math import inf

from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors import limits
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import ConnectionFailedError, UnexpectedResponseError

ListRuns = Callable[[float, float | None], Iterator[ListedRun] | None]
"""Lists the runs between two times in epoch seconds; the second one is ``None`` for now. Returns ``None`` if the vendor
has no such list."""


class ListReader:
    """Reads one list from where the last reading ended.

    A vendor with thousands of active runs has few new entries since the last tick. After a restart or an outage, there
    may be more than a tick has time for. The list is then read in parts, in chronological order.
    """

    def __init__(self) -> None:
        self._part = inf

    def read(
        self,
        list_runs: ListRuns,
        since: float,
        show: Callable[[ListedRun], None],
        has_time: Callable[[], bool],
        *,
        at_least: int = 1,
    ) -> Iterator[float]:
        """Shows all runs since a point in time, and some earlier ones, because a run may be listed late.

        Args:
            list_runs: The vendor's list.
            since: Epoch seconds.
            show: Receives a run.
            has_time: Whether there is time for another run.
            at_least: The number of runs of a part that are shown no matter how long it takes.

        Yields:
            Epoch seconds up to which all runs were shown, after each part; finally the time at which reading began.

        Raises:
            UnexpectedResponseError: The vendor's response is not a list, or even the shortest part has too many pages.
        """
        began = current_clock().wall()
        begin = min(since, began) - limits.LISTED_LATE  # the clock may have been ahead when the last reading ended
        while begin < began:
            end = min(begin + self._part, began)
            listed = list_runs(begin, None if end == began else end)
            if listed is None:
                return
            has_shown = is_read = False
            try:
                for read, run in enumerate(listed, 1):
                    show(run)
                    has_shown = True
                    if read >= at_least and not has_time():
                        break
                else:
                    is_read = True
            except (UnexpectedResponseError, ConnectionFailedError) as error:
                # The part may have too many pages, or there was no time for the next one.
                has_failed = isinstance(error, ConnectionFailedError) and has_time()
                if has_failed or not has_shown or end - begin <= limits.MIN_LIST_PART:
                    raise
            if is_read:
                yield end
                begin = end if end == began else end - limits.LIST_OVERLAP
            else:
                self._part = max(limits.MIN_LIST_PART, (end - begin) / 4)
            if not has_time():
                return
            if is_read:
                self._part *= 2
