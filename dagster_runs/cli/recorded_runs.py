"""Recreates the run that a ledger entry is about, so that it can be polled and canceled."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from dagster_runs.cli.output import Unusable
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry, recorded_target
from dagster_runs.remote_run.execution.request_queue import partitions_of
from dagster_runs.sensors.registry import WatchedAsset


def recorded_run(asset: WatchedAsset, entry: LedgerEntry) -> RemoteRun[Any] | None:
    """Returns the run that an entry is about; ``None`` if its fields are not known.

    They are known if the run is deferred, or if the asset's definition has them and they lead to the same target. A run
    that a function creates in the step, and one of a user-defined asset, are not known.
    """
    run_class = run_class_of(asset, entry)
    stored = (entry.deferred_payload or {}).get("run")
    if run_class is not None and isinstance(stored, dict):
        return run_class.from_payload(stored)
    run = asset.remote.run
    return run if run is not None and recorded_target(run) == entry.target else None


def run_with_fields(asset: WatchedAsset, entry: LedgerEntry, fields: Sequence[str]) -> RemoteRun[Any]:
    """Like `recorded_run`, but with fields that the user passes for a run whose fields are not known.

    Args:
        asset: The asset.
        entry: The ledger entry.
        fields: The fields, each as ``name=value``.

    Raises:
        Unusable: The fields are missing or do not make the run that the entry is about.
    """
    if not fields:
        run = recorded_run(asset, entry)
        if run is not None:
            return run
        raise Unusable(
            f"The ledger does not have the fields of {entry.target}, and the asset's definition does not lead to it. "
            f"Pass the fields that are needed to poll it, such as --field {_example(asset, entry)}"
        )
    run_class = run_class_of(asset, entry)
    if run_class is None:
        raise Unusable(f"The definitions have no class {entry.run_class_name}. Load those with which it was started")
    values = dict(field.partition("=")[::2] for field in fields)
    unknown = sorted(set(values) - set(run_class.model_fields))
    if unknown or not all("=" in field for field in fields):
        names = ", ".join(sorted(run_class.model_fields))
        raise Unusable(f"--field takes NAME=VALUE with a field of {run_class.__name__}: {names}")
    run = run_class.from_payload(values)
    try:
        target = recorded_target(run)
    except Exception:  # noqa: BLE001 - of the vendor's own class, which lacks a field
        raise Unusable(f"These fields do not lead to {entry.target}; a field is missing") from None
    if target != entry.target:
        raise Unusable(f"These fields lead to {target}, but the start was of {entry.target}")
    return run


def run_class_of(asset: WatchedAsset, entry: LedgerEntry) -> type[RemoteRun[Any]] | None:
    """Returns the class of the run that an entry is about; ``None`` if it is not defined."""
    name = entry.run_class_name
    if asset.remote.run_class.__name__ == name:
        return asset.remote.run_class
    return next((one for one in _subclasses(RemoteRun) if one.__name__ == name), None)


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _example(asset: WatchedAsset, entry: LedgerEntry) -> str:
    run_class = run_class_of(asset, entry)
    required = [name for name, field in run_class.model_fields.items() if field.is_required()] if run_class else []
    return f"{required[0] if required else 'NAME'}=VALUE"


def payload_of(
    asset: WatchedAsset, entry: LedgerEntry, run: RemoteRun[Any], instance: dg.DagsterInstance
) -> dict[str, Any]:
    """Returns what the completion sensor needs to poll and report a run, in the form of a ledger entry's payload.

    Args:
        asset: The asset.
        entry: The entry about the start, which does not have a payload.
        run: The run.
        instance: The Dagster instance.
    """
    return {
        "run": run.to_payload(),
        "assets": [list(key.path) for key in _filled(asset, entry, instance)],
        **_part(asset, entry, instance),
    }


def _filled(asset: WatchedAsset, entry: LedgerEntry, instance: dg.DagsterInstance) -> Sequence[dg.AssetKey]:
    """Returns the assets that the Dagster run of a start has selected."""
    dagster_run = instance.get_run_by_id(entry.dagster_run_id)
    selected = dagster_run.asset_selection if dagster_run is not None else None
    return [key for key in asset.keys if key in (selected or ())] or asset.keys


def _part(asset: WatchedAsset, entry: LedgerEntry, instance: dg.DagsterInstance) -> dict[str, Any]:
    keys = partitions_of(entry, asset.definition.partitions_def, instance)
    if keys is None:
        first, _, last = (entry.partition or "").partition("...")
        return {"partitions": {"first": first, "last": last}}
    return {"partitions": [key for key in keys if key is not None]}
