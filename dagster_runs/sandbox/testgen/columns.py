"""The profiles of columns, as the newer TestGen lists them."""

from __future__ import annotations

from typing import Any

from dagster_runs.sandbox.testgen import samples
from dagster_runs.sandbox.testgen.samples import Findings, Row, filter_rows

SORTS = ("hygiene_severity", "table")
"""The orders of the list. The first one is the default."""
_SEVERITIES = (
    *(("hygiene_issues", name) for name in samples.LIKELIHOODS),
    *(("potential_pii", name) for name in samples.RISKS),
)
_TYPES = {
    "alpha": ("Attribute", "character varying(50)", "varchar(50)"),
    "numeric": ("Measurement", "integer", "integer"),
    "datetime": ("Transactional Date", "timestamp without time zone", "timestamp"),
    "boolean": ("Boolean", "boolean", "boolean"),
}
"""For each general type: the functional type, the type in the database, and the suggested one."""


def render_columns(findings: Findings, sort: str) -> list[dict[str, Any]]:
    """Returns the profiles of all columns.

    Args:
        findings: The findings of a completed run.
        sort: One of `SORTS`.
    """
    rows = [_render_column(findings, row) for row in findings.columns]
    if sort == "table":
        return sorted(rows, key=lambda row: (row["schema_name"] or "", row["table_name"] or ""))
    return sorted(rows, key=lambda row: [-row["issue_counts"][group][name] for group, name in _SEVERITIES])


def _render_column(findings: Findings, specified: Row) -> dict[str, Any]:
    location = {"table_name": specified["table_name"], "column_name": specified["column_name"]}
    pii = filter_rows(findings.pii, location)
    is_id = str(specified["column_name"]).endswith("_id")
    records = specified["record_ct"]
    functional, in_database, suggested = _TYPES.get(specified["general_type"], (None, None, None))
    row = {
        "schema_name": samples.SCHEMA,
        **location,
        "general_type": specified["general_type"],
        "functional_data_type": "ID" if is_id else functional,
        "db_data_type": in_database,
        "datatype_suggestion": suggested,
        "pii_flag": pii[0]["pii_risk"] if pii else None,
        "critical_data_element": is_id,
        "record_ct": records,
        "null_value_ct": 0,
        "distinct_value_ct": records if is_id or records is None else min(records, 12),
        "filled_value_ct": 0,
        "profiling_score": 1.0,
        "testing_score": 1.0,
        "issue_counts": Findings.count_issues(filter_rows(findings.issues, location), pii),
    }
    return {**row, **specified}
