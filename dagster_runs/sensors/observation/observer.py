"""Finds and polls the runs of one resource that were started elsewhere, in one tick of the observation sensor."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import dagster as dg

from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import ListedRun, RunResult
from dagster_runs.remote_run.vendor_code import checked_list
from dagster_runs.sensors import limits
from dagster_runs.sensors.listing import ListReader
from dagster_runs.sensors.observation.cursor import PendingRun, ResourceCursor
from dagster_runs.sensors.observation.outcomes import ObservationOutput, ObservedOutcomes, ObservedRun
from dagster_runs.sensors.observation.ownership import NO_ASSET, Ownership
from dagster_runs.sensors.outages import OutageTracker
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.tick import TickTimes
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, VendorError


@dataclass
class ResourceMemory:
    """What this process remembers about one resource. Another process works without it.

    Attributes:
        outages: Tracks which calls fail.
        list_reader: Reads the list.
        polled_at: Epoch seconds at which each pending run was last polled.
        failed_at: Epoch seconds at which the last poll of a run failed, for runs whose last poll failed.
        not_found_since: Epoch seconds since which the vendor has reported that it does not know a run.
        results: The results of runs whose report is not complete.
    """

    outages: OutageTracker
    list_reader: ListReader = field(default_factory=ListReader)
    polled_at: dict[str, float] = field(default_factory=dict)
    failed_at: dict[str, float] = field(default_factory=dict)
    not_found_since: dict[str, float] = field(default_factory=dict)
    results: dict[str, RunResult] = field(default_factory=dict)

    def poll_priority(self, run_id: str, created_at: float) -> tuple[float, float]:
        """Returns a sort key: the longest-waiting run first, but runs whose poll failed last.

        This way, a run that cannot be polled does not delay the others.
        """
        return self.failed_at.get(run_id, 0.0), self.polled_at.get(run_id, created_at)

    def keep(self, pending: Collection[str]) -> None:
        """Forgets all other runs."""
        for known in (self.polled_at, self.failed_at, self.not_found_since, self.results):
            for run_id in known.keys() - pending:
                del known[run_id]


@dataclass
class ResourceObserver:
    """Observes one resource's runs, in one tick.

    Attributes:
        name: The resource's key.
        assets: The observed assets of the resource, by key.
        resource: The resource.
        cursor: What is known about its runs so far.
        memory: What this process remembers about the resource.
        ownership: Determines which asset a run materializes, and who started it.
        outcomes: Reports finished runs.
        output: The output of the tick.
        times: Until when the parts of the tick may take.
        log: The tick's logger.
        listed: The runs that the list has shown in this tick.
        listed_to: Epoch seconds up to which the list was read.
    """

    name: str
    assets: Mapping[str, WatchedAsset]
    resource: RemoteRunResource
    cursor: ResourceCursor
    memory: ResourceMemory
    ownership: Ownership
    outcomes: ObservedOutcomes
    output: ObservationOutput
    times: TickTimes
    log: logging.Logger
    listed: dict[str, ListedRun] = field(default_factory=dict)
    listed_to: float = 0.0

    def observe(self) -> None:
        """Lists the runs, determines their assets, and reports finished runs that were started elsewhere."""
        clock = current_clock()
        now = clock.wall()
        client, times = self.resource.http(), self.times
        # Runs can be polled even if the list is unavailable or too long.
        with client.with_call_budget(times.until(limits.OBSERVE_LIST_END_SHARE)):
            self.memory.outages.list_read(f"The runs of {self.name}", self._tolerate_errors(self._list))
        with client.with_call_budget(times.ends_at):
            # A vendor may take seconds for each of the many calls that a list needs.
            reserve = limits.OBSERVE_RESERVE_SHARE * times.seconds
            until = max(self.output.until, min(clock.monotonic(), self.output.until) + reserve)
            pending = self.cursor.pending
            unknown = {run_id: one for run_id, one in pending.items() if one.asset is None}
            self._each(unknown, self._recognize, (clock.monotonic() + until) / 2)
            for run_id in self.ownership.started_by_their_assets(pending, self.memory.polled_at):
                self.cursor.finish(run_id)
            known = {run_id: one for run_id, one in pending.items() if one.asset is not None}
            self._each(known, self._poll, until)
        self.memory.keep(self.cursor.pending.keys())
        self.memory.outages.end_round(threshold=1)
        self.memory.outages.log_lists(self.log)
        if self.listed_to:
            undated = {run_id for run_id, run in self.listed.items() if run.created_at is None}
            self.cursor.mark_listed(min(now, self.listed_to + limits.LISTED_LATE), undated)

    def _each(self, runs: Mapping[str, PendingRun], call: Callable[[str, PendingRun], None], until: float) -> None:
        """Calls a function for each run in turn, while there is time and the vendor responds; at least for one."""
        memory, failed_in_a_row = self.memory, 0
        in_turn = sorted(runs.items(), key=lambda item: memory.poll_priority(item[0], item[1].created_at))
        for done, (run_id, pending) in enumerate(in_turn):
            is_full = not (self.output.has_room_for_events and self.output.has_room_for_requests)
            is_late = done > 0 and current_clock().monotonic() > until
            if is_full or is_late or failed_in_a_row == limits.MAX_FAILURES_IN_A_ROW:
                break
            error = self._tolerate_errors(partial(call, run_id, pending))
            if error is None:
                failed_in_a_row = 0
                memory.failed_at.pop(run_id, None)
                continue
            is_vendors = isinstance(error, VendorError)
            failed_in_a_row += is_vendors
            if run_id not in memory.failed_at:
                message = "Run %s (%s) could not be polled; the next tick tries again: %s"
                needs_no_traceback = isinstance(error, VendorError) and not error.is_bug
                self.log.warning(message, run_id, self.name, error, exc_info=None if needs_no_traceback else error)
            memory.failed_at[run_id] = current_clock().wall()

    def _tolerate_errors(self, call: Callable[[], None]) -> Exception | None:
        """Makes a call, and returns its error. The next tick tries again."""
        try:
            call()
        except dg.DagsterInvariantViolationError:
            raise  # a mistake in the definitions
        except Exception as error:  # noqa: BLE001 - of the vendor or of its code: one run must not delay the others
            self.memory.outages.failed(error)
            self.output.problems.append(f"{self.name}: {error}")
            return error
        self.memory.outages.succeeded()
        return None

    def _list(self) -> None:
        """Reads the list up to now, or as far as there is time for."""
        clock = current_clock()
        now, until = clock.wall(), clock.monotonic() + limits.OBSERVE_LIST_SHARE * self.times.seconds

        def show(run: ListedRun) -> None:
            self.listed[run.run_id] = run
            self.cursor.add(run.run_id, now if run.created_at is None else run.created_at)

        def has_time() -> bool:
            return clock.monotonic() <= until

        since, at_least = self.cursor.listed_until, limits.MIN_LISTED
        for read_to in self.memory.list_reader.read(self._list_runs, since, show, has_time, at_least=at_least):
            self.listed_to = read_to if read_to >= now else read_to - limits.LIST_OVERLAP
        if self.listed_to < now:
            self.output.problems.append(f"{self.name}: its list is too long for one tick; the next tick continues")

    def _list_runs(self, since: float, until: float | None) -> Iterator[ListedRun]:
        targets = frozenset(asset.fixed_run.observed_target for asset in self.assets.values())
        listed = checked_list(self.resource, "list_runs", since, until, targets)
        if listed is None:
            raise dg.DagsterInvariantViolationError(
                f"The resource {self.name!r} cannot list runs as configured; TestGen's needs its project_code"
            )
        return listed

    def _recognize(self, run_id: str, pending: PendingRun) -> None:
        """Determines which asset a run materializes, and finishes a run that materializes none."""
        listed = self.listed.get(run_id)
        if listed is not None:
            pending.asset = self.ownership.asset_of(listed, pending.created_at)
        elif pending.created_at < self.listed_to:
            pending.asset = NO_ASSET  # it is no longer listed
        if pending.asset == NO_ASSET:
            self.cursor.finish(run_id)

    def _poll(self, run_id: str, pending: PendingRun) -> None:
        now = current_clock().wall()
        self.memory.polled_at[run_id] = now
        asset = self.assets.get(pending.asset or NO_ASSET)
        is_given_up = now - pending.created_at > limits.OBSERVE_MAX_AGE
        if asset is None or is_given_up or self._is_processed(asset, run_id, pending):
            self.cursor.finish(run_id)

    def _is_processed(self, asset: WatchedAsset, run_id: str, pending: PendingRun) -> bool:
        """Whether a run needs no further action. Reports its outcome, if it was started elsewhere."""
        status = self._status(asset, run_id)
        if status is None:
            return current_clock().wall() - self.memory.not_found_since[run_id] > NOT_FOUND_GRACE
        if not status.state.is_final:
            return False
        started_here = False if pending.is_materialized else self.ownership.was_started_here(run_id, pending.created_at)
        if started_here is False:
            return self.outcomes.report(ObservedRun(asset, run_id, pending, status))
        return started_here is not None

    def _status(self, asset: WatchedAsset, run_id: str) -> RunStatus | None:
        """Returns the status of the run; ``None`` if the vendor does not know it."""
        listed = self.listed.get(run_id)
        try:
            if listed is None:
                status = asset.fixed_run.get_status(self.resource, run_id)
            else:
                status = asset.fixed_run.get_status_of_listed(self.resource, listed)
        except NotFoundError:
            self.memory.not_found_since.setdefault(run_id, current_clock().wall())
            return None
        self.memory.not_found_since.pop(run_id, None)
        return status
