"""What the UI shows of a remote run: metadata and check results."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from dagster_runs.remote_run.contract import CheckOutcome, RemoteRun, RunResult
from dagster_runs.remote_run.gate import QualityGate
from dagster_runs.remote_run.ledger import ATTACHED_KEY, RUN_ID_KEY
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.step import Step

RUN_STATUS = "run_status"
_RUN_STATUS_DESCRIPTION = "Whether the vendor says that the run succeeded."


def check_specs(
    run_class: type[RemoteRun[Any]], asset: dg.AssetKey, gate: QualityGate | None
) -> list[dg.AssetCheckSpec]:
    """The checks that a run of this kind reports on ``asset``."""
    # run_status need not block: a run that did not succeed fails its step, which holds everything downstream back.
    specs = [dg.AssetCheckSpec(RUN_STATUS, asset=asset, description=_RUN_STATUS_DESCRIPTION)]
    for name, description in run_class.data_checks.items():
        blocking = gate is not None and gate.blocking
        specs.append(dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking))
    return specs


def run_metadata(
    run: RemoteRun[Any], run_id: str, *, url: str | None, attached: bool, status: RunStatus | None = None
) -> dict[str, Any]:
    """The entries that every run has. Numbers are numbers, so that Dagster plots them."""
    entries: dict[str, Any] = {}
    if status is not None:
        entries["dagster_runs/state"] = dg.MetadataValue.text(status.state.value)
        if status.error:
            entries["dagster_runs/error"] = dg.MetadataValue.text(status.error)
    if url is not None and urlsplit(url).scheme in ("http", "https"):
        entries["dagster_runs/url"] = dg.MetadataValue.url(url)
    entries[RUN_ID_KEY] = dg.MetadataValue.text(run_id)
    if status is not None:
        # A vendor without a start time tells at least when it took the run on; of a queued run that is no start yet.
        begun = status.started_at or (status.created_at if status.state.is_final else None)
        entries.update(_time("dagster_runs/started_at", begun))
        entries.update(_time("dagster_runs/finished_at", status.finished_at))
        if status.duration_seconds is not None:
            entries["dagster_runs/duration_seconds"] = dg.MetadataValue.float(round(status.duration_seconds, 3))
    entries["dagster_runs/vendor"] = dg.MetadataValue.text(run.vendor)
    entries[ATTACHED_KEY] = dg.MetadataValue.bool(attached)
    return entries


def _time(name: str, time: datetime | None) -> dict[str, Any]:
    return {} if time is None else {name: dg.MetadataValue.timestamp(time)}


def run_status_outcome(run: RemoteRun[Any], run_id: str, status: RunStatus) -> CheckOutcome:
    """Outcome of the ``run_status`` check."""
    # The vendor's own words are metadata, which is shown as text; Dagster renders descriptions as markdown.
    words = {"run_id": run_id, "word": status.word, "error": status.error or None}
    return CheckOutcome(
        RUN_STATUS,
        passed=status.state is RunState.SUCCEEDED,
        description=f"The {run.vendor} {run.label} ended {status.plain_word}",
        metadata={name: dg.MetadataValue.text(word) for name, word in words.items() if word is not None},
    )


def check_results(step: Step, outcomes: Sequence[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
    """The outcomes as check results on every asset of the step that declares such a check."""
    for outcome in outcomes:
        for key in step.asset_keys:
            if dg.AssetCheckKey(key, outcome.name) in step.check_keys:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=outcome.name,
                    passed=outcome.passed,
                    severity=outcome.severity,
                    description=outcome.description,
                    metadata=dict(outcome.metadata),
                )


def materializations(
    step: Step, metadata: Mapping[str, Any], result: RunResult, status: CheckOutcome
) -> Iterator[dg.MaterializeResult[Any]]:
    """A good run's result: every asset of the step, with its checks."""
    checks = list(check_results(step, [status, *result.checks]))
    for key in step.asset_keys:
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={**result.metadata, **metadata},
            check_results=[check for check in checks if check.asset_key == key],
        )
