"""Converts Dagster runs and events to JSON and back.

Events of steps and resources are left out, and so are stack traces, descriptions, tables and multi-line texts, because
no code reads them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.events import AssetObservationData, StepMaterializationData

HAS_PARTITIONED_CHECKS = "partitions_def" in inspect.signature(dg.AssetCheckSpec.__new__).parameters
"""Whether checks may have partitions, as from Dagster 1.13 on."""
Json = dict[str, Any]
Kind = dg.DagsterEventType
_OF_RUNS = {
    kind.value
    for kind in (
        Kind.RUN_ENQUEUED,
        Kind.RUN_START,
        Kind.RUN_SUCCESS,
        Kind.RUN_FAILURE,
        Kind.RUN_CANCELING,
        Kind.RUN_CANCELED,
    )
}
_METADATA: Mapping[str, tuple[type, Callable[[Any], Any]]] = {
    "text": (dg.TextMetadataValue, dg.MetadataValue.text),
    "url": (dg.UrlMetadataValue, dg.MetadataValue.url),
    "float": (dg.FloatMetadataValue, dg.MetadataValue.float),
    "int": (dg.IntMetadataValue, dg.MetadataValue.int),
    "bool": (dg.BoolMetadataValue, dg.MetadataValue.bool),
    "json": (dg.JsonMetadataValue, dg.MetadataValue.json),
    "timestamp": (dg.TimestampMetadataValue, dg.TimestampMetadataValue),
}


def pack_run(run: dg.DagsterRun) -> Json:
    """Converts a Dagster run to JSON, without its status, which follows from its events."""
    selected = sorted(key.to_user_string() for key in run.asset_selection or ())
    packed = {
        "id": run.run_id,
        "job": run.job_name,
        "tags": dict(run.tags),
        "config": dict(run.run_config),
        "parent": run.parent_run_id,
        "root": run.root_run_id,
        "assets": selected,
    }
    return {name: value for name, value in packed.items() if value}


def unpack_run(packed: Json) -> dg.DagsterRun:
    """Converts JSON to a Dagster run that has not started."""
    selected = frozenset(dg.AssetKey.from_user_string(key) for key in packed.get("assets", ()))
    return dg.DagsterRun(
        job_name=packed["job"],
        run_id=packed["id"],
        tags=packed.get("tags", {}),
        run_config=packed.get("config", {}),
        parent_run_id=packed.get("parent"),
        root_run_id=packed.get("root"),
        asset_selection=selected or None,
    )


def pack_event(entry: dg.EventLogEntry, *, runs: Sequence[str], ids: Mapping[int, int]) -> Json | None:
    """Converts an event to JSON; returns ``None`` for one that is left out.

    Args:
        entry: The event.
        runs: The ids of all Dagster runs. The event keeps an index into them.
        ids: The new numbers of the events before it, by storage id.
    """
    event = entry.dagster_event
    if event is None:
        return None
    data = event.event_specific_data
    packed: Json = {"type": event.event_type_value, "at": entry.timestamp}
    if entry.run_id:
        packed |= {"run": runs.index(entry.run_id), "step": event.step_key}
    if isinstance(data, AssetObservationData):
        packed |= _pack_asset_event(data.asset_observation)
    elif isinstance(data, StepMaterializationData):
        packed |= _pack_asset_event(data.materialization)
    elif isinstance(data, AssetCheckEvaluationPlanned):
        partitions = getattr(data, "partitions_subset", None)
        packed |= {"asset": data.asset_key.to_user_string(), "check": data.check_name}
        packed |= {"partitions": json.loads(dg.serialize_value(partitions))} if partitions is not None else {}
    elif isinstance(data, dg.AssetCheckEvaluation):
        packed |= _pack_evaluation(data, ids)
    elif event.event_type_value not in _OF_RUNS:
        return None
    return {name: value for name, value in packed.items() if value not in (None, {}, [])}


def unpack_event(
    packed: Json, run: dg.DagsterRun | None, *, wall: Callable[[Any], Any], machine: Callable[[float], float]
) -> dg.DagsterEvent:
    """Converts JSON to a Dagster event.

    Args:
        packed: The event.
        run: Its Dagster run; ``None`` for an event without one.
        wall: Moves the times that the package wrote to the present.
        machine: Moves a time that Dagster wrote to the present.
    """
    data: Any = None
    metadata = {
        name: _METADATA[kind][1](wall(value))
        for name, packed_value in packed.get("metadata", {}).items()
        for kind, value in packed_value.items()
    }
    if "asset" in packed:
        key = dg.AssetKey.from_user_string(packed["asset"])
        placed: Json = {"metadata": metadata, "partition": packed.get("partition"), "tags": packed.get("tags")}
        if packed["type"] == Kind.ASSET_OBSERVATION.value:
            data = AssetObservationData(dg.AssetObservation(key, **placed))
        elif packed["type"] == Kind.ASSET_MATERIALIZATION.value:
            data = StepMaterializationData(dg.AssetMaterialization(key, **placed), asset_lineage=[])
        elif packed["type"] == Kind.ASSET_CHECK_EVALUATION_PLANNED.value:
            data = _unpack_planned(packed, key)
        else:
            data = _unpack_evaluation(packed, key, metadata, machine)
    return dg.DagsterEvent(
        event_type_value=packed["type"],
        job_name=run.job_name if run is not None else "",
        step_key=packed.get("step"),
        event_specific_data=data,
    )


def _pack_asset_event(event: dg.AssetObservation | dg.AssetMaterialization) -> Json:
    return {
        "asset": event.asset_key.to_user_string(),
        "partition": event.partition,
        "tags": dict(event.tags or {}),
        "metadata": _pack_metadata(event.metadata),
    }


def _pack_evaluation(evaluated: dg.AssetCheckEvaluation, ids: Mapping[int, int]) -> Json:
    target = evaluated.target_materialization_data
    return {
        "asset": evaluated.asset_key.to_user_string(),
        "check": evaluated.check_name,
        "passed": evaluated.passed,
        "severity": evaluated.severity.value,
        "blocking": evaluated.blocking,
        "partition": getattr(evaluated, "partition", None),  # absent before Dagster 1.13
        "metadata": _pack_metadata(evaluated.metadata),
        "target": {"id": ids[target.storage_id], "run": target.run_id, "at": target.timestamp} if target else None,
    }


def _unpack_planned(packed: Json, key: dg.AssetKey) -> AssetCheckEvaluationPlanned:
    given: Json = {"asset_key": key, "check_name": packed["check"]}
    if HAS_PARTITIONED_CHECKS and "partitions" in packed:
        given["partitions_subset"] = dg.deserialize_value(json.dumps(packed["partitions"]))
    return AssetCheckEvaluationPlanned(**given)


def _unpack_evaluation(
    packed: Json, key: dg.AssetKey, metadata: Json, machine: Callable[[float], float]
) -> dg.AssetCheckEvaluation:
    target = packed.get("target")
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=packed["check"],
        passed=packed["passed"],
        severity=dg.AssetCheckSeverity(packed["severity"]),
        blocking=packed.get("blocking"),
        **({"partition": packed["partition"]} if HAS_PARTITIONED_CHECKS and "partition" in packed else {}),
        metadata=metadata,
        target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
            storage_id=target["id"], run_id=target["run"], timestamp=machine(target["at"])
        )
        if target is not None
        else None,
    )


def _pack_metadata(metadata: Mapping[str, Any]) -> Json:
    packed: Json = {}
    for name, value in metadata.items():
        kind = next((kind for kind, (metadata_type, _) in _METADATA.items() if isinstance(value, metadata_type)), None)
        is_short = kind is not None and not (kind == "text" and "\n" in value.value)
        if kind is not None and is_short:
            packed[name] = {kind: value.value}
    return packed
