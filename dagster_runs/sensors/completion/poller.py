"""Polls all deferred runs of one resource: with the vendor's lists if it has them, otherwise a few runs at a time.

Each resource has its own poller, so that a slow or unavailable vendor delays only its own runs. A round of polling runs
in a thread of its own, with status calls in further threads. Everything they learn goes to `ResourcePoller.updates`.
The tick's thread applies it, in a later tick if the vendor was slow.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from queue import SimpleQueue

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import ListedRun, RunResult
from dagster_runs.remote_run.vendor_code import checked_list
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.updates import ListRead, NotFinished, PollResult, RoundEnded, Update
from dagster_runs.sensors.listing import ListReader
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import InvalidRequestError


class _Round:
    """One round of polling. Several threads share it.

    Args:
        resource: The resource.
        until: Monotonic seconds after which no further call begins.

    Attributes:
        polls: The number of status calls that have begun.
        has_response: Whether the vendor has responded.
    """

    def __init__(self, resource: RemoteRunResource, until: float) -> None:
        self.resource = resource
        self.until = until
        self.polls = 0
        self.has_response = False
        self._failures_in_a_row = 0
        self._lock = threading.Lock()

    def has_time(self, until: float | None = None) -> bool:
        """Whether another call may begin: there is time, by default that of the round, and the vendor responds."""
        is_late = current_clock().monotonic() >= (self.until if until is None else until)
        return not is_late and self._failures_in_a_row < limits.MAX_FAILURES_IN_A_ROW

    def begin_poll(self) -> bool:
        """Counts a status call that begins. Returns whether it may begin."""
        with self._lock:
            may_begin = self.has_time()
            self.polls += may_begin
            return may_begin

    def responded(self) -> None:
        """Records that the vendor responded to a call."""
        with self._lock:
            self._failures_in_a_row, self.has_response = 0, True

    def failed(self) -> None:
        """Records that a call failed."""
        with self._lock:
            self._failures_in_a_row += 1


class _ListReading:
    """What a vendor's lists have shown in one round.

    Attributes:
        active: The runs that the lists may show.
        pending: The runs that are due and have not been shown yet.
        shown: The runs that were shown, or are known to be active.
        entries: The number of entries that were read, of any runs.
        is_complete: Whether all finished runs were shown.
        until: Monotonic seconds after which the lists are not read further.
    """

    def __init__(self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], until: float) -> None:
        self.active = frozenset(active)
        self.pending = set(due)
        self.shown: set[DeferredRun] = set()
        self.entries = 0
        self.is_complete = False
        self.until = until
        self._by_id = {deferred_run.run_id: deferred_run for deferred_run in self.active}

    @property
    def targets(self) -> frozenset[str]:
        """The targets of the active runs that a list can show."""
        return frozenset(one.run.observed_target for one in self.active if one.run.recognizes_listed_runs())

    def take(self, run_id: str) -> DeferredRun | None:
        """Returns the run with this id, the first time that a list shows it."""
        self.entries += 1
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
        self._workers = ThreadPoolExecutor(limits.MAX_CONCURRENT_POLLS, thread_name_prefix=f"dagster_runs_{name}")
        self._calls: dict[DeferredRun, Future[None]] = {}
        self._finished_runs = ListReader()
        self._skipped_until: dict[str, float] = {}

    def poll(
        self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], resource: RemoteRunResource, until: float
    ) -> None:
        """Polls the runs that are due, and any other runs that the vendor's lists show on the way.

        Args:
            due: The runs that are due, most urgent first.
            active: All active runs of this resource.
            resource: The resource.
            until: Monotonic seconds after which no further call begins. Calls in progress continue, and their results
                are applied in a later tick.
        """
        clock, this = current_clock(), _Round(resource, until)
        self._drop_ended_calls()
        still_running = len(self._calls)
        wanted = [deferred_run for deferred_run in due if deferred_run not in self._calls]
        # No matter how long the lists take, some runs that are past their deadline are polled in each tick.
        now = clock.wall()
        for deferred_run in [one for one in wanted[: limits.MAX_CONCURRENT_POLLS] if one.deadline <= now]:
            self._begin(this, deferred_run)
            wanted.remove(deferred_run)
        if _lists_save_calls(resource, wanted):
            shown = self._read_lists(this, wanted, active)
            wanted = [deferred_run for deferred_run in wanted if deferred_run not in shown]
        for deferred_run in wanted if this.has_time() else ():
            self._begin(this, deferred_run)
        wait(self._calls.values(), timeout=max(0.0, until - clock.monotonic()))
        for call in self._calls.values():
            call.cancel()  # if it has not begun; the run is due again in the next tick
        self._drop_ended_calls()
        polls, ended = still_running + this.polls, clock.monotonic()
        was_asked = polls > 0 or any(ended < skipped for skipped in self._skipped_until.values())
        self.updates.put(RoundEnded(polls, was_asked and not this.has_response and ended >= until))

    def _drop_ended_calls(self) -> None:
        """Forgets the calls that have ended. An error of ours fails the round, and the tick with it."""
        ended = [(deferred_run, call) for deferred_run, call in self._calls.items() if call.done()]
        for deferred_run, call in ended:
            del self._calls[deferred_run]
            if not call.cancelled():
                call.result()

    def _read_lists(self, this: _Round, due: Sequence[DeferredRun], active: Iterable[DeferredRun]) -> set[DeferredRun]:
        """Reads the vendor's lists until they have shown all runs that are due. Returns the runs that were shown."""
        # A list may be too long for a tick, so half of the time is left for polling individually.
        half = (current_clock().monotonic() + this.until) / 2
        reading = _ListReading(due, [one for one in active if one not in self._calls], half)
        # If the list of finished runs fails, the other list is still read.
        for name, read in (
            (f"The finished runs of {self._name}", self._read_finished),
            (f"The runs of {self._name}", self._read_runs),
        ):
            if reading.pending and this.has_time(half):
                self._tolerate_errors(name, read, this, reading)
        return reading.shown

    def _tolerate_errors(
        self, name: str, read: Callable[[_Round, _ListReading], None], this: _Round, reading: _ListReading
    ) -> None:
        """Reads a list. If that fails, each run is polled individually, so this method raises no error."""
        clock = current_clock()
        if clock.monotonic() < self._skipped_until.get(name, 0.0):
            return
        entries_before, list_read = reading.entries, ListRead(name)
        try:
            with this.resource.http().with_call_budget():
                read(this, reading)
        except InvalidRequestError as error:
            this.responded()
            # A server without the filter for finished runs lists all runs.
            list_read = ListRead(name, error, is_offered=read != self._read_finished)
        except Exception as error:  # noqa: BLE001 - an error of the vendor or of its code
            this.failed()
            list_read = ListRead(name, error)
        self.updates.put(list_read)
        now = clock.monotonic()
        if not list_read.is_offered:
            self._skipped_until[name] = now + limits.FILTER_RETRY_SECONDS
        elif now >= this.until or (
            now >= reading.until and reading.entries == entries_before and not reading.is_complete
        ):
            self._skipped_until[name] = now + limits.SLOW_LIST_RETRY_SECONDS

    def _read_finished(self, this: _Round, reading: _ListReading) -> None:
        now, active = current_clock().wall(), reading.active
        # A run whose last poll failed is polled individually.
        since = min((one.known_active_until for one in active if one.last_individual_update), default=now)
        show, has_time = partial(self._take_listed, this, reading), partial(this.has_time, reading.until)
        list_finished = partial(checked_list, this.resource, "list_finished", targets=reading.targets)
        for read_to in self._finished_runs.read(list_finished, since, show, has_time):
            this.responded()
            reading.is_complete = read_to >= now
            self.updates.put(NotFinished(active - reading.shown, read_to, counts_as_poll=reading.is_complete))
        if reading.is_complete:
            known = {one for one in active - reading.shown if not one.needs_individual_poll(now)}
            reading.shown |= known
            reading.pending -= known

    def _read_runs(self, this: _Round, reading: _ListReading) -> None:
        most = len(reading.pending) * limits.MAX_LISTED_PER_POLL
        if reading.is_complete and most < len(reading.active):
            return  # the list would only show runs that are known to be active
        oldest = min(deferred_run.record.at for deferred_run in reading.pending)
        found = checked_list(this.resource, "list_runs", oldest - limits.LISTED_LATE, None, reading.targets)
        for read, listed in enumerate(found if found is not None else ()):
            self._take_listed(this, reading, listed)
            if not reading.pending or read >= most or not this.has_time(reading.until):
                return
        if found is not None:
            this.responded()

    def _take_listed(self, this: _Round, reading: _ListReading, listed: ListedRun) -> None:
        this.responded()
        deferred_run = reading.take(listed.run_id)
        if deferred_run is not None:
            self._begin(this, deferred_run, listed)

    def _begin(self, this: _Round, deferred_run: DeferredRun, listed: ListedRun | None = None) -> None:
        """Begins to poll a run.

        Args:
            this: The round.
            deferred_run: The run.
            listed: Its entry in a list. If it is active there, no call is needed.
        """
        run, resource = deferred_run.run, this.resource
        if listed is None:
            get_status = partial(run.get_status, resource, deferred_run.run_id)
        else:
            get_status = partial(run.get_status_of_listed, resource, listed)
        if listed is not None and not listed.state.is_final:
            self._poll(this, deferred_run, get_status)
        else:  # its status and its result need calls
            self._calls[deferred_run] = self._workers.submit(self._poll, this, deferred_run, get_status)

    def _poll(self, this: _Round, deferred_run: DeferredRun, get_status: Callable[[], RunStatus]) -> None:
        if not this.begin_poll():
            return
        result = poll_run(deferred_run, get_status, this.resource)
        if result.has_response:
            this.responded()
        if result.has_failed:
            this.failed()
        self.updates.put(result)


def _lists_save_calls(resource: RemoteRunResource, due: Collection[DeferredRun]) -> bool:
    """Whether reading the vendor's lists takes fewer calls than polling the runs that are due."""
    if not resource.lists_by_target:
        return len(due) > 1
    return len(due) > 2 * len({one.asset.name for one in due})


def poll_run(deferred_run: DeferredRun, get_status: Callable[[], RunStatus], resource: RemoteRunResource) -> PollResult:
    """Asks the vendor for a run's status, and fetches the result of one that succeeded. Raises nothing."""
    polled_at = current_clock().wall()
    status: RunStatus | None = None
    result: RunResult | None = None
    try:
        with resource.http().with_call_budget():
            status = get_status()
            if status.state is RunState.SUCCEEDED:
                gate = deferred_run.asset.remote.options.gate
                result = deferred_run.run.get_result(resource, deferred_run.run_id, status, gate)
    except Exception as error:  # noqa: BLE001 - of the vendor or of its code; the tick's thread decides what follows
        return PollResult(deferred_run, polled_at, status, error=error)
    return PollResult(deferred_run, polled_at, status, result)
