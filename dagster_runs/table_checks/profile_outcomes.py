"""Judges the profile of one table, and shows it as metadata. Pure functions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.metadata_size import MAX_METADATA_BYTES, size_of
from dagster_runs.remote_run.table_profiles import ColumnProfile, DataIssue, TableProfile
from dagster_runs.remote_run.tables import Cell, numbers, shortened, table_entries
from dagster_runs.remote_run.types import CheckOutcome
from dagster_runs.table_checks.outcomes import worst_of

ROW_COUNT_KEY, COLUMN_SCHEMA_KEY = "dagster/row_count", "dagster/column_schema"
DEFAULT_SEVERITY: Mapping[str, str] = {"definite": "ERROR", "likely": "WARN"}
NOT_PROFILED = "the run did not profile it"
NOT_COUNTED = "the run reports no number of rows for it"
_LIKELIHOODS = ("definite", "likely", "possible")
_UNKNOWN_TYPE = "unknown"
_MAX_TAG = 63


def kind_of(issue: DataIssue) -> str:
    """Returns how an issue counts. An unknown likelihood counts as ``likely``, never as none."""
    return issue.likelihood if issue.likelihood in _LIKELIHOODS else "likely"


def why_not_profiled(profiles: Sequence[TableProfile]) -> str | None:
    """Returns why profiles say nothing about the data; ``None`` if they do. An issue always says something."""
    if not profiles:
        return NOT_PROFILED
    if any(kind_of(issue) in DEFAULT_SEVERITY for one in profiles for issue in one.issues):
        return None
    uncounted = [one for one in profiles if one.row_count is None]
    return NOT_COUNTED if uncounted else None


def outcome_of(
    name: str, profiles: Sequence[TableProfile], severity: Mapping[str, dg.AssetCheckSeverity], *, prefix: str
) -> CheckOutcome:
    """Returns the outcome of the check of an asset on the profiles of its tables.

    Args:
        name: The check's name.
        profiles: The profiles.
        severity: The severity of each kind of issue that fails the check.
        prefix: The first part of the keys of the metadata.
    """
    counts = Counter(kind_of(issue) for one in profiles for issue in one.issues)
    severities = [severity[kind] for kind in severity if counts[kind]]
    columns = [column for one in profiles for column in one.columns]
    return CheckOutcome(
        name,
        passed=not severities,
        severity=worst_of(severities),
        description=", ".join(f"{counts[kind]} {kind}" for kind in _LIKELIHOODS) + " issues",
        metadata={
            **numbers(prefix, {f"hygiene_{kind}": counts[kind] for kind in _LIKELIHOODS}),
            **issues_table(f"{prefix}/hygiene_issues", profiles),
            **_pii(columns, prefix),
        },
    )


def issues_table(key: str, profiles: Sequence[TableProfile], *, with_table: bool = False) -> dict[str, Any]:
    """Returns a table of all issues, worst first, as metadata; empty if there are none.

    Args:
        key: The key of the table.
        profiles: The profiles.
        with_table: Whether the profiles are of several tables.
    """
    found = [(one, issue) for one in profiles for issue in one.issues]
    found.sort(key=lambda pair: _LIKELIHOODS.index(kind_of(pair[1])))
    rows: list[dict[str, Cell]] = [
        {
            **({"table": shortened(str(one.table))} if with_table else {}),
            "likelihood": issue.likelihood or "unknown",
            "column": shortened(issue.column),
            "issue": issue.name,
            "detail": issue.detail,
            "dimension": issue.dimension,
        }
        for one, issue in found
    ]
    return table_entries(key, rows) if rows else {}


def _pii(columns: Sequence[ColumnProfile], prefix: str) -> dict[str, Any]:
    personal = [column for column in columns if column.pii or column.potential_pii]
    rows: list[dict[str, Cell]] = [
        {"column": column.name, "flag": column.pii, "potential_pii": column.potential_pii} for column in personal
    ]
    shown = numbers(prefix, {"pii_columns": len(rows)})
    return shown | table_entries(f"{prefix}/pii", rows) if rows else shown


def observed_metadata(profile: TableProfile, prefix: str) -> dict[str, Any]:
    """Returns what an observation of the asset of a table shows, as far as it is known.

    Args:
        profile: The profile of the table.
        prefix: The first part of the keys of tags and of metadata of our own.
    """
    columns = [column for column in profile.columns if column.name]
    shown: dict[str, Any] = {f"{prefix}/table": dg.MetadataValue.text(str(profile.table))}
    if profile.row_count is not None:
        shown[ROW_COUNT_KEY] = dg.MetadataValue.int(profile.row_count)
    schema = dg.MetadataValue.table_schema(
        dg.TableSchema(
            columns=[dg.TableColumn(one.name, one.type or _UNKNOWN_TYPE, tags=_tags(one, prefix)) for one in columns]
        )
    )
    # A part of the columns would look like all of them.
    if columns and size_of(schema) < MAX_METADATA_BYTES // 2:
        shown[COLUMN_SCHEMA_KEY] = schema
    return shown | numbers(
        prefix,
        {
            "column_count": len(columns),
            "pii_columns": sum(bool(one.pii) for one in columns),
            "critical_columns": sum(one.is_critical for one in columns),
        },
    )


def _tags(column: ColumnProfile, prefix: str) -> dict[str, str]:
    tags = {f"{prefix}/pii": re.sub(r"[^A-Za-z0-9_.-]", "_", column.pii)[:_MAX_TAG]} if column.pii else {}
    if column.is_critical:
        tags[f"{prefix}/critical_data_element"] = "true"
    return tags
