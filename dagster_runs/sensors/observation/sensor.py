"""The observation sensor's work: runs that others started at a vendor, from their first sight to their end.

Dagster stores a tick's events before its cursor. So what is to be reported is looked for in the event log first: a tick
that got lost after its events reports nothing twice.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import dagster as dg

from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import DAY, MAX_VENDOR_CLOCK_SKEW, ListedRun
from dagster_runs.sensors.completion.poller import REFUSED_FOR
from dagster_runs.sensors.observation.cursor import LISTED_LATE, PendingRun, ResourceCursor, as_text, from_text
from dagster_runs.sensors.observation.outcomes import ObservationReport, ObservedOutcomes
from dagster_runs.sensors.observation.ownership import NO_ASSET, Ownership
from dagster_runs.sensors.outages import Alarm, OutageLog
from dagster_runs.sensors.registry import WatchedAsset, check_defined
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.sensors.tick import STILL_AT_WORK
from dagster_runs.sensors.vendor_resources import VendorResources, initialized
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
    VendorError,
)

LOOKING = 20.0
"""Seconds of a tick in which calls may begin, but for what is left below; Dagster ends a tick after 60, and one run's
status and result may take 30."""
LISTING = 10.0
"""Seconds of them in which one resource's list is read."""
LEFT_FOR_LOOKS = 5.0
"""Seconds that are left for looks after the list, if that did not take all the time."""
AT_LEAST = 20
"""Runs of a list that are read however long it takes, so that each tick gets on."""
_PART = 1800.0
"""Seconds of a list that are read as one part at first: more than what usually is due, which is read as a whole."""
_MIN_NARROWEST = 60.0
_OUTAGE_AFTER = 3
"""Failed looks in a row from which on the vendor is left alone until the next tick."""
_GIVEN_UP = 30 * DAY
"""Seconds after which a run that does not end is no longer looked at."""


