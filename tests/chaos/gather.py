"""Converts Dagster's event log and the sandbox's log to `Facts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from urllib.parse import unquote

import dagster as dg

from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.sandbox import RecordedRequest, SandboxRun
from tests.chaos.facts import (
    Cancellation,
    Evaluated,
    Facts,
    LedgerRecord,
    Materialized,
    Outcome,
    RemoteRun,
    StartRequest,
    StepError,
    Target,
    Termination,
)
from tests.chaos.kinds import SLOTS
from tests.chaos.plan import Group
from tests.chaos.timing import Anchor

_SUCCEEDED = {"finished", "succeeded", "completed", "SUCCEEDED"}
_FAILED = {"failed", "ERROR", "error"}
_MAX_MATERIALIZATIONS = 1000
"""Materializations of one asset and group."""
_WRAPPINGS = ("Dagster", "RetryRequested")
_OF_INTEREST = {
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.RUN_CANCELING,
}
_INTERRUPTED = ("ChildProcessCrashException", "DagsterExecutionInterruptedError", "RunTerminated")
"""Errors of steps that may have been in the middle of reporting a run."""
_SLOT_OF_ASSET = {slot.asset: slot.number for slot in SLOTS}


def from_dagster(instance: dg.DagsterInstance, group: Group, dagster_runs: Iterable[str]) -> Facts:
    """Returns what the Dagster runs of a group have recorded."""
    facts = Facts()
    numbers = {one.slot.number: one.number for one in group.materializations}
    ended: dict[tuple[str, int], float] = {}
    dagster_runs = list(dagster_runs)
    for run_id in dagster_runs:
        facts.dagster_runs += 1
        for entry in instance.all_logs(run_id, of_type=_OF_INTEREST):
            _read(entry, run_id, numbers, facts, ended)
    for one in group.materializations if dagster_runs else ():
        # Not from the log of the Dagster run, because on SQLite an event has another id there.
        wanted = dg.AssetRecordsFilter(dg.AssetKey(one.slot.asset), list(group.partitions))
        for record in instance.fetch_materializations(wanted, limit=_MAX_MATERIALIZATIONS, ascending=True).records:
            if record.run_id in dagster_runs:
                facts.materialized.append(_materialized(record, one.number, ended))
    return facts


def _materialized(record: dg.EventLogRecord, number: int, ended: Mapping[tuple[str, int], float]) -> Materialized:
    assert record.asset_materialization is not None
    known = record.asset_materialization.metadata.get(RUN_ID_KEY)
    return Materialized(
        number=number,
        run_id=str(known.value) if known else None,
        at=record.timestamp,
        dagster_run=record.run_id,
        partition=record.partition_key,
        storage_id=record.storage_id,
        is_complete=ended.get((record.run_id, number), 0.0) >= record.timestamp,
    )


def _read(
    entry: dg.EventLogEntry, run_id: str, numbers: Mapping[int, int], facts: Facts, ended: dict[tuple[str, int], float]
) -> None:
    event, at = entry.dagster_event, entry.timestamp
    assert event is not None
    kind = event.event_type
    if kind is dg.DagsterEventType.RUN_CANCELING:
        facts.terminations.append(Termination(run_id, at, frozenset(numbers.values())))
    elif kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY):
        slot = _SLOT_OF_ASSET.get(event.step_key or "")
        if slot in numbers:
            facts.step_errors.append(step_error(event, numbers[slot], at, run_id))
            if facts.step_errors[-1].kind not in _INTERRUPTED:
                ended[run_id, numbers[slot]] = at
    elif kind is dg.DagsterEventType.STEP_SUCCESS:
        slot = _SLOT_OF_ASSET.get(event.step_key or "")
        if slot in numbers:
            ended[run_id, numbers[slot]] = at
    elif kind is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        slot = _SLOT_OF_ASSET[event.asset_check_evaluation_data.asset_key.path[-1]]
        facts.evaluated.append(evaluated(event, numbers[slot], at, run_id))
    else:
        observation = event.asset_observation_data.asset_observation
        entry = LedgerEntry.from_observation(observation)
        if entry is None or entry.kind is EntryKind.PROGRESS:
            return
        attached = observation.metadata.get("dagster_runs/attached")
        facts.ledger_records.append(
            LedgerRecord(
                number=numbers[_SLOT_OF_ASSET[observation.asset_key.path[-1]]],
                entry=entry.kind.value,
                at=at,
                dagster_run=run_id,
                correlation_id=entry.correlation_id,
                run_id=entry.run_id,
                attached=bool(attached and attached.value),
            )
        )


def evaluated(event: dg.DagsterEvent, number: int, at: float, run_id: str) -> Evaluated:
    """Returns a check evaluation."""
    evaluation = event.asset_check_evaluation_data
    of_run, target = evaluation.metadata.get("run_id"), evaluation.target_materialization_data
    return Evaluated(
        number=number,
        name=evaluation.check_name,
        at=at,
        dagster_run=run_id,
        passed=evaluation.passed,
        is_blocking=bool(evaluation.blocking),
        run_id=str(of_run.value) if of_run else None,
        partition=evaluation.partition,
        target=Target(target.storage_id, target.run_id, target.timestamp) if target else None,
    )


def step_error(event: dg.DagsterEvent, number: int, at: float, run_id: str) -> StepError:
    """Returns the error of a step, with the text of all its causes."""
    texts, kinds = [], []
    error = event.event_specific_data.error  # type: ignore[union-attr]
    while error is not None:
        texts.append(error.message)
        kinds.append(error.cls_name or "")
        error = error.cause
    kind = next((kind for kind in kinds if not kind.startswith(_WRAPPINGS)), kinds[0] if kinds else "")
    return StepError(number, kind, "\n".join(texts), at, run_id)


def from_sandbox(
    runs: Sequence[SandboxRun],
    requests: Sequence[RecordedRequest],
    forgotten: Iterable[str],
    anchor: Anchor,
    targets: AbstractSet[str],
) -> Facts:
    """Returns what the sandbox did, for its default targets and the given ones."""
    facts = Facts()
    forgotten = set(forgotten)
    forgotten_at: dict[str, float] = {}
    for request in requests:
        parts = [unquote(part) for part in request.path.split("/")]
        if request.method == "POST" and parts[-1] in ("cancel", "stop"):
            facts.cancellations.append(Cancellation(parts[-2], request.wall_received_at))
        elif request.method == "POST":
            texts = request.body.values() if isinstance(request.body, dict) else ()
            named = targets.intersection({*parts, *(text for text in texts if isinstance(text, str))})
            facts.start_requests += [StartRequest(target, request.wall_received_at) for target in named]
        if request.fault == "not_found":
            for run_id in forgotten.intersection(parts):
                forgotten_at.setdefault(run_id, request.wall_received_at)
    for run in runs:
        ended_at = None if run.ended_at is None else anchor.to_real(run.ended_at)
        facts.remote_runs.append(
            RemoteRun(
                run.id,
                run.target_id,
                anchor.to_real(run.created_at),
                outcome(run),
                ended_at,
                forgotten_at.get(run.id),
            )
        )
    return facts


def outcome(run: SandboxRun) -> Outcome:
    if run.ended_at is None:
        return "going"
    if run.state in _SUCCEEDED:
        return "succeeded"
    return "failed" if run.state in _FAILED else "canceled"


def merge(into: Facts, other: Facts) -> None:
    """Adds the facts of another one."""
    for one in fields(Facts):
        if isinstance(mine := getattr(into, one.name), list):
            mine.extend(getattr(other, one.name))
    into.dagster_runs += other.dagster_runs
    for how, times in other.interrupted.items():
        into.interrupted[how] = into.interrupted.get(how, 0) + times
