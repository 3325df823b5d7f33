"""From Dagster's event log, the sandbox and the alerts to `Facts`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from dagster_runs.remote_run.ledger import RUN_ID_KEY
from dagster_runs.remote_run.step import FINISHES_TAG
from dagster_runs.sandbox import SandboxClient
from tests.chaos.gather import outcome
from tests.endurance.facts import Alert, Evaluated, Facts, Materialized, Planned, Publishing, RemoteRun
from tests.endurance.plan import Flight, Plan
from tests.endurance.reconcile import RUN_STATUS

_PAGE = 1000


def gather(plan: Plan, instance: dg.DagsterInstance, sandbox: SandboxClient, alerts: Path) -> Facts:
    """All that is known in the end."""
    facts = Facts(
        planned=[
            Planned(place, flight.target, flight.expected, flight.fate != "hang")
            for place, flight in plan.flights.items()
        ],
        remote_runs=[RemoteRun(run.id, run.target_id, outcome(run)) for run in sandbox.runs()],
        publishing=list(_publishing(instance)),
        alerts=[Alert(*json.loads(line)) for line in alerts.read_text().splitlines()] if alerts.exists() else [],
    )
    for slot in plan.slots:
        facts.materialized += materialized(instance, slot.asset)
        for name in (RUN_STATUS, *slot.kind.run_class.data_checks):
            facts.checks.append((slot.asset, name))
            facts.evaluated += _evaluated(instance, slot.asset, name)
    return facts


def _planned(flight: Flight) -> Planned:
    return Planned((flight.slot.asset, flight.partition), flight.target, flight.expected, flight.fate != "hang")


def materialized(instance: dg.DagsterInstance, asset: str) -> Iterator[Materialized]:
    """An asset's materializations."""
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(dg.AssetKey(asset), limit=_PAGE, cursor=cursor)
        for event in page.records:
            assert event.asset_materialization is not None
            known = event.asset_materialization.metadata.get(RUN_ID_KEY)
            yield Materialized((asset, event.partition_key or ""), str(known.value) if known else None)
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
                continue  # planned by a run that never got so far
            run_id = event.asset_check_evaluation_data.metadata.get("run_id")
            assert record.event is not None
            yield Evaluated((asset, name), record.event.run_id, str(run_id.value) if run_id else None)
        if len(page) < _PAGE:
            return
        cursor = page[-1].id


def publishing_runs(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    """The Dagster runs that the completion sensor has requested."""
    yield from (run for run in instance.get_run_records() if FINISHES_TAG in run.dagster_run.tags)


def _publishing(instance: dg.DagsterInstance) -> Iterator[Publishing]:
    for record in publishing_runs(instance):
        run = record.dagster_run
        said = [_said(entry.dagster_event) for entry in instance.all_logs(run.run_id, dg.DagsterEventType.STEP_FAILURE)]
        [key] = run.asset_selection or [dg.AssetKey("")]
        yield Publishing(
            run.run_id,
            (key.to_user_string(), run.tags.get("dagster/partition", "")),
            run.tags[FINISHES_TAG],
            run.status is dg.DagsterRunStatus.FAILURE,
            "\n".join(said) or f"the run is {run.status.value}, and no step of it failed",
            record.start_time is not None,
        )


def _said(event: dg.DagsterEvent | None) -> str:
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