class Observation:
    """An observation sensor's ticks.

    Args:
        assets: The assets that others' runs fill.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
    """

    def __init__(self, assets: Sequence[WatchedAsset], *, follow_up: FollowUp | None) -> None:
        self._assets = {asset.keys[0].to_user_string(): asset for asset in assets}
        self._follow_up = follow_up
        self._ticks = 0
        self._busy = threading.Lock()
        self._memories: dict[str, _Memory] = {}
        self._alarm = Alarm()
        self._resource_log = OutageLog()
        self._unstored: tuple[str | None, str] | None = None
        """Of the last tick, if it failed: the cursor that Dagster has kept, and the one that it did not get."""

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """One evaluation of the sensor."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(STILL_AT_WORK)
        try:
            with initialized(self._assets.values(), context) as vendors:
                return self._tick(context, vendors)
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources) -> dg.SensorResult:
        check_defined(self._assets.values(), context.repository_def)
        self._resource_log.update(context.log, vendors.problems, over="The resource %r can be used again, after %.0f s")
        self._alarm.check_before_reporting(self._problems(vendors))
        clock = current_clock()
        until = clock.monotonic() + LOOKING
        kept = (
            self._unstored[1] if self._unstored is not None and self._unstored[0] == context.cursor else context.cursor
        )
        seen = from_text(kept)
        report = ObservationReport()
        by_resource: dict[str, dict[str, WatchedAsset]] = {}
        for name, asset in self._assets.items():
            by_resource.setdefault(asset.remote.resource_key, {})[name] = asset
        # Each resource comes first in its turn: one that is slow must not take the others' time at each tick.
        turn = self._ticks % len(by_resource)
        self._ticks += 1
        in_turn = [*by_resource.items()]
        for key, assets in in_turn[turn:] + in_turn[:turn]:
            one = seen.setdefault(key, ResourceCursor(clock.wall()))
            if clock.monotonic() > until:
                continue
            resource = vendors.ready.get(key)
            if resource is None:
                report.problems_text.append(vendors.problems[key])
                continue
            memory = self._memories.setdefault(key, _Memory())
            ownership = Ownership(assets, resource, context.instance)
            ends = ObservedOutcomes(resource, one.pending, report, context, self._follow_up)
            _ResourceObserver(key, assets, resource, one, memory, ownership, ends, report, context.log, until).observe()
        waiting = sum(len(one.pending) for one in seen.values())
        said = f"{report.runs} reported, {waiting} awaited"
        cursor = as_text(seen)
        self._unstored = (context.cursor, cursor)
        is_idle = not (report.evaluations or report.events or report.requests)
        self._alarm.check_after_reporting(self._problems(vendors), is_idle=is_idle)
        self._unstored = None
        return dg.SensorResult(
            asset_events=[*report.evaluations, *report.events],
            run_requests=report.requests,
            skip_reason=None if report.requests else ". ".join([said, *report.problems_text]),
            cursor=cursor,
        )

    def _problems(self, vendors: VendorResources) -> list[str]:
        """What a person has to solve: resources that cannot be initialized, and credentials that the vendor refuses."""
        refused = [f"{key}: {memory.refused}" for key, memory in self._memories.items() if memory.is_refused]
        return [*vendors.problems.values(), *refused]


@dataclass
class _Memory:
    """What this process remembers of one resource; another one does without it.

    Attributes:
        part: Seconds of the list that are read as one part, after an outage.
        polled_at: When each awaited run was last looked at, in epoch seconds.
        failed_at: Likewise, of those for which that went wrong.
        not_found_since: Since when the vendor says that it does not know a run.
        list_failed_at: When the list began to fail; ``None`` while it works.
        refused: The error with which the vendor refuses our credentials; ``None`` if it does not.
        refused_since: Epoch seconds since when it does.
    """

    part: float = _PART
    polled_at: dict[str, float] = field(default_factory=dict)
    failed_at: dict[str, float] = field(default_factory=dict)
    not_found_since: dict[str, float] = field(default_factory=dict)
    list_failed_at: float | None = None
    refused: Exception | None = None
    refused_since: float = 0.0

    @property
    def is_refused(self) -> bool:
        """Whether the vendor has answered 401 or 403 for a while."""
        return self.refused is not None and current_clock().wall() - self.refused_since >= REFUSED_FOR

    def learn(self, error: Exception | None) -> None:
        """Take in how a call ended: ``None`` is a success."""
        if not isinstance(error, (AuthenticationError, PermissionDeniedError)):
            self.refused = None
            return
        if self.refused is None:
            self.refused_since = current_clock().wall()
        self.refused = error

    def turn(self, run_id: str, created_at: float) -> tuple[float, float]:
        """Sorts runs by who has waited longest; those that could not be looked at come last, and hold up no others."""
        return self.failed_at.get(run_id, 0.0), self.polled_at.get(run_id, created_at)

    def keep(self, pending: Collection[str]) -> None:
        """Forget all other runs."""
        for times in (self.polled_at, self.failed_at, self.not_found_since):
            for run_id in times.keys() - pending:
                del times[run_id]


@dataclass
class _ResourceObserver:
    """One resource's runs, in one tick."""

    name: str
    assets: Mapping[str, WatchedAsset]
    resource: RemoteRunResource
    seen: ResourceCursor
    memory: _Memory
    ownership: Ownership
    ends: ObservedOutcomes
    report: ObservationReport
    log: logging.Logger
    until: float
    listed: dict[str, ListedRun] = field(default_factory=dict)
    listed_to: float = 0.0
    """Epoch seconds up to which the list was read."""

    def observe(self) -> None:
        """See which runs there are, and report those of others that have ended."""
        clock = current_clock()
        now = clock.wall()
        with self.resource.http().with_call_budget():
            self._list_tolerating_errors()  # the list may be down, or too long, while runs can be looked at
            # A vendor may take seconds for each call of which a list needs many.
            self.until = max(self.until, min(clock.monotonic(), self.until) + LEFT_FOR_LOOKS)
            pending = self.seen.pending
            unknown = {run_id: sighting for run_id, sighting in pending.items() if sighting.asset is None}
            self._each(unknown, self._recognize, (clock.monotonic() + self.until) / 2)
            for run_id in self.ownership.started_by_their_assets(pending, self.memory.polled_at):
                self.seen.finish(run_id)
            known = {run_id: sighting for run_id, sighting in pending.items() if sighting.asset is not None}
            self._each(known, self._look_at, self.until)
        self.memory.keep(self.seen.pending.keys())
        if self.listed_to:
            undated = {run_id for run_id, run in self.listed.items() if run.created_at is None}
            self.seen.mark_listed(min(now, self.listed_to + LISTED_LATE), undated)

    def _each(self, runs: Mapping[str, PendingRun], call: Callable[[str, PendingRun], None], until: float) -> None:
        """Do it with the runs in their turn, while there is time and the vendor answers; with one in any case."""
        memory, failed_in_a_row = self.memory, 0
        in_turn = sorted(runs.items(), key=lambda item: memory.turn(item[0], item[1].created_at))
        for done, (run_id, sighting) in enumerate(in_turn):
            is_late = done > 0 and current_clock().monotonic() > until
            if self.report.is_full or failed_in_a_row == _OUTAGE_AFTER or is_late:
                break
            error = self._tolerate_errors(partial(call, run_id, sighting), is_known=run_id in memory.failed_at)
            if error is None:
                failed_in_a_row = 0
                memory.failed_at.pop(run_id, None)
            else:
                failed_in_a_row += isinstance(error, VendorError)
                memory.failed_at[run_id] = current_clock().wall()

    def _list_tolerating_errors(self) -> None:
        memory, now = self.memory, current_clock().wall()
        error = self._tolerate_errors(self._list, is_known=memory.list_failed_at is not None)
        if error is not None:
            memory.list_failed_at = memory.list_failed_at or now
        elif memory.list_failed_at is not None:
            self.log.info("The runs of %s can be listed again, after %.0f s", self.name, now - memory.list_failed_at)
            memory.list_failed_at = None

    def _tolerate_errors(self, call: Callable[[], None], *, is_known: bool) -> Exception | None:
        """What went wrong, which is tried again at the next tick; logged unless it is known to fail."""
        try:
            call()
        except VendorError as error:
            self.log.log(
                logging.DEBUG if is_known else logging.WARNING, "%s, which is tried again: %s", self.name, error
            )
            failure: Exception = error
        except dg.DagsterInvariantViolationError:
            raise  # a mistake in the definitions
        except Exception as error:  # a vendor's code: one run must not hold up all others
            if not is_known:
                self.log.exception("%s, which is tried again", self.name)
            failure = error
        else:
            self.memory.learn(None)
            return None
        self.memory.learn(failure)
        self.report.problems_text.append(f"{self.name}: {failure}")
        return failure

    def _list(self) -> None:
        """Read the list up to now: as a whole, or part by part, oldest first, where there is much to make up for."""
        clock = current_clock()
        until = clock.monotonic() + LISTING
        begin = self.seen.listed_until - LISTED_LATE
        while True:
            now = clock.wall()
            end = begin + self.memory.part
            try:
                is_read = self._list_part(begin, end if end < now else None, until)
            except UnexpectedResponseError:
                if self.memory.part <= _MIN_NARROWEST:
                    raise
                is_read = False  # its pages may be too many
            if is_read and end >= now:
                self.listed_to = now
                return
            is_late = clock.monotonic() > until
            if not is_read:
                self.memory.part = max((min(end, now) - begin) / 2, _MIN_NARROWEST)
            elif not is_late:
                self.memory.part *= 2
            if is_read:
                # Two parts may be cut by clocks that differ a little.
                self.listed_to = begin = end - MAX_VENDOR_CLOCK_SKEW
            if is_late:
                self.report.problems_text.append(f"{self.name}: its list is too long to be read in one tick")
                return

    def _list_part(self, begin: float, end: float | None, until: float) -> bool:
        """Whether there was time for all that was made between the two."""
        clock = current_clock()
        now = clock.wall()
        listed = self.resource.list_runs(begin) if end is None else self.resource.list_runs(begin, end)
        if listed is None:
            raise dg.DagsterInvariantViolationError(
                f"The resource {self.name!r} cannot list runs as it is set; TestGen's needs its project_code"
            )
        for read, run in enumerate(listed, 1):
            self.listed[run.run_id] = run
            self.seen.add(run.run_id, now if run.created_at is None else run.created_at)
            if read >= AT_LEAST and clock.monotonic() > until:
                return False
        return True

    def _recognize(self, run_id: str, sighting: PendingRun) -> None:
        """Find out which asset a run fills, if any, and leave out at once what fills none."""
        listed = self.listed.get(run_id)
        if listed is not None:
            sighting.asset = self.ownership.asset_of(listed, sighting.created_at)
        elif sighting.created_at < self.listed_to:
            sighting.asset = NO_ASSET  # it is listed no more
        if sighting.asset == NO_ASSET:
            self.seen.finish(run_id)

    def _look_at(self, run_id: str, sighting: PendingRun) -> None:
        now = current_clock().wall()
        self.memory.polled_at[run_id] = now
        asset = self.assets.get(sighting.asset or NO_ASSET)
        is_given_up = now - sighting.created_at > _GIVEN_UP
        if asset is None or is_given_up or self._is_told(asset, run_id, sighting):
            self.seen.finish(run_id)

    def _is_told(self, asset: WatchedAsset, run_id: str, sighting: PendingRun) -> bool:
        """Whether nothing more is to be told of a run; tells its end, if another has started it."""
        status = self._status(asset, run_id)
        if status is None:
            return current_clock().wall() - self.memory.not_found_since[run_id] > NOT_FOUND_GRACE
        if not status.state.is_final:
            return False
        started_here = (
            False if sighting.is_materialized else self.ownership.was_started_here(run_id, sighting.created_at)
        )
        if started_here is False:
            return self.ends.report(asset, run_id, sighting, status)
        return started_here is not None

    def _status(self, asset: WatchedAsset, run_id: str) -> RunStatus | None:
        """How the run stands; ``None`` if the vendor does not know it."""
        listed = self.listed.get(run_id)
        try:
            if listed is None:
                status = asset.fixed_run.get_status(self.resource, run_id)
            else:
                status = asset.fixed_run.status_of_listed(self.resource, listed)
        except NotFoundError:
            self.memory.not_found_since.setdefault(run_id, current_clock().wall())
            return None
        self.memory.not_found_since.pop(run_id, None)
        return status
