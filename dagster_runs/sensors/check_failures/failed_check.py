"""`FailedCheck`, which describes one failed evaluation of an asset check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import StoredEvaluation, partition_of
from dagster_runs.sensors.run_requests import Occasion

FAILED_CHECK_TAG = "dagster_runs/failed_check"
SEVERITY_TAG = "dagster_runs/severity"


@dataclass(frozen=True)
class FailedCheck:
    """An evaluation of an asset check that did not pass.

    Attributes:
        asset_key: The asset.
        check_name: The name of the check.
        partition: The partition that was evaluated; ``None`` for a check without partitions.
        severity: ``WARN`` or ``ERROR``.
        description: The evaluation's own description.
        metadata: The evaluation's metadata.
        dagster_run_id: The Dagster run that evaluated the check; ``None`` if a sensor or an API call reported it.
        materialization_id: The storage id of the materialization that was evaluated; ``None`` if the evaluation names
            none.
        timestamp: Epoch seconds at which the evaluation was reported.
    """

    asset_key: dg.AssetKey
    check_name: str
    partition: str | None
    severity: dg.AssetCheckSeverity
    description: str | None
    metadata: Mapping[str, dg.MetadataValue[Any]]
    dagster_run_id: str | None
    materialization_id: int | None
    timestamp: float

    @property
    def check_key(self) -> dg.AssetCheckKey:
        """The key of the check."""
        return dg.AssetCheckKey(self.asset_key, self.check_name)

    @property
    def check_id(self) -> str:
        """The check in one line: the asset's key as the UI shows it, a colon, and the check's name."""
        return f"{self.asset_key.to_user_string()}:{self.check_name}"


def failed_check(stored: StoredEvaluation) -> FailedCheck:
    """Returns the description of a stored evaluation."""
    evaluation = stored.evaluation
    target = evaluation.target_materialization_data
    return FailedCheck(
        asset_key=evaluation.asset_key,
        check_name=evaluation.check_name,
        partition=partition_of(evaluation),
        severity=evaluation.severity,
        description=evaluation.description,
        metadata=evaluation.metadata,
        dagster_run_id=stored.dagster_run_id or None,
        materialization_id=target.storage_id if target is not None else None,
        timestamp=stored.timestamp,
    )


def occasion_of(failed: FailedCheck) -> Occasion:
    """Returns what a requested run follows. Its run key identifies the evaluation.

    The key contains the evaluation's time rather than the id of Dagster's record: if a step is retried, its Dagster run
    evaluates the check again, and the record has both evaluations one after the other.
    """
    evaluated_by = failed.dagster_run_id or "without a run"
    of_partition = f" of {failed.partition}" if failed.partition is not None else ""
    return Occasion(
        subject=failed,
        name=f"the failed check {failed.check_id}{of_partition}",
        run_key=f"failed {failed.check_id}{of_partition} {evaluated_by} {failed.timestamp!r}",
        partitions=(failed.partition,) if failed.partition is not None else (),
        tags={FAILED_CHECK_TAG: failed.check_id, SEVERITY_TAG: failed.severity.value},
    )
