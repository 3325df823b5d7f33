"""The command ``runs``: what is in flight, queued, uncertain or orphaned."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.cli.ledger_reading import assets_named, concerns, read_index, uncertain_starts
from dagster_runs.cli.output import age, command_for, one_line, print_json, print_table, progress
from dagster_runs.cli.recorded_runs import recorded_run, run_class_of
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.reexecution import is_active
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.completion.deferred_run import DeferredRun, QueuedRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.step_runs import dagster_runs_of, is_orphaned, starts_in_progress
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

_STATES = ("orphaned", "uncertain", "in flight", "starting", "queued")
"""In the order of the list: what needs attention comes first."""


@dataclass(frozen=True)
class RunRow:
    """One row of the list.

    Attributes:
        state: ``in flight``, ``queued``, ``starting``, ``uncertain`` or ``orphaned``.
        asset: The key of the asset; the first one, for a run that materializes several.
        partition: The partition, ``first...last`` for a range.
        run: The kind of the run and what it runs, as in the ledger: ``TestGenTestRun 8a4f1c7e``.
        run_id: The vendor's id of the run.
        request_id: The id of a queued request.
        since: Epoch seconds of the start, or of the request.
        age_seconds: Seconds since then.
        dagster_run_id: The Dagster run that started the run or attached to it, or that made the request.
        waited_for_by: ``completion sensor`` or ``step``; ``None`` if nothing waits.
        vendor_status: The vendor's status of the run, if it was asked for.
        url: The vendor's page of the run.
        dagster_url: The page of the Dagster run.
        hint: What to do; ``None`` if nothing needs to be done.
        code_location: The name of the code location.
    """

    state: str
    asset: str
    partition: str | None
    run: str
    run_id: str | None
    request_id: str | None
    since: float
    age_seconds: float
    dagster_run_id: str
    waited_for_by: str | None
    vendor_status: str | None
    url: str | None
    dagster_url: str | None
    hint: str | None
    code_location: str


def list_runs(
    locations: Sequence[CodeLocation], name: str | None, partition: str | None, *, with_status: bool, as_json: bool
) -> None:
    """Prints the list.

    Args:
        locations: The code locations.
        name: The key of an asset; ``None`` for all assets.
        partition: Only runs of this partition.
        with_status: Whether to ask the vendors for the status of each run.
        as_json: Whether to print JSON.
    """
    rows = find_runs(locations, name, partition, with_status=with_status)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        progress("Nothing is in flight, queued, uncertain or orphaned.")
        return
    for row in rows:
        print_table(list(_cells(row)))


def _cells(row: RunRow) -> Iterator[tuple[str, str]]:
    where = row.asset + (f" [{row.partition}]" if row.partition is not None else "")
    run = f"{row.run} {row.run_id}" if row.run_id is not None else row.run
    status = f", status {row.vendor_status}" if row.vendor_status is not None else ""
    yield row.state.ljust(len("in flight")), f"{where}: {run}, {age(row.age_seconds)}{status}"
    by = f"Dagster run {row.dagster_run_id}" if row.dagster_run_id else "no Dagster run"
    waits = f", the {row.waited_for_by} waits for it" if row.waited_for_by is not None else ""
    request = f"request {row.request_id}, " if row.request_id is not None else ""
    yield "", f"{request}{by}{waits}"
    for line in (row.url, row.dagster_url, row.hint):
        if line is not None:
            yield "", line


def find_runs(
    locations: Sequence[CodeLocation],
    name: str | None = None,
    partition: str | None = None,
    *,
    with_status: bool = False,
) -> list[RunRow]:
    """Returns the rows of the list, those that need attention first, then the oldest.

    Raises:
        Unusable: There is no such asset.
    """
    wanted = assets_named(locations, name)
    rows: list[RunRow] = []
    for location in locations:
        assets = [asset for owner, asset in wanted if owner is location]
        if assets:
            index = read_index(assets, location.instance)
            rows += _Rows(location, index, with_status=with_status).matching(partition)
    return sorted(rows, key=lambda row: (_STATES.index(row.state), row.since))


class _Rows:
    """The rows of one code location."""

    def __init__(self, location: CodeLocation, index: DeferredRunIndex, *, with_status: bool) -> None:
        self._location = location
        self._index = index
        self._with_status = with_status

    def matching(self, partition: str | None) -> Iterator[RunRow]:
        """Yields the rows about a partition, or all."""
        instance = self._location.instance
        for asset, entry, row in self._all():
            if concerns(entry, partition, asset, instance):
                yield self._with_vendor(asset, entry, row)

    def _all(self) -> Iterator[tuple[WatchedAsset, LedgerEntry, RunRow]]:
        yield from self._deferred(self._index)
        yield from self._queued(self._index)
        yield from self._of_steps()

    def _deferred(self, index: Iterable[DeferredRun]) -> Iterator[tuple[WatchedAsset, LedgerEntry, RunRow]]:
        for one in index:
            if one.is_materialized:
                continue  # reported; only its checks may be missing
            row = self._row("in flight", one.asset, one.record, waited_for_by="completion sensor")
            if one.is_cancel_requested:
                row = replace(row, hint="Its cancellation was requested.")
            elif current_clock().wall() >= one.deadline:
                row = replace(row, hint="It is overdue. Check that the completion sensor is on.")
            yield one.asset, one.record, row

    def _queued(self, index: DeferredRunIndex) -> Iterator[tuple[WatchedAsset, LedgerEntry, RunRow]]:
        for asset, queue in index.queues.items():
            for request in queue.pending.values():
                queued = QueuedRun(asset, request)
                row = self._row("queued", asset, request.entry, waited_for_by="step" if request.waits else None)
                yield asset, request.entry, replace(row, request_id=queued.request_id)

    def _of_steps(self) -> Iterator[tuple[WatchedAsset, LedgerEntry, RunRow]]:
        index, instance = self._index, self._location.instance
        runs = dagster_runs_of(index, instance)
        uncertain = {entry.correlation_id for _, entry in uncertain_starts(index, instance)}
        for asset, entry, _ in index.polled.values():
            run = runs.get(entry.dagster_run_id)
            if run is not None and is_active(run):
                yield asset, entry, self._row("in flight", asset, entry, waited_for_by="step")
            elif run is not None and is_orphaned(run, asset, entry, instance):
                row = self._row("orphaned", asset, entry, waited_for_by=None)
                hint = "Its Dagster run has ended. Re-execute it from failure to attach to the run"
                run_class = run_class_of(asset, entry)
                if run_class is not None and run_class.can_cancel():
                    command = command_for("cancel", row.asset, "--run-id", str(entry.run_id))
                    hint = f"{hint}, or cancel it: {command}"
                yield asset, entry, replace(row, hint=hint)
        for asset, entry in starts_in_progress(index):
            run = runs.get(entry.dagster_run_id)
            if entry.correlation_id in uncertain:
                row = self._row("uncertain", asset, entry, waited_for_by=None)
                partition = ["--partition", entry.partition] if entry.partition is not None else []
                command = command_for("adopt", row.asset, *partition)
                hint = f"Find out at the vendor whether it was started. Then: {command} RUN_ID, or {command} --none"
                yield asset, entry, replace(row, hint=hint)
            elif run is not None and is_active(run):
                yield asset, entry, self._row("starting", asset, entry, waited_for_by="step")

    def _row(self, state: str, asset: WatchedAsset, entry: LedgerEntry, *, waited_for_by: str | None) -> RunRow:
        return RunRow(
            state=state,
            asset=asset.keys[0].to_user_string(),
            partition=entry.partition,
            run=entry.target,
            run_id=entry.run_id,
            request_id=None,
            since=entry.at,
            age_seconds=round(current_clock().wall() - entry.at, 1),
            dagster_run_id=entry.dagster_run_id,
            waited_for_by=waited_for_by,
            vendor_status=None,
            url=None,
            dagster_url=None,
            hint=None,
            code_location=self._location.name,
        )

    def _with_vendor(self, asset: WatchedAsset, entry: LedgerEntry, row: RunRow) -> RunRow:
        """Adds the links, and if wanted, the status. What a vendor's unusable resource cannot provide is left out."""
        resource = self._location.resource(asset.remote.resource_key)
        if not isinstance(resource, RemoteRunResource):
            return row
        row = replace(row, dagster_url=resource.dagster_run_url(entry.dagster_run_id))
        run = recorded_run(asset, entry)
        if entry.run_id is None or run is None or run.vendor != resource.vendor:
            return row
        row = replace(row, url=run.page_url(resource, entry.run_id))
        if not self._with_status:
            return row
        progress(f"Asking {run.vendor} for the status of {entry.run_id} …")
        try:
            with resource.http().with_call_budget():
                status = run.get_status(resource, entry.run_id).plain_status
        except VendorError as error:
            status = f"unknown ({one_line(str(error))})"
        return replace(row, vendor_status=status)
