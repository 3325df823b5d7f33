"""The Dagster events of a remote run: metadata, check results and materializations."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from dagster_runs.dagster_private import HAS_PARTITIONED_CHECKS, check_spec
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_checks import described
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.evaluations import (
    AssetPartition,
    evaluations,
    materializations_of,
    newest_materializations,
)
from dagster_runs.remote_run.execution.event_log import ATTACHED_KEY, FINISHED_AT_KEY, RUN_ID_KEY, STARTED_AT_KEY
from dagster_runs.remote_run.execution.provenance import Provenance
from dagster_runs.remote_run.metadata_size import big_entries, limited, once_for_partitions
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import CheckOutcome

RUN_STATUS = "run_status"
_RUN_STATUS_DESCRIPTION = "Whether the vendor reports that the run succeeded."


def check_specs(
    run: RemoteRun[Any] | type[RemoteRun[Any]],
    asset: dg.AssetKey,
    gate: QualityGate | None,
    partitions_def: dg.PartitionsDefinition[Any] | None = None,
) -> list[dg.AssetCheckSpec]:
    """Returns the specs of the checks that a run reports on ``asset``.

    Args:
        run: The run, or its class if the checks do not depend on its fields.
        asset: The asset.
        gate: How quality results are judged.
        partitions_def: The asset's partitions. Its checks have the same ones, if Dagster has partitioned checks.

    Raises:
        DagsterInvalidDefinitionError: The gate blocks, and Dagster has no partitioned checks; or the checks depend on
            the fields of a run, and only the class is known.
    """
    blocking = gate is not None and gate.blocking
    if blocking and partitions_def is not None and not HAS_PARTITIONED_CHECKS:
        raise dg.DagsterInvalidDefinitionError(
            f"{asset.to_user_string()} has partitions and a blocking gate, but Dagster {dg.__version__} has no "
            "partitioned checks: a partition that fails would stop blocking downstream assets as soon as another "
            "partition passes. Upgrade to Dagster 1.13 or later, or use QualityGate(blocking=False)."
        )
    # run_status does not need to block: a run that did not succeed fails its step, which holds back everything
    # downstream.
    descriptions = {RUN_STATUS: _RUN_STATUS_DESCRIPTION, **described(run)}
    return [
        check_spec(
            name,
            partitions_def=partitions_def,
            asset=asset,
            description=description,
            blocking=blocking and name != RUN_STATUS,
        )
        for name, description in descriptions.items()
    ]


def run_metadata(
    run: RemoteRun[Any], run_id: str, *, url: str | None, attached: bool, status: RunStatus | None = None
) -> dict[str, Any]:
    """Returns the metadata entries that every run has. Numbers are stored as numbers, so that Dagster plots them.

    ``dagster_runs/attached`` is only there for a run that an earlier attempt started, or that was found after a lost
    start.
    """
    entries: dict[str, Any] = {}
    if status is not None:
        entries["dagster_runs/state"] = dg.MetadataValue.text(status.state.value)
        if status.error:
            entries["dagster_runs/error"] = dg.MetadataValue.text(status.error)
    if url is not None and urlsplit(url).scheme in ("http", "https"):
        entries["dagster_runs/url"] = dg.MetadataValue.url(url)
    entries[RUN_ID_KEY] = dg.MetadataValue.text(run_id)
    if status is not None:
        # A vendor without a start time at least reports when it accepted the run. For a queued run, that is not a start
        # yet.
        started_at = status.started_at or (status.created_at if status.state.is_final else None)
        entries.update(_time(STARTED_AT_KEY, started_at))
        entries.update(_time(FINISHED_AT_KEY, status.finished_at))
        if status.duration_seconds is not None:
            entries["dagster_runs/duration_seconds"] = dg.MetadataValue.float(round(status.duration_seconds, 3))
    entries["dagster_runs/vendor"] = dg.MetadataValue.text(run.vendor)
    if attached:
        entries[ATTACHED_KEY] = dg.MetadataValue.bool(True)
    return entries


def _time(name: str, time: datetime | None) -> dict[str, Any]:
    return {} if time is None else {name: dg.MetadataValue.timestamp(time)}


def run_status_outcome(run: RemoteRun[Any], run_id: str, status: RunStatus) -> CheckOutcome:
    """Returns the outcome of the ``run_status`` check."""
    # The vendor's own status and error are metadata, which is shown as text. Dagster renders descriptions as markdown.
    texts = {"run_id": run_id, "vendor_status": status.vendor_status, "error": status.error or None}
    return CheckOutcome(
        RUN_STATUS,
        passed=status.state is RunState.SUCCEEDED,
        description=f"The {run.vendor} {run.label} {status.outcome_text}",
        metadata=limited({name: dg.MetadataValue.text(text) for name, text in texts.items() if text is not None}),
    )


def check_events(step: Step, outcomes: Sequence[CheckOutcome]) -> Iterator[Any]:
    """Yields the check results of a run that materialized nothing, for each asset that declares the check."""
    if not step.fills_a_range:
        yield from _check_results(step, outcomes)
        return
    asset_partitions = [(key, partition) for key in step.asset_keys for partition in step.partitions]
    judged = newest_materializations(step.instance, asset_partitions)  # as Dagster does for a single partition
    yield from evaluations(step.check_specs, asset_partitions, outcomes, judged)


def _check_results(step: Step, outcomes: Sequence[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
    reported = {spec.key for spec in step.check_specs}
    for outcome in outcomes:
        for key in step.asset_keys:
            if dg.AssetCheckKey(key, outcome.name) in reported:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=outcome.name,
                    passed=outcome.passed,
                    severity=outcome.severity,
                    description=outcome.description,
                    metadata=dict(outcome.metadata),
                )


def materializations(
    step: Step,
    run_id: str,
    provenance: Mapping[str, Provenance],
    metadata: Mapping[str, Any],
    outcomes: Sequence[CheckOutcome],
) -> Iterator[Any]:
    """Yields the result of a successful run: a materialization of each asset of the step, with its checks.

    Args:
        step: The step.
        run_id: The vendor's id of the run, which is the data version of what it materialized.
        provenance: What each asset was made from, according to the ledger. For other assets, Dagster's own versions
            apply.
        metadata: The metadata of the materializations.
        outcomes: The checks' outcomes.
    """
    checks = [] if step.fills_a_range else list(_check_results(step, outcomes))
    shown, last = metadata, step.last_of_range
    if last is not None:  # Dagster repeats the metadata for each partition of the range
        shown = once_for_partitions(metadata, last)
    for key in step.asset_keys_upstream_first:
        known = provenance.get(key.to_user_string())
        if last is not None and (big := big_entries(metadata)):
            step.context.add_asset_metadata(big, asset_key=key, partition_key=last)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=shown,
            data_version=dg.DataVersion(run_id),
            tags=known.tags() if known is not None else None,
            check_results=[check for check in checks if check.asset_key == key],
        )
    if step.fills_a_range:
        yield from _range_evaluations(step, run_id, outcomes)


def _range_evaluations(step: Step, run_id: str, outcomes: Sequence[CheckOutcome]) -> Iterator[Any]:
    """Yields an evaluation for each partition of a range.

    An `AssetCheckResult` of a range has no partition, and would hold back all of them.
    """
    asset_partitions = [(key, partition) for key in step.asset_keys for partition in step.partitions]
    judged: dict[AssetPartition, dg.EventLogRecord] = {}
    for key in step.asset_keys:
        stored = materializations_of(step.instance, key, [(run_id, partition) for partition in step.partitions])
        judged |= {(key, partition): record for (_, partition), record in stored.items()}
    reported = {dg.AssetCheckKey(key, outcome.name) for key in step.asset_keys for outcome in outcomes}
    for check in sorted(reported & step.check_keys):
        # Dagster does the same for an `AssetCheckResult`: downstream steps in the same run wait for these outputs.
        yield dg.Output(None, output_name=step.context.assets_def.get_output_name_for_asset_check_key(check))
    yield from evaluations(step.check_specs, asset_partitions, outcomes, judged)
