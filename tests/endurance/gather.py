"""Converts Dagster's event log, the sandbox's state and the alerts to `Facts`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import FINISHES_TAG
from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY
from dagster_runs.sandbox import SandboxClient
from tests.chaos.gather import outcome
from tests.endurance.facts import (
    Alert,
    Declared,
    Evaluated,
    Facts,
    Materialized,
    Place,
    Planned,
    Publishing,
    RemoteRun,
    Target,
)
from tests.endurance.plan import Plan
from tests.endurance.queue_plan import SLOTS
from tests.endurance.reconcile import RUN_STATUS
from tests.endurance.requesting import Requesting
from tests.reconciling.queue_facts import QueuedStart, QueueFacts

_PAGE = 1000
_RANGE_TAG = "dagster/asset_partition_range_start"


def gather_queue(requesting: Requesting, instance: dg.DagsterInstance, sandbox: SandboxClient) -> QueueFacts:
    """Returns all facts about the queued requests."""
    places = {slot.target(partition): (slot.asset, partition) for slot in SLOTS for partition in slot.partitions}
    starts = [
        QueuedStart(
            run.id,
            *places[run.target_id.rpartition("/")[2]],
            variant=str((run.body or {}).get("parameters", {}).get("variant")),
            started_at=run.created_at,
            ended_at=run.ended_at,
        )
        for run in sandbox.runs("prophecy")
        if run.target_id.rpartition("/")[2] in places
    ]
    reported = [
        (slot.asset, str(record.partition_key), str(record.asset_materialization.metadata[RUN_ID_KEY].value))
        for slot in SLOTS
        for record in instance.fetch_materializations(dg.AssetKey(slot.asset), limit=_PAGE).records
        if record.asset_materialization is not None
    ]
    limits = {slot.asset: slot.limit for slot in SLOTS if slot.limit is not None}
    return QueueFacts(list(requesting.made), starts, limits, reported, list(requesting.failed))


def gather(plan: Plan, instance: dg.DagsterInstance, sandbox: SandboxClient, alerts: Path) -> Facts:
    """Returns all facts."""
    facts = Facts(
        planned=[
            Planned(
                place,
                deferred_run.target,
                deferred_run.expected,
                deferred_run.fate != "hang",
                deferred_run.partitions[1:],
                deferred_run.fate == "bad data",
            )
            for place, deferred_run in plan.deferred_runs.items()
        ],
        remote_runs=[RemoteRun(run.id, run.target_id, outcome(run)) for run in sandbox.runs()],
        publishing=list(_publishing(instance)),
        alerts=[Alert(*json.loads(line)) for line in alerts.read_text().splitlines()] if alerts.exists() else [],
    )
    for slot in plan.slots:
        facts.materialized += materialized(instance, slot.asset)
        for name in (RUN_STATUS, *slot.kind.run_class.data_checks):
            blocks = slot.has_gate and name != RUN_STATUS
            facts.checks.append(Declared((slot.asset, name), blocks, name == slot.kind.judged_by))
            facts.evaluated += _evaluated(instance, slot.asset, name)
    return facts


def materialized(instance: dg.DagsterInstance, asset: str) -> Iterator[Materialized]:
    """Returns the materializations of an asset."""
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(dg.AssetKey(asset), limit=_PAGE, cursor=cursor)
        for event in page.records:
            assert event.asset_materialization is not None
            known = event.asset_materialization.metadata.get(RUN_ID_KEY)
            yield Materialized(
                (asset, event.partition_key or ""),
                str(known.value) if known else None,
                event.storage_id,
                event.run_id,
                event.timestamp,
            )
        if not page.has_more:
            return
        cursor = page.cursor


def _evaluated(instance: dg.DagsterInstance, asset: str, name: str) -> Iterator[Evaluated]:
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    cursor: int | None = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE, cursor=cursor)
        for record in page:
            event = record.event.dagster_event if record.event is not None else None
            if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                continue  # planned by a run that failed earlier
            evaluation = event.asset_check_evaluation_data
            run_id, target = evaluation.metadata.get("run_id"), evaluation.target_materialization_data
            assert record.event is not None
            yield Evaluated(
                (asset, name),
                record.event.run_id,
                str(run_id.value) if run_id else None,
                evaluation.partition,
                Target(target.storage_id, target.run_id, target.timestamp) if target else None,
                evaluation.passed,
                bool(evaluation.blocking),
            )
        if len(page) < _PAGE:
            return
        cursor = page[-1].id


def is_publishing(run: dg.DagsterRun) -> bool:
    """Whether the completion sensor requested it to report a remote run."""
    return FINISHES_TAG in run.tags


def place_of(run: dg.DagsterRun) -> Place:
    """Returns the asset and the first partition of such a Dagster run."""
    [key] = run.asset_selection or [dg.AssetKey("")]
    return key.to_user_string(), run.tags.get("dagster/partition") or run.tags.get(_RANGE_TAG, "")


def _publishing(instance: dg.DagsterInstance) -> Iterator[Publishing]:
    for record in instance.get_run_records():
        run = record.dagster_run
        if not is_publishing(run):
            continue
        message = [
            _message(entry.dagster_event) for entry in instance.all_logs(run.run_id, dg.DagsterEventType.STEP_FAILURE)
        ]
        yield Publishing(
            run.run_id,
            place_of(run),
            run.tags[FINISHES_TAG],
            run.status is dg.DagsterRunStatus.FAILURE,
            "\n".join(message) or f"the run is {run.status.value}, and no step of it failed",
            record.start_time is not None,
        )


def _message(event: dg.DagsterEvent | None) -> str:
    assert event is not None
    failure = event.step_failure_data
    parts = []
    if failure.user_failure_data is not None:
        parts.append(str(failure.user_failure_data.description))
    error = failure.error
    while error is not None:
        parts.append(f"{error.cls_name}: {error.message}")
        error = error.cause
    return "\n".join(parts)
