"""The outcome of each asset in a Dagster run, from Dagster's own events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class Outcome:
    """The outcome of one asset.

    Attributes:
        key: The key of the asset.
        materialized: Whether the asset was materialized.
        metadata: The metadata of its materialization; empty if there is none.
        checks: The results of its checks.
        blocked_by: The upstream assets whose failed blocking checks prevented its materialization.
        error: Why its step failed, unless its own blocking checks were the reason.
        is_external: Whether Dagster only checks the asset, and something else materializes it.
    """

    key: dg.AssetKey
    materialized: bool
    metadata: Mapping[str, Any]
    checks: Sequence[dg.AssetCheckEvaluation]
    blocked_by: Sequence[dg.AssetKey]
    error: str | None
    is_external: bool = False

    @property
    def is_as_expected(self) -> bool:
        """Whether the outcome is as intended: bad data *should* block downstream assets."""
        return self.materialized or self.is_external or bool(self.blocked_by)


def outcomes(job: dg.JobDefinition, result: dg.ExecuteInProcessResult) -> list[Outcome]:
    """Returns the outcome of every asset that the job can materialize or has checked, upstream assets first."""
    graph = job.asset_layer.asset_graph
    to_materialize = graph.materializable_asset_keys
    materialized: dict[dg.AssetKey, dg.AssetMaterialization] = {}
    # By name, so that the last attempt of a retried step counts.
    checks: dict[dg.AssetKey, dict[str, dg.AssetCheckEvaluation]] = {}
    errors: dict[str, str] = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key is not None:
            materialized[event.asset_key] = event.step_materialization_data.materialization
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            checks.setdefault(check.asset_key, {})[check.check_name] = check
        elif event.is_step_failure and event.step_key is not None and (error := _error(event)):
            errors[event.step_key] = error
    blocking = {key for key, found in checks.items() if any(_blocks(one) for one in found.values())}
    return [
        Outcome(
            key=key,
            materialized=key in materialized,
            metadata={name: entry.value for name, entry in materialized[key].metadata.items()}
            if key in materialized
            else {},
            checks=list(checks.get(key, {}).values()),
            blocked_by=() if key in materialized else sorted(graph.get_ancestor_asset_keys(key) & blocking),
            error=errors.get(graph.assets_def_for_key(key).node_def.name) if key in to_materialize else None,
            is_external=key not in to_materialize,
        )
        for key in graph.toposorted_asset_keys
        if key in to_materialize or key in checks
    ]


def _blocks(check: dg.AssetCheckEvaluation) -> bool:
    return bool(check.blocking) and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR


def _error(event: dg.DagsterEvent) -> str | None:
    failure = event.step_failure_data
    if failure.error is not None and "Failed blocking checks" in failure.error.to_string():
        return None  # the table shows the checks
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:  # Dagster wraps the asset's exception
        error = error.cause
    if error is None:
        return None
    return error.message.strip()
