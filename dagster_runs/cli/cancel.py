"""The command ``cancel``: cancels runs at the vendor, with what the cancel job uses."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import click
import dagster as dg

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.cli.ledger_reading import assets_named, concerns, read_index
from dagster_runs.cli.output import NegativeResult, Unusable, one_line, print_json, progress
from dagster_runs.cli.recorded_runs import payload_of, run_with_fields
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import RunAge
from dagster_runs.remote_run.execution.reexecution import is_active
from dagster_runs.sensors.completion.cancellation import Cancellation, active_runs, cancel_request
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.step_runs import dagster_runs_of, is_orphaned
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.vendor_resources import VendorResources

_WHY = "a user canceled it on the command line"


@dataclass(frozen=True)
class CancelResult:
    """What happened to one run or request.

    Attributes:
        id: The vendor's id of the run, or the id of the request.
        ok: Whether it is canceled, or has finished otherwise.
        message: What happened, for users.
    """

    id: str
    ok: bool
    message: str


def cancel_runs(
    locations: Sequence[CodeLocation],
    name: str,
    partition: str | None = None,
    run_id: str | None = None,
    fields: Sequence[str] = (),
    *,
    as_json: bool = False,
) -> list[CancelResult]:
    """Cancels the runs and queued requests of an asset, and waits for the confirmations.

    Args:
        locations: The code locations.
        name: The key of the asset.
        partition: Only runs of this partition.
        run_id: Only the run with this id at the vendor, or the queued request with this id.
        fields: Fields of the run, each as ``name=value``, if the ledger and the definition do not have them.
        as_json: Whether to print JSON.

    Raises:
        NegativeResult: Nothing matches, or something is not canceled.
        Unusable: There is no such asset, or its resource cannot be used.
    """
    results: list[CancelResult] = []
    waited_for: list[LedgerEntry] = []
    for location, asset in assets_named(locations, name):
        one = _Canceling(location, asset, partition, run_id, fields)
        results += one.cancel()
        waited_for += one.waited_for
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            if result.ok:  # the others are on the standard error, as warnings
                click.echo(one_line(result.message))
    steps = ", ".join(dict.fromkeys(entry.dagster_run_id for entry in waited_for))
    advice = f"A step waits for run {', '.join(str(one.run_id) for one in waited_for)}: terminate Dagster run {steps}."
    if not results:
        what = "" if partition is None and run_id is None else " that matches"
        raise NegativeResult(advice if waited_for else f"No run of {name}{what} is active or queued.")
    if waited_for:
        raise NegativeResult(advice)
    failed = [result.id for result in results if not result.ok]
    if failed:
        raise NegativeResult(f"{len(failed)} of {len(results)} runs may still be active: {', '.join(failed)}")
    return results


class _Canceling:
    """Cancels runs of one asset."""

    def __init__(
        self,
        location: CodeLocation,
        asset: WatchedAsset,
        partition: str | None,
        run_id: str | None,
        fields: Sequence[str],
    ) -> None:
        self._location = location
        self._asset = asset
        self._partition = partition
        self._run_id = run_id
        self._fields = fields
        self.waited_for: list[LedgerEntry] = []

    def cancel(self) -> list[CancelResult]:
        """Cancels what matches. Requests come first, so that none of them starts when the active runs have ended."""
        location, asset = self._location, self._asset
        index = read_index([asset], location.instance)
        active, queued = active_runs(asset, location.instance, index)
        wanted = [one for one in active if self._is_wanted(one.record, one.run_id)]
        orphans = list(self._orphans(index))
        results = [
            CancelResult(one.request_id, True, cancel_request(location.context, one))
            for one in queued
            if self._is_wanted(one.record, one.request_id)
        ]
        return results + self._cancel_at_vendor([*wanted, *orphans])

    def _is_wanted(self, entry: LedgerEntry, id: str) -> bool:
        is_named = self._run_id in (None, id)
        return is_named and concerns(entry, self._partition, self._asset, self._location.instance)

    def _orphans(self, index: DeferredRunIndex) -> Iterator[DeferredRun]:
        """Yields the runs of steps that no longer wait for them, and remembers those of steps that do."""
        asset, instance = self._asset, self._location.instance
        runs = dagster_runs_of(index, instance)
        for _, entry, storage_id in index.polled.values():
            dagster_run = runs.get(entry.dagster_run_id)
            if dagster_run is None or not self._is_wanted(entry, entry.run_id or ""):
                continue
            if is_active(dagster_run):
                self.waited_for.append(entry)
            elif is_orphaned(dagster_run, asset, entry, instance):
                run = run_with_fields(asset, entry, self._fields)
                yield DeferredRun(
                    asset=asset,
                    record=replace(entry, deferred_payload=payload_of(asset, entry, run, instance)),
                    storage_id=storage_id,
                    run=run,
                    age=RunAge(entry.at),
                    polled_at=0.0,
                    phase=Phase.ACTIVE,
                    may_be_reported=True,
                    known_active_until=entry.at,
                )

    def _cancel_at_vendor(self, runs: Sequence[DeferredRun]) -> list[CancelResult]:
        if not runs:
            return []
        key = self._asset.remote.resource_key
        resource = self._location.resource(key)
        if isinstance(resource, str):
            raise Unusable(f"The resource {key!r} cannot be used: {resource}")
        vendors = VendorResources(ready={key: resource})
        progress(f"Canceling {', '.join(one.run_id for one in runs)} …")
        # All cancellations are requested before the first one is waited for, which may take a minute.
        cancellations = [Cancellation(self._location.context, one, vendors, why=_WHY) for one in runs]
        for cancellation in cancellations:
            cancellation.request()
        return [_confirmed(one.run_id, cancellation) for one, cancellation in zip(runs, cancellations, strict=True)]


def _confirmed(run_id: str, cancellation: Cancellation) -> CancelResult:
    try:
        return CancelResult(run_id, True, cancellation.wait_for_confirmation())
    except dg.Failure as failure:
        return CancelResult(run_id, False, str(failure.description))
