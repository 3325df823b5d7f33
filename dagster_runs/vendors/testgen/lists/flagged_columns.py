"""The columns in which a profiling run has found definite issues or potential PII, and the calls that this needs."""

import logging
from collections.abc import Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.tables import MAX_ROWS, Cell, shortened, table_entries
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen import outcomes
from dagster_runs.vendors.testgen.lists.models import ColumnFinding, ColumnFindingPage
from dagster_runs.vendors.testgen.models import ProfilingResult
from dagster_runs.vendors.testgen.resource import TestGenResource

_TABLE = "testgen/flagged_columns"
_RISKS = ("high", "moderate")
_logger = logging.getLogger(__name__)


def with_flagged_columns(
    resource: TestGenResource,
    run_id: str,
    result: ProfilingResult | None,
    checks: Sequence[CheckOutcome],
    name: str | None = None,
) -> RunResult:
    """Returns the result of a profiling run, with a table of the columns that have definite issues or potential PII.

    Needs two calls at most, and none if the counts say that there is nothing to list. Servers before 5.92 have no such
    lists, and an unavailable list must not fail the materialization.

    Args:
        resource: The connection to the server.
        run_id: The run.
        result: The counts and the score.
        checks: The outcomes of the run's checks.
        name: The name of the table group.
    """
    metadata = outcomes.profiling_run_metadata(result)
    issues = result.issues if result is not None else None
    if issues is None:
        return RunResult(metadata, checks, target_name=name)
    definite = _list(resource, run_id, "hygiene-issues", likelihood="definite") if issues.definite else []
    pii_count = (issues.pii_high or 0) + (issues.pii_moderate or 0)
    pii = _list(resource, run_id, "potential-pii") if pii_count else []
    table = _table(definite, pii)
    if table and max(issues.definite, pii_count) > MAX_ROWS:
        shown, total = len(definite) + len(pii), issues.definite + pii_count
        table[f"{_TABLE}_left_out"] = dg.MetadataValue.text(f"{total - shown} of {total} findings are left out")
    return RunResult(metadata | table, checks, target_name=name)


def _list(resource: TestGenResource, run_id: str, name: str, **filters: str) -> list[ColumnFinding]:
    """GET ``/profiling-runs/{id}/hygiene-issues`` or ``/potential-pii``: the first findings, as many as a table has."""
    try:
        params: dict[str, str | int] = {**filters, "page": 1, "limit": MAX_ROWS}
        return list(resource.http().get(["profiling-runs", run_id, name], params=params).parse(ColumnFindingPage).items)
    except VendorError as error:
        _logger.info("The list of %s of run %s is unavailable: %s", name, run_id, error)
        return []


def _table(definite: Sequence[ColumnFinding], pii: Sequence[ColumnFinding]) -> dict[str, Any]:
    found: dict[str, tuple[dict[str, None], set[str]]] = {}
    for one in definite:
        issue = one.issue_type_name or one.issue_type or "unnamed"
        found.setdefault(one.where, ({}, set()))[0][issue] = None
    for one in pii:
        found.setdefault(one.where, ({}, set()))[1].add((one.pii_risk or "unknown").strip().lower())
    rows: list[dict[str, Cell]] = [
        {
            "column": shortened(where),
            "definite issues": ", ".join(names),
            "potential PII": next((risk for risk in _RISKS if risk in risks), "unknown" if risks else ""),
        }
        for where, (names, risks) in found.items()
    ]
    return table_entries(_TABLE, rows) if rows else {}
