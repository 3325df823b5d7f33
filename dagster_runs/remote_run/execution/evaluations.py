"""Converts check outcomes to Dagster check evaluations, each for the right partition and materialization."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import evaluation, is_partitioned, newest_evaluations
from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY, STARTED_AT_KEY, events, reported_run
from dagster_runs.remote_run.metadata_size import once_for_partitions
from dagster_runs.remote_run.types import CheckOutcome

AssetPartition = tuple[dg.AssetKey, str | None]
"""An asset and its partition; ``None`` for an asset without partitions."""

RunAndPartition = tuple[str, str | None]
"""The id of a remote run, and a partition that the run materializes."""

_PARTITIONS_PER_QUERY = 500
_IDENTIFYING = (RUN_ID_KEY, "dagster_runs/url", STARTED_AT_KEY)


def identifying_metadata(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of a run that each evaluation of a check on a table has too."""
    return {name: shown[name] for name in _IDENTIFYING if name in shown}


def checks_digest(checks: Iterable[dg.AssetCheckKey]) -> str:
    """Returns a short text that is different for other checks."""
    names = sorted(f"{check.asset_key.to_user_string()} {check.name}" for check in checks)
    return sha256("\n".join(names).encode()).hexdigest()[:16]


def evaluations(
    specs: Iterable[dg.AssetCheckSpec],
    asset_partitions: Sequence[AssetPartition],
    outcomes: Sequence[CheckOutcome],
    judged: Mapping[AssetPartition, dg.EventLogRecord],
    last_of: Mapping[dg.AssetKey, str | None] | None = None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yields an evaluation of each declared check, and one for each partition if the check has partitions.

    Big metadata, such as a table, is only in the evaluation of the last partition.

    Args:
        specs: The declared checks.
        asset_partitions: The assets and partitions that the run materializes.
        outcomes: The check outcomes of the run.
        judged: The materialization that each evaluation is about, by asset and partition. Pairs without a
            materialization are missing.
        last_of: The last partition of the run, by asset; ``None`` if ``asset_partitions`` has all of its partitions.
    """
    declared = {spec.key: spec for spec in specs}
    # An unpartitioned check of a partitioned asset is evaluated once, for the last partition.
    last_of = dict(asset_partitions) if last_of is None else last_of
    of_others: dict[tuple[str, str | None], dict[str, Any]] = {}
    for key, partition in asset_partitions:
        for outcome in outcomes:
            spec = declared.get(dg.AssetCheckKey(key, outcome.name))
            if spec is None or (not is_partitioned(spec) and partition != last_of[key]):
                continue
            last = last_of[key]
            if partition == last:
                metadata = dict(outcome.metadata)
            else:
                if (outcome.name, last) not in of_others:
                    of_others[outcome.name, last] = once_for_partitions(outcome.metadata, last)
                metadata = of_others[outcome.name, last]
            yield evaluation(
                spec,
                judged=judged.get((key, partition)),
                partition=partition,
                passed=outcome.passed,
                severity=outcome.severity,
                description=outcome.description,
                metadata=metadata,
            )


def materializations_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, wanted: Collection[RunAndPartition]
) -> dict[RunAndPartition, dg.EventLogRecord]:
    """Returns the asset's materializations that report the wanted remote runs; the newest one for each.

    Args:
        instance: The Dagster instance.
        key: The asset.
        wanted: Remote run ids and partitions. Reading stops when all are found.
    """
    found: dict[RunAndPartition, dg.EventLogRecord] = {}
    partitions = list(dict.fromkeys(partition for _, partition in wanted))
    if None in partitions:
        _find(instance, dg.AssetRecordsFilter(key), set(wanted), found)
        return found
    partition_keys = [partition for partition in partitions if partition is not None]
    for first in range(0, len(partition_keys), _PARTITIONS_PER_QUERY):
        chunk = partition_keys[first : first + _PARTITIONS_PER_QUERY]
        missing = {one for one in wanted if one[1] in set(chunk)}
        _find(instance, dg.AssetRecordsFilter(key, chunk), missing, found)
    return found


def _find(
    instance: dg.DagsterInstance,
    wanted: dg.AssetRecordsFilter,
    missing: set[RunAndPartition],
    found: dict[RunAndPartition, dg.EventLogRecord],
) -> None:
    for record in events(instance.fetch_materializations, wanted):
        one = (reported_run(record) or "", record.partition_key)
        if one in missing:
            missing.remove(one)
            found[one] = record
            if not missing:
                return


def newest_materializations(
    instance: dg.DagsterInstance, asset_partitions: Iterable[AssetPartition]
) -> dict[AssetPartition, dg.EventLogRecord]:
    """Returns the newest materialization of each asset and partition that has one."""
    found: dict[AssetPartition, dg.EventLogRecord] = {}
    for key, partition in asset_partitions:
        wanted = dg.AssetRecordsFilter(key, [partition] if partition is not None else None)
        for record in instance.fetch_materializations(wanted, limit=1).records:
            found[key, partition] = record
    return found


def evaluation_target(evaluation: dg.AssetCheckEvaluation) -> tuple[dg.AssetCheckKey, int]:
    """Returns the check and the storage id of the materialization that it evaluates; 0 if the evaluation names none."""
    target = evaluation.target_materialization_data
    return evaluation.asset_check_key, target.storage_id if target is not None else 0


def stored_evaluations(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], since: float
) -> set[tuple[dg.AssetCheckKey, int]]:
    """Returns the evaluations of these checks that were stored without a Dagster run since a point in time.

    Args:
        instance: The Dagster instance.
        checks: The checks.
        since: Epoch seconds by the machine's clock.

    Returns:
        Each evaluation in the form of `evaluation_target`.
    """
    return {evaluation_target(one) for check in checks for one in newest_evaluations(instance, check, since)}
