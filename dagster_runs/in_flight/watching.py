"""Looking at all deferred runs of one resource: by the vendor's list where it has one, some at a time elsewhere.

Each resource is watched by itself, so that a vendor that is slow or down delays nobody else's runs.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.remote_run.attaching import NOT_FOUND_GRACE
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.waiting import REFUSED_GRACE
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, VendorError

AT_ONCE = 8
"""Looks under way at one vendor at the same time."""
_LISTED_FOR_A_LOOK = 20
"""Entries of a vendor's list that are read for each run that is due: a page holds more, so it costs no more calls."""
_OUTAGE_AFTER = 3
"""Failed calls in a row from which on the vendor is left alone until the next tick."""
_HUNG_FOR = 120.0
"""Seconds for which a list is left out that took all its time without an answer: each run is looked at by itself."""
_CLOCKS_DIFFER = 900.0
"""Seconds by which the list may show a run as older than the ledger does."""


class _Reading:
    """What a vendor's lists have shown.

    Attributes:
        due: The runs worth a look.
        awaited: Those of them that were not shown yet.
        shown: Those that were, and others.
    """

    def __init__(self, due: Sequence[Flight], by_id: dict[str, Flight]) -> None:
        self.due = due
        self.awaited = set(due)
        self.shown: set[Flight] = set()
        self._by_id = by_id

    def take(self, run_id: str) -> Flight | None:
        """The run that has this id, the first time that it is shown."""
        flight = self._by_id.pop(run_id, None)
        if flight is not None:
            self.shown.add(flight)
            self.awaited.discard(flight)
        return flight


