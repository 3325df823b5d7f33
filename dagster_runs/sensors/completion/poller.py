"""Polls all deferred runs of one resource: with the vendor's lists if it has them, otherwise a few runs at a time.

Each resource has its own poller, so that a slow or unavailable vendor delays only its own runs. A round of polling runs
in a thread of the poller, with status calls in further threads. Everything they learn goes to `ResourcePoller.updates`.
The tick's thread applies it, in a later tick if the vendor was slow.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.updates import (
    ListedAsFinished,
    ListFailed,
    ListRead,
    NotFinished,
    PollResult,
    PollStarted,
    RoundEnded,
    Update,
    poll_run,
)
from dagster_runs.sensors.limits import (
    FILTER_RETRY_SECONDS,
    LISTED_LATE,
    MAX_CONCURRENT_POLLS,
    MAX_FAILURES_IN_A_ROW,
    MAX_LISTED_PER_POLL,
    SLOW_LIST_RETRY_SECONDS,
)
from dagster_runs.sensors.listing import FinishedRunsReader
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import InvalidRequestError


class _ListReading:
    """What a vendor's lists have shown in one round.

    Attributes:
        active: The runs that the lists may show.
        pending: The runs that are due and have not been shown yet.
        shown: The runs that were shown, or are known to be active.
        entries: The number of entries that were read, of any runs.
        is_complete: Whether all finished runs were shown.
    """

    def __init__(self, due: Sequence[DeferredRun], active: Iterable[DeferredRun]) -> None:
        self.active = frozenset(active)
        self.pending = set(due)
        self.shown: set[DeferredRun] = set()
        self.entries = 0
        self.is_complete = False
        self._by_id = {deferred_run.run_id: deferred_run for deferred_run in self.active}

    def take(self, run_id: str) -> DeferredRun | None:
        """Returns the run with this id, the first time that a list shows it."""
        deferred_run = self._by_id.pop(run_id, None)
        if deferred_run is not None:
            self.shown.add(deferred_run)
            self.pending.discard(deferred_run)
        return deferred_run


class ResourcePoller:
    """Polls the runs of one resource, from tick to tick. Only one round runs at a time.

    Args:
        name: The resource's key, for messages.

    Attributes:
        updates: What was learned, for the tick's thread to apply.
    """

    def __init__(self, name: str) -> None:
        self.updates: SimpleQueue[Update] = SimpleQueue()
        self._name = name
        self._finished_runs = FinishedRunsReader()
        self._skipped_until: dict[str, float] = {}
        self._workers = ThreadPoolExecutor(MAX_CONCURRENT_POLLS, thread_name_prefix=f"dagster_runs_{name}")
        self._waiting: deque[tuple[DeferredRun, Callable[[], RunStatus]]] = deque()
        self._in_progress: set[DeferredRun] = set()
        self._results: SimpleQueue[PollResult] = SimpleQueue()
        self._failures_in_a_row = 0
        self._polls = 0
        self._was_answered = False

    def poll(
        self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], resource: RemoteRunResource, until: float
    ) -> None:
        """Polls the runs that are due, and any other runs that the vendor's lists show on the way.

        Args:
            due: The runs that are due, most urgent first.
            active: All active runs of this resource.
            resource: The resource.
            until: Monotonic seconds after which no further call begins. Calls in progress continue, and count in a
                later tick.
        """
        self._failures_in_a_row, self._polls, self._was_answered = 0, 0, False
        self._collect()
        wanted = [deferred_run for deferred_run in due if deferred_run not in self._in_progress]
        # No matter how long the lists take, some runs that are past their deadline are polled in each tick.
        now = current_clock().wall()
        for deferred_run in [one for one in wanted[:MAX_CONCURRENT_POLLS] if one.deadline <= now]:
            self._begin_individually(deferred_run, resource, until)
            wanted.remove(deferred_run)
        if len(wanted) > 1:
            shown = self._read_lists(wanted, active, resource, until)
            wanted = [deferred_run for deferred_run in wanted if deferred_run not in shown]
        for deferred_run in wanted if self._has_time(until) else ():
            self._begin_individually(deferred_run, resource, until)
        self._submit(resource, until)
        while self._in_progress and current_clock().monotonic() < until:
            self._collect(wait=until - current_clock().monotonic())
            self._submit(resource, until)
        self._waiting.clear()  # runs that were not polled in time are due again in the next tick
        polls = self._polls + len(self._in_progress)
        now = current_clock().monotonic()
        was_asked = polls > 0 or any(now < skipped for skipped in self._skipped_until.values())
        is_unresponsive = was_asked and not self._was_answered and now >= until
        self.updates.put(RoundEnded(polls, is_unresponsive))

    def _read_lists(
        self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], resource: RemoteRunResource, until: float
    ) -> set[DeferredRun]:
        """Reads the vendor's lists until they have shown all runs that are due. Returns the runs that were shown."""
        begun = self._in_progress.union(deferred_run for deferred_run, _ in self._waiting)
        reading = _ListReading(due, [deferred_run for deferred_run in active if deferred_run not in begun])
        # A list may be too long for a tick, so half of the time is left for polling individually.
        now = current_clock().monotonic()
        half = now + (until - now) / 2
        # If the list of finished runs fails, the other list is still read.
        for name, read in (
            (f"The finished runs of {self._name}", self._read_finished),
            (f"The runs of {self._name}", self._read_runs),
        ):
            if reading.pending and self._has_time(half):
                self._tolerate_errors(name, read, reading, resource, half, until)
        return reading.shown

    def _tolerate_errors(  # noqa: PLR0917 - what `read` is called with, and its name
        self,
        name: str,
        read: "_Read",
        reading: _ListReading,
        resource: RemoteRunResource,
        list_until: float,
        until: float,
    ) -> None:
        """Reads a list. If that fails, each run is polled individually, so this method raises no error."""
        clock = current_clock()
        if clock.monotonic() < self._skipped_until.get(name, 0.0):
            return
        began, entries_before, is_whole = clock.monotonic(), reading.entries, False
        try:
            with resource.http().with_call_budget():
                is_whole = read(reading, resource, list_until, until)
        except InvalidRequestError as error:
            self._was_answered = True
            if read == self._read_finished:  # expected from a server without that filter: it lists the runs
                self.updates.put(ListRead(name, unsupported=error))
                self._skipped_until[name] = clock.monotonic() + FILTER_RETRY_SECONDS
            else:
                self.updates.put(ListFailed(name, error, is_refusal=True))
        except Exception as error:  # noqa: BLE001 - an error of the vendor or of its code
            self._failures_in_a_row += 1
            self.updates.put(ListFailed(name, error))
        else:
            self.updates.put(ListRead(name))
        now = clock.monotonic()
        if now >= list_until and is_whole:
            self._skipped_until[name] = now + (now - began)  # leave time for the other list next
        elif now >= list_until and reading.entries == entries_before:
            self._skipped_until[name] = now + SLOW_LIST_RETRY_SECONDS

    def _read_finished(
        self, reading: _ListReading, resource: RemoteRunResource, list_until: float, until: float
    ) -> bool:
        now = current_clock().wall()
        active = reading.active

        def show(listed: ListedRun) -> bool:
            self._take_listed(listed, reading, resource, until)
            return self._has_time(list_until)

        # A run that was listed, and whose outcome could not be fetched, is polled individually.
        since = min((one.known_active_until for one in active if one.last_individual_update), default=now)
        for read_to in self._finished_runs.read(resource, since, show):
            self._was_answered = True
            reading.is_complete = read_to >= now
            others = active - reading.shown
            self.updates.put(NotFinished(others, read_to, counts_as_poll=reading.is_complete))
        if not reading.is_complete:
            return False
        known = {one for one in active - reading.shown if not one.needs_individual_poll(now)}
        reading.shown |= known
        reading.pending -= known
        return True

    def _read_runs(self, reading: _ListReading, resource: RemoteRunResource, list_until: float, until: float) -> bool:
        most = len(reading.pending) * MAX_LISTED_PER_POLL
        if reading.is_complete and most < len(reading.active):
            return True  # the list would only show runs that are known to be active
        oldest = min(deferred_run.record.at for deferred_run in reading.pending)
        found = resource.list_runs(oldest - LISTED_LATE)
        if found is None:
            return False
        for read, listed in enumerate(found):
            self._take_listed(listed, reading, resource, until)
            if not reading.pending or read >= most or not self._has_time(list_until):
                return False
        self._was_answered = True
        return True

    def _take_listed(self, listed: ListedRun, reading: _ListReading, resource: RemoteRunResource, until: float) -> None:
        self._failures_in_a_row, self._was_answered = 0, True
        reading.entries += 1
        deferred_run = reading.take(listed.run_id)
        if deferred_run is None:
            return
        get_status = partial(deferred_run.run.status_of_listed, resource, listed)
        if listed.state.is_final:  # its status and its result need further calls
            self.updates.put(ListedAsFinished(deferred_run))
            self._begin(deferred_run, get_status, resource, until)
        else:
            self._in_progress.add(deferred_run)
            self._poll_one(deferred_run, get_status, resource)
            self._collect()

    def _begin_individually(self, deferred_run: DeferredRun, resource: RemoteRunResource, until: float) -> None:
        self._begin(deferred_run, partial(deferred_run.run.get_status, resource, deferred_run.run_id), resource, until)

    def _begin(
        self, deferred_run: DeferredRun, get_status: Callable[[], RunStatus], resource: RemoteRunResource, until: float
    ) -> None:
        self._waiting.append((deferred_run, get_status))
        self._submit(resource, until)

    def _submit(self, resource: RemoteRunResource, until: float) -> None:
        """Begins the waiting status calls, as long as there is time and the vendor responds."""
        while self._waiting and len(self._in_progress) < MAX_CONCURRENT_POLLS and self._has_time(until):
            deferred_run, get_status = self._waiting.popleft()
            self._in_progress.add(deferred_run)
            self._workers.submit(self._poll_one, deferred_run, get_status, resource)

    def _poll_one(
        self, deferred_run: DeferredRun, get_status: Callable[[], RunStatus], resource: RemoteRunResource
    ) -> None:
        """Polls one run, in a worker's thread."""
        polled_at = current_clock().wall()
        self.updates.put(PollStarted(deferred_run, polled_at))
        result = poll_run(deferred_run, polled_at, get_status, resource)
        self.updates.put(result)
        self._results.put(result)

    def _has_time(self, until: float) -> bool:
        self._collect()
        return current_clock().monotonic() < until and self._failures_in_a_row < MAX_FAILURES_IN_A_ROW

    def _collect(self, *, wait: float = 0.0) -> None:
        """Counts the status calls that have finished. If `wait` is positive, waits for one first."""
        while True:
            try:
                result = self._results.get(block=wait > 0, timeout=max(0.0, wait) or None)
            except Empty:
                return
            wait = 0.0
            self._polls += 1
            self._in_progress.discard(result.deferred_run)
            if result.is_answered:
                self._failures_in_a_row, self._was_answered = 0, True
            if result.has_failed:
                self._failures_in_a_row += 1


_Read = Callable[[_ListReading, RemoteRunResource, float, float], bool]
"""Reads a list; returns whether nothing in it is left that is worth reading."""
