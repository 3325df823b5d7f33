"""The command ``adopt``: records which run at the vendor is the one of a start whose outcome is unknown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.cli.ledger_reading import assets_named, concerns, only_one, read_index, uncertain_starts
from dagster_runs.cli.output import NegativeResult, Unusable, age, one_line, print_json, progress
from dagster_runs.cli.recorded_runs import payload_of, run_with_fields
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.adoption import is_too_old, none_started_by, started_by
from dagster_runs.remote_run.execution.ledger_entry import EntryTooLarge, LedgerEntry
from dagster_runs.remote_run.execution.lost_starts import records_of
from dagster_runs.remote_run.execution.reexecution import BACKFILL_TAG
from dagster_runs.remote_run.execution.request_queue import SEVERAL_PARTITIONS
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.errors import NotFoundError, VendorError

_LOOKBACK_SECONDS = 3600.0


@dataclass(frozen=True)
class AdoptRequest:
    """What the user wants to record.

    Attributes:
        asset: The key of the asset.
        run_id: The vendor's id of the run; ``None`` if none was started.
        partition: The partition, or ``first...last`` for a range.
        dagster_run_id: The Dagster run whose start is uncertain, if there are several.
        fields: Fields of the run, each as ``name=value``, if the ledger and the definition do not have them.
        resource_key: The key of the resource, if the asset's definition uses several.
    """

    asset: str
    run_id: str | None
    partition: str | None = None
    dagster_run_id: str | None = None
    fields: Sequence[str] = ()
    resource_key: str | None = None


@dataclass(frozen=True)
class Adopted:
    """What was recorded.

    Attributes:
        asset: The key of the asset.
        partition: The partition, ``first...last`` for a range.
        dagster_run_id: The Dagster run whose start was uncertain.
        run_id: The vendor's id of the run; ``None`` if none was started.
        vendor_status: The vendor's status of the run.
        url: The vendor's page of the run.
        next_step: What happens next, or what to do.
    """

    asset: str
    partition: str | None
    dagster_run_id: str
    run_id: str | None
    vendor_status: str | None
    url: str | None
    next_step: str


def adopt_run(locations: Sequence[CodeLocation], wanted: AdoptRequest, *, as_json: bool = False) -> Adopted:
    """Records the outcome of an uncertain start, and prints what happens next.

    Raises:
        NegativeResult: There is no such start; the vendor does not know the run; or the run cannot be the one of this
            start. Nothing was recorded.
        Unusable: The options are wrong.
    """
    location, asset, start = _uncertain_start(locations, wanted)
    adopted = (
        _record_none(location, asset, start)
        if wanted.run_id is None
        else _record_run(location, asset, start, wanted.run_id, wanted)
    )
    if as_json:
        print_json(asdict(adopted))
        return adopted
    done = (
        f"Recorded that run {adopted.run_id} (status {adopted.vendor_status}) is the one that Dagster run "
        f"{adopted.dagster_run_id} started for {adopted.asset}."
        if adopted.run_id is not None
        else f"Recorded that Dagster run {adopted.dagster_run_id} started no run for {adopted.asset}."
    )
    progress(done)
    progress(adopted.next_step)
    return adopted


def _uncertain_start(
    locations: Sequence[CodeLocation], wanted: AdoptRequest
) -> tuple[CodeLocation, WatchedAsset, LedgerEntry]:
    named = assets_named(locations, wanted.asset)
    if len(named) > 1:
        raise Unusable(f"{wanted.asset} is in several code locations. Pass -m or -f to name one of them.")
    [(location, asset)] = named
    instance = location.instance
    for everything in (False, True):
        index = read_index([asset], instance, everything=everything)
        found = [
            entry
            for _, entry in uncertain_starts(index, instance)
            if concerns(entry, wanted.partition, asset, instance)
            and wanted.dagster_run_id in (None, entry.dagster_run_id)
        ]
        if found:
            break
        if not everything:
            progress("No uncertain start in the time that a run may take; reading all of the asset's entries …")
    start = only_one(
        found,
        f"No start of {wanted.asset} is uncertain. Either its Dagster run is still active, or its outcome is recorded "
        "already, or a later start has followed. Nothing was recorded.",
        "Choose one with --dagster-run or --partition. Nothing was recorded.",
    )
    return location, asset, start


def _record_none(location: CodeLocation, asset: WatchedAsset, start: LedgerEntry) -> Adopted:
    _store(location.instance, asset.keys[:1], none_started_by(start))
    next_step = f"Re-execute Dagster run {start.dagster_run_id} from failure to start a run."
    return Adopted(asset.keys[0].to_user_string(), start.partition, start.dagster_run_id, None, None, None, next_step)


def _record_run(
    location: CodeLocation, asset: WatchedAsset, start: LedgerEntry, run_id: str, wanted: AdoptRequest
) -> Adopted:
    run = run_with_fields(asset, start, wanted.fields)
    resource = _resource(location, asset, run, wanted.resource_key)
    _check_unclaimed(location.instance, start, run_id)
    status = _checked_status(run, resource, start, run_id)
    url, options = run.page_url(resource, run_id), asset.remote.options
    is_deferred = (options.in_backfill() if _is_in_backfill(location.instance, start) else options).wait == "defer"
    payload = payload_of(asset, start, run, location.instance) if is_deferred else None
    entry = started_by(
        start, run, run_id, status, timeout=options.timeout or run.default_timeout, url=url, payload=payload
    )
    filled = [dg.AssetKey(path) for path in payload["assets"]] if payload is not None else asset.keys
    _store(location.instance, filled, entry)
    next_step = (
        "The completion sensor reports it; there is nothing else to do."
        if is_deferred
        else f"Re-execute Dagster run {start.dagster_run_id} from failure to attach to it."
    )
    return Adopted(
        asset.keys[0].to_user_string(),
        start.partition,
        start.dagster_run_id,
        run_id,
        one_line(status.vendor_status),
        url,
        next_step,
    )


def _resource(location: CodeLocation, asset: WatchedAsset, run: RemoteRun[Any], key: str | None) -> RemoteRunResource:
    found = location.resource(key or asset.remote.resource_key)
    if isinstance(found, str):
        raise Unusable(f"The resource {key or asset.remote.resource_key!r} cannot be used: {found}")
    if found.vendor != run.vendor:
        raise Unusable(f"The run is {run.vendor}'s, but the resource is {found.vendor}'s. Choose one with --resource.")
    return found


def _check_unclaimed(instance: dg.DagsterInstance, start: LedgerEntry, run_id: str) -> None:
    """Refuses a run that another start is known to have created."""
    for key in instance.get_asset_keys():
        for entry in records_of(instance, key, start.at - _LOOKBACK_SECONDS):
            if entry.run_id == run_id and entry.correlation_id != start.correlation_id:
                raise NegativeResult(
                    f"Run {run_id} was started by Dagster run {entry.dagster_run_id} for {key.to_user_string()}, so it "
                    "is not the one of this start. Nothing was recorded."
                )


def _checked_status(run: RemoteRun[Any], resource: RemoteRunResource, start: LedgerEntry, run_id: str) -> RunStatus:
    progress(f"Asking {run.vendor} for run {run_id} …")
    try:
        with resource.http().with_call_budget():
            status = run.get_status(resource, run_id)
    except NotFoundError as error:
        raise NegativeResult(
            f"{run.vendor} does not know run {run_id}: {one_line(str(error))} Nothing was recorded."
        ) from None
    except VendorError as error:
        raise NegativeResult(
            f"Run {run_id} could not be checked: {one_line(str(error))} Nothing was recorded."
        ) from None
    began_at = resource.http().by_our_clock(status.created_at or status.started_at)
    if began_at is not None and is_too_old(start, began_at):
        raise NegativeResult(
            f"Run {run_id} began {age(start.at - began_at)} before the start, so it is not the one of this start. "
            "Nothing was recorded."
        )
    return status


def _is_in_backfill(instance: dg.DagsterInstance, start: LedgerEntry) -> bool:
    run = instance.get_run_by_id(start.dagster_run_id)
    return run is not None and BACKFILL_TAG in run.tags


def _store(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], entry: LedgerEntry) -> None:
    try:
        tags = entry.to_tags()
    except EntryTooLarge as error:
        raise NegativeResult(f"The run cannot be recorded in Dagster's event log: {error}.") from None
    is_range = entry.partition is not None and "..." in entry.partition
    for key in keys:
        instance.report_runless_asset_event(
            dg.AssetObservation(
                key,
                description=entry.description,
                metadata=dict(entry.metadata),
                partition=SEVERAL_PARTITIONS if is_range else entry.partition,
                tags=tags,
            )
        )
