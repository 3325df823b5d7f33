"""Converts Dagster's event log, its runs and the sandbox's runs to facts about a queue group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.sandbox import SandboxRun
from dagster_runs.sensors.completion.asset_requests import REQUESTERS_TAG
from tests.chaos import gather
from tests.chaos.checks import RUN_STATUS
from tests.chaos.facts import (
    Evaluated,
    Facts,
    LedgerRecord,
    Materialized,
    RequestedMaterialization,
    StepError,
    Termination,
)
from tests.chaos.plan import finds_bad_data
from tests.chaos.queue_plan import QUEUE_SLOTS, Place, QueueGroup, QueueRequest, asset_of
from tests.chaos.timing import Anchor
from tests.reconciling.queue_facts import QueuedStart, QueueFacts, Requested

_PAGE = 1000
UNKNOWN = "StartOutcomeUnknown"
_OF_REMOTE_RUN = ("RunFailed", "RunCanceled")
_OF_INTEREST = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_CANCELING,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass
class Chain:
    """A Dagster run and its re-executions.

    Attributes:
        at: Epoch seconds of its launch.
        request: The request that it makes; ``None`` for a Dagster run that the sensor has requested.
        place: The asset and partition.
        dagster_runs: The ids of the Dagster runs.
        tags: The tags of the first one.
        last_error: The kind of the last one's error; empty if it succeeded.
    """

    at: float
    request: QueueRequest | None
    place: Place
    dagster_runs: list[str] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    last_error: str = ""

    @property
    def requesters(self) -> set[str]:
        """Returns the Dagster runs for whose requests it stands."""
        return {*self.tags.get(REQUESTERS_TAG, "").split(","), self.tags.get(DEFERRED_BY_TAG, "")} - {""}


def facts_of(group: QueueGroup, instance: dg.DagsterInstance, chains: Sequence[Chain]) -> Facts:
    """Returns what Dagster knows about a group, in the form of the other groups' facts."""
    facts = Facts(dagster_runs=sum(len(chain.dagster_runs) for chain in chains))
    by_target = {place.target: place for place in group.places}
    by_key = {(place.asset, place.partition): place.number for place in group.places}
    asked = {chain.place for chain in chains}
    facts.requested = [_requested(place, group) for place in by_target.values() if place in asked]
    for slot in QUEUE_SLOTS:
        asset = asset_of(group.number, slot)
        facts.ledger_records += _ledger_records(instance, asset, by_key)
        facts.materialized += _materialized(instance, asset, by_key)
        for name in (RUN_STATUS, *slot.kind.run_class.data_checks):
            facts.evaluated += _evaluated_without_run(instance, asset, name, by_key)
    for chain in chains:
        for run_id in chain.dagster_runs:
            for entry in instance.all_logs(run_id, of_type=_OF_INTEREST):
                event = entry.dagster_event
                assert event is not None
                if event.event_type is dg.DagsterEventType.RUN_CANCELING:
                    facts.terminations.append(Termination(run_id, entry.timestamp, frozenset({chain.place.number})))
                elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    facts.evaluated.append(gather.evaluated(event, chain.place.number, entry.timestamp, run_id))
                else:
                    facts.step_errors.append(gather.step_error(event, chain.place.number, entry.timestamp, run_id))
    return facts