class Watch:
    """What is known of one resource, from tick to tick.

    Args:
        name: The resource's key, for the log.

    Attributes:
        is_silent: Whether the vendor let the whole of the last look pass without an answer.
    """

    def __init__(self, name: str) -> None:
        self.is_silent = False
        self._was_heard = False
        self._name = name
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"dagster_runs_{name}")
        self._looks: dict[Flight, Future[None]] = {}
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._trouble: BaseException | None = None
        self._told_at: float | None = None
        self._left_out: dict[str, float] = {}

    def look(self, due: Sequence[Flight], going: Iterable[Flight], resource: RemoteRunResource, until: float) -> None:
        """Look at the runs that are due, and at whatever others the vendor's list shows on the way.

        Args:
            due: The runs worth a look, most urgent first.
            going: All runs of this resource.
            resource: The resource.
            until: Monotonic seconds after which no further look begins. Those under way go on, and count at the next
                tick.
        """
        self._failed_in_a_row = 0
        self._was_heard = False
        self._looks = {flight: look for flight, look in self._looks.items() if not look.done()}
        wanted = [flight for flight in due if flight not in self._looks]
        if len(wanted) > 1:
            shown = self._look_at_list(wanted, going, resource, until)
            wanted = [flight for flight in wanted if flight not in shown]
        for flight in wanted:
            self._begin(flight, partial(flight.run.look, resource, flight.run_id), resource, until)
        wait(self._looks.values(), timeout=max(0.0, until - current_clock().monotonic()))
        self.is_silent = not self._was_heard and current_clock().monotonic() >= until

    def tell(self, log: logging.Logger) -> None:
        """One line when an outage begins, and one when it ends."""
        now = current_clock().wall()
        if self._trouble is not None and self._told_at is None:
            self._told_at = now
            log.warning("%s", self.trouble)
        elif self._trouble is None and self._told_at is not None:
            log.info("%s can be looked at again, after %.0f s", self._name, now - self._told_at)
            self._told_at = None

    @property
    def trouble(self) -> str | None:
        """Why runs cannot be looked at, if so."""
        return None if self._trouble is None else f"{self._name} cannot be looked at, its runs go on: {self._trouble}"

    def _look_at_list(
        self, due: Sequence[Flight], going: Iterable[Flight], resource: RemoteRunResource, until: float
    ) -> set[Flight]:
        """Read the vendor's list until it has shown all runs that are due; which it showed."""
        reading = _Reading(due, {flight.run_id: flight for flight in going if flight not in self._looks})
        oldest = min(flight.record.at for flight in due)
        # A run that was never looked at, as far as this process knows, cannot have ended before it was started.
        unseen_since = min(max(flight.looked_at, flight.record.at) for flight in due)
        # A list may be longer than there is time for, at each tick: what stands at its end is then looked at by itself.
        now = current_clock().monotonic()
        half, quarter = now + (until - now) / 2, now + (until - now) / 4
        # What ended first of all, as the ends of a thousand going runs fit on a page or two. But whatever becomes of
        # this list, the other one is read as well.
        self._read("list_ended", unseen_since - _CLOCKS_DIFFER, reading, resource, (quarter, until))
        self._read("list_runs", oldest - _CLOCKS_DIFFER, reading, resource, (half, until))
        return reading.shown

    def _read(
        self,
        name: str,
        since: float,
        reading: "_Reading",
        resource: RemoteRunResource,
        times: tuple[float, float],
    ) -> None:
        """Read one of the vendor's lists until the first of these times, and look until the second at what it shows."""
        list_until, until = times
        clock, most = current_clock(), len(reading.due) * _LISTED_FOR_A_LOOK
        is_left_out = clock.monotonic() < self._left_out.get(name, 0.0)
        if is_left_out or not reading.awaited or not self._has_time(list_until):
            return
        try:
            with resource.http().hurried():
                for read, listed in enumerate(getattr(resource, name)(since) or ()):
                    self._failed_in_a_row = 0
                    self._was_heard = True
                    flight = reading.take(listed.run_id)
                    if flight is not None:
                        of_listed = partial(flight.run.status_of_listed, resource, listed)
                        if listed.state.is_final:  # which costs further calls
                            self._begin(flight, of_listed, resource, until)
                        else:
                            self._look_at(flight, of_listed, resource, until)
                    if not reading.awaited or read >= most or not self._has_time(list_until):
                        return
            self._was_heard = True
        except InvalidRequestError:
            self._was_heard = True  # a server that does not know the filter for ends lists the runs all the same
        except Exception as error:  # the vendor's, or its code's: each run is looked at by itself all the same
            self._failed(error)
            if clock.monotonic() >= list_until:
                self._left_out[name] = clock.monotonic() + _HUNG_FOR

    def _begin(self, flight: Flight, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float) -> None:
        self._looks[flight] = self._pool.submit(self._look_at, flight, ask, resource, until)

    def _has_time(self, until: float) -> bool:
        return current_clock().monotonic() < until and self._failed_in_a_row < _OUTAGE_AFTER

    def _look_at(self, flight: Flight, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float) -> None:
        if not self._has_time(until):
            return
        flight.looked_at = current_clock().wall()
        try:
            with resource.http().hurried():
                self._take_in(flight, ask(), resource)
        except NotFoundError:
            self._answered()
            flight.unknown_since = flight.unknown_since or flight.looked_at
            if flight.looked_at - flight.unknown_since > NOT_FOUND_GRACE:
                flight.shown = Phase.NEEDS_STEP
        except VendorError as error:
            self._failed(error)
        except Exception as error:  # a vendor's code: what is wrong with it shows best in a step
            self._failed(error)
            flight.shown = Phase.NEEDS_STEP

    def _take_in(self, flight: Flight, status: RunStatus, resource: RemoteRunResource) -> None:
        self._answered()
        flight.unknown_since = None
        flight.status = status
        flight.age.learn(status, flight.looked_at)
        if status.state is RunState.SUCCEEDED:
            self._fetch_result(flight, status, resource)
        elif status.state is RunState.CANCELED and flight.is_cancelled:
            flight.shown = Phase.OVER
        elif status.state.is_final or (status.state is RunState.UNKNOWN and status.finished_at is not None):
            flight.shown = Phase.NEEDS_STEP

    def _fetch_result(self, flight: Flight, status: RunStatus, resource: RemoteRunResource) -> None:
        gate = flight.asset.remote.options.gate
        try:
            flight.result = flight.run.fetch_result(resource, flight.run_id, status, gate)
        except VendorError as error:
            self._failed(error)
            flight.unread_since = flight.unread_since or flight.looked_at
            if error.permanent or flight.looked_at - flight.unread_since > REFUSED_GRACE:
                flight.shown = Phase.NEEDS_STEP
        else:
            flight.shown = Phase.SUCCEEDED

    def _answered(self) -> None:
        with self._lock:
            self._failed_in_a_row = 0
            self._was_heard = True
            self._trouble = None

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            # One call may fail alone; what fails in a row is an outage.
            if self._failed_in_a_row >= min(_OUTAGE_AFTER, len(self._looks) or 1):
                self._trouble = error
