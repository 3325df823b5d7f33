"""The command ``runs --remote-id``: finds the Dagster run of a run at the vendor."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import dagster as dg

from dagster_runs.cli.output import NegativeResult, Unusable, print_json, print_table, progress
from dagster_runs.remote_run.execution.event_log import events, observed_run, reported_run
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.transport.clock import current_clock, machine_time

_DAY = 86_400.0
_VERBS = {
    EntryKind.STARTED: "started it, or attached to it",
    EntryKind.ENDED: "reported that it ended without success",
    EntryKind.GONE: "found that the vendor no longer knows it",
    EntryKind.CANCEL_REQUESTED: "requested its cancellation",
    EntryKind.STEP_CANCELS: "was terminated, and canceled it",
    EntryKind.STEP_KEEPS: "was terminated, and left it to a newer attempt",
}
_REPORTED = "reported its result"


@dataclass(frozen=True)
class Mention:
    """An event about a run at the vendor.

    Attributes:
        at: Epoch seconds.
        asset: The key of the asset.
        partition: The partition; ``None`` without one.
        dagster_run_id: The Dagster run; empty for an event of a sensor or a command.
        what: What it did.
        url: The vendor's page of the run.
    """

    at: float
    asset: str
    partition: str | None
    dagster_run_id: str
    what: str
    url: str | None


def find_remote_run(
    instance: dg.DagsterInstance, run_id: str, asset: str | None, days: float, *, as_json: bool
) -> None:
    """Prints what Dagster runs did with a run at the vendor, oldest first.

    Args:
        instance: The Dagster instance.
        run_id: The vendor's id of the run.
        asset: The key of the asset; ``None`` to search all.
        days: How far back to search.
        as_json: Whether to print JSON.

    Raises:
        NegativeResult: The event log does not mention it.
        Unusable: There is no such asset.
    """
    known = sorted(instance.get_asset_keys(), key=lambda key: list(key.path))
    keys = [key for key in known if asset in (None, key.to_user_string())]
    if asset is not None and not keys:
        raise Unusable(f"The event log has no asset {asset!r}")
    since = machine_time(current_clock().wall() - days * _DAY)
    found: list[Mention] = []
    for number, key in enumerate(keys, 1):
        if number % 50 == 0:
            progress(f"Searched {number} of {len(keys)} assets …")
        found += _mentions(instance, key, run_id, since)
    found.sort(key=lambda one: one.at)
    if not found:
        raise NegativeResult(f"No Dagster run has started or reported run {run_id} in the last {days:g} days")
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        where = one.asset + (f" [{one.partition}]" if one.partition is not None else "")
        by = f"Dagster run {one.dagster_run_id}" if one.dagster_run_id else "The completion sensor, or a command,"
        at = datetime.fromtimestamp(one.at, timezone.utc)
        print_table([(f"{at:%Y-%m-%d %H:%M:%S} UTC", where, f"{by} {one.what}")])
    url = next((one.url for one in reversed(found) if one.url is not None), None)
    if url is not None:
        print_table([(url,)])


def _mentions(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, since: float) -> Iterator[Mention]:
    wanted = dg.AssetRecordsFilter(key, after_timestamp=since)
    for event in events(instance.fetch_observations, wanted):
        observation = event.event_log_entry.asset_observation
        entry = LedgerEntry.from_event(event)
        url = _url(observation.metadata) if observation is not None else None
        if entry is not None and entry.run_id == run_id and entry.kind in _VERBS:
            what = _VERBS[entry.kind]
            yield Mention(event.timestamp, key.to_user_string(), entry.partition, entry.dagster_run_id, what, url)
        elif entry is None and observed_run(event) == run_id:
            yield Mention(event.timestamp, key.to_user_string(), event.partition_key, event.run_id, "observed it", url)
    for event in events(instance.fetch_materializations, wanted):
        if reported_run(event) == run_id and event.asset_materialization is not None:
            url = _url(event.asset_materialization.metadata)
            yield Mention(event.timestamp, key.to_user_string(), event.partition_key, event.run_id, _REPORTED, url)


def _url(metadata: object) -> str | None:
    found = metadata.get("dagster_runs/url") if isinstance(metadata, dict) else None
    return found.value if isinstance(found, dg.UrlMetadataValue) else None