def queue_facts_of(
    group: QueueGroup, facts: Facts, chains: Sequence[Chain], runs: Sequence[SandboxRun], anchor: Anchor
) -> QueueFacts:
    """Returns what the queue has done, from the other facts and the sandbox's runs."""
    places = {place.target: place for place in group.places}
    starters = {record.run_id: record.dagster_run for record in facts.ledger_records if record.entry == "started"}
    re_executed = {dagster_run for chain in chains for dagster_run in chain.dagster_runs[:-1]}
    errors = defaultdict[str, list[StepError]](list)
    for error in facts.step_errors:
        errors[error.dagster_run].append(error)
    found = QueueFacts(limits={asset_of(group.number, slot): slot.limit for slot in QUEUE_SLOTS if slot.limit})
    for chain in chains:
        if chain.request is None:
            continue
        started_by = [one for one in chains if one.request is None and one.requesters & set(chain.dagster_runs)]
        unknown = [one for one in (chain, *started_by) if one.last_error == UNKNOWN]
        found.requested.append(
            Requested(
                chain.request.number,
                chain.place.asset,
                chain.place.partition,
                chain.request.variant,
                chain.at,
                asked=len(chain.dagster_runs) + sum(len(one.dagster_runs) for one in started_by),
                explained_by=UNKNOWN if unknown else "",
            )
        )
    for run in runs:
        place = next(
            (places[part] for part in (run.target_id, run.target_id.rpartition("/")[2]) if part in places), None
        )
        if place is None:
            continue
        start = QueuedStart(
            run.id,
            place.asset,
            place.partition,
            _variant(run, place),
            anchor.to_real(run.created_at),
            None if run.ended_at is None else anchor.to_real(run.ended_at),
            gather.outcome(run),
        )
        told = any(error.kind == UNKNOWN and place.target in error.text for error in facts.step_errors)
        found.starts.append(
            replace(
                start, was_re_executed=starters.get(run.id) in re_executed, is_unknown=run.id not in starters and told
            )
        )
        for of_one in errors.values():
            if any(error.kind in _OF_REMOTE_RUN and run.id in error.text for error in of_one):
                found.failures.append((place.asset, place.partition, run.id))
    by_number = {place.number: place for place in group.places}
    for one in facts.materialized:
        place = by_number[one.number]
        found.reported.append((place.asset, place.partition, one.run_id or ""))
    return found


def _requested(place: Place, group: QueueGroup) -> RequestedMaterialization:
    slot = place.slot
    checks = (RUN_STATUS, *slot.kind.run_class.data_checks)
    return RequestedMaterialization(
        place.number,
        slot.kind.name,
        place.target,
        (0.0,),
        checks=tuple((name, slot.has_gate and name != RUN_STATUS) for name in checks),
        judged_by=slot.kind.judged_by if slot.has_gate else "",
        finds_bad_data=tuple(finds_bad_data(behavior, slot) for behavior in group.behaviors[place.target]),
        partitions=(place.partition,),
    )


def _variant(run: SandboxRun, place: Place) -> str:
    fields = run.body.get(place.slot.field) if isinstance(run.body, dict) and place.slot.field else None
    return str(fields.get("variant", "")) if isinstance(fields, dict) else ""


def _ledger_records(
    instance: dg.DagsterInstance, asset: str, by_key: Mapping[tuple[str, str], int]
) -> Iterator[LedgerRecord]:
    records = instance.fetch_observations(dg.AssetKey(asset), limit=_PAGE, ascending=True).records
    for record in records:
        entry, observation = LedgerEntry.from_event(record), record.asset_observation
        assert observation is not None
        if entry is None or entry.kind is EntryKind.PROGRESS or (asset, observation.partition or "") not in by_key:
            continue  # one about the sensor's admissions has no partition of the asset
        attached = observation.metadata.get("dagster_runs/attached")
        of_request = LedgerRecord(
            number=by_key[asset, observation.partition or ""],
            entry=entry.kind.value,
            at=record.timestamp,
            dagster_run=record.run_id,
            correlation_id=entry.correlation_id,
            run_id=entry.run_id,
            attached=bool(attached and attached.value),
        )
        yield of_request
        attempt = (entry.queue or {}).get("attempt")
        if entry.kind is EntryKind.QUEUED and attempt not in (None, entry.correlation_id):
            yield replace(of_request, correlation_id=str(attempt))  # the start that became the request


def _materialized(
    instance: dg.DagsterInstance, asset: str, by_key: Mapping[tuple[str, str], int]
) -> Iterator[Materialized]:
    for record in instance.fetch_materializations(dg.AssetKey(asset), limit=_PAGE, ascending=True).records:
        assert record.asset_materialization is not None
        known = record.asset_materialization.metadata.get(RUN_ID_KEY)
        yield Materialized(
            by_key[asset, record.partition_key or ""],
            str(known.value) if known else None,
            record.timestamp,
            record.run_id,
            record.partition_key,
            record.storage_id,
        )


def _evaluated_without_run(
    instance: dg.DagsterInstance, asset: str, name: str, by_key: Mapping[tuple[str, str], int]
) -> Iterator[Evaluated]:
    """Yields the evaluations that the sensor has returned. It stores further ones as events of Dagster runs."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE):
        event = record.event.dagster_event if record.event is not None and not record.event.run_id else None
        if record.event is not None and event is not None:
            number = by_key[asset, event.asset_check_evaluation_data.partition or ""]
            yield gather.evaluated(event, number, record.event.timestamp, record.event.run_id)
