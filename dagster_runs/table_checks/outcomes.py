"""Judges the results of the tests of one table, column, type of test or single test. Pure functions."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import DataTestResult
from dagster_runs.remote_run.tables import Cell, numbers, shortened, table_entries
from dagster_runs.remote_run.types import CheckOutcome

JUDGED = ("passed", "failed", "warning")
"""The statuses of tests that judged the data."""
LOGGED = "log"
BROKEN = "error"
MAX_FAILING_ROWS = 50
DEFAULT_SEVERITY: Mapping[str, str] = {"failed": "ERROR", BROKEN: "ERROR", "warning": "WARN"}
_WORST_FIRST = ("failed", BROKEN, "warning")
_SEVERITIES = {one.value: one for one in dg.AssetCheckSeverity}


def checked_severity(
    severity: Mapping[str, str] | None, default: Mapping[str, str] = DEFAULT_SEVERITY
) -> dict[str, dg.AssetCheckSeverity]:
    """Returns the severity of each kind of result that did not pass, with the defaults for those that are left out.

    Raises:
        DagsterInvalidDefinitionError: A kind or a severity is unknown.
    """
    given = dict(severity or {})
    unknown = sorted(map(str, given.keys() - default.keys()))
    if unknown:
        raise dg.DagsterInvalidDefinitionError(
            f"severity has {', '.join(unknown)}; the results that do not pass are {', '.join(default)}"
        )
    found: dict[str, dg.AssetCheckSeverity] = {}
    for status, value in {**default, **given}.items():
        text = value.value if isinstance(value, dg.AssetCheckSeverity) else value
        if text not in _SEVERITIES:
            raise dg.DagsterInvalidDefinitionError(f"severity[{status!r}] is {value!r}; it must be 'ERROR' or 'WARN'")
        found[status] = _SEVERITIES[text]
    return found


def worst_of(severities: Collection[dg.AssetCheckSeverity]) -> dg.AssetCheckSeverity:
    """Returns the severity of a check with findings of these severities; ERROR, which is the default, without any."""
    has_only_warnings = severities and dg.AssetCheckSeverity.ERROR not in severities
    return dg.AssetCheckSeverity.WARN if has_only_warnings else dg.AssetCheckSeverity.ERROR


def kind_of(result: DataTestResult) -> str:
    """Returns how a result counts. An unknown status counts as that of a broken test, never as a success."""
    return result.status if result.status in (*JUDGED, LOGGED) else BROKEN


def count(results: Sequence[DataTestResult]) -> Counter[str]:
    """Returns the number of results by how they count."""
    return Counter(map(kind_of, results))


def why_not_tested(results: Sequence[DataTestResult]) -> str | None:
    """Returns why results say nothing about the data; ``None`` if they do. Broken tests are an error, not nothing."""
    if not results:
        return "the suite has no result for it"
    counts = count(results)
    if not any(counts[status] for status in (*JUDGED, BROKEN)):
        return "its only test just logs" if counts[LOGGED] == 1 else f"its {counts[LOGGED]} tests only log"
    return None


def outcome_of(
    name: str,
    results: Sequence[DataTestResult],
    severity: Mapping[str, dg.AssetCheckSeverity],
    *,
    prefix: str,
) -> CheckOutcome:
    """Returns the outcome of a check on some results, of which at least one says something.

    Args:
        name: The check's name.
        results: The results.
        severity: The severity of each kind of result that did not pass.
        prefix: The first part of the keys of the metadata.
    """
    counts = count(results)
    severities = [severity[kind] for kind in _WORST_FIRST if counts[kind]]
    return CheckOutcome(
        name,
        passed=not severities and any(counts[kind] for kind in JUDGED),
        severity=worst_of(severities),
        description=f"{counts['passed']} passed, {counts['failed']} failed, {counts[BROKEN]} broken, "
        f"{counts['warning']} with a warning",
        metadata=_metadata(results, counts, prefix),
    )


def _metadata(results: Sequence[DataTestResult], counts: Counter[str], prefix: str) -> dict[str, Any]:
    shown = numbers(prefix, {f"tests_{kind}": counts[kind] for kind in (*JUDGED, BROKEN, LOGGED)})
    shown |= failing_tests(f"{prefix}/failing_tests", results)
    compared = sorted({one.compared_with for one in results if one.compared_with})
    if compared:
        shown[f"{prefix}/compared_with"] = dg.MetadataValue.text(", ".join(compared))
    return shown


def failing_tests(key: str, results: Sequence[DataTestResult], *, with_table: bool = False) -> dict[str, Any]:
    """Returns a table of the tests that did not pass, worst first, as metadata; empty if all passed.

    Args:
        key: The key of the table.
        results: All results.
        with_table: Whether the results are of several tables.
    """
    failing = [one for one in results if kind_of(one) in _WORST_FIRST]
    failing.sort(key=lambda one: _WORST_FIRST.index(kind_of(one)))
    if not failing:
        return {}
    rows: list[dict[str, Cell]] = [
        {
            **({"table": shortened(str(one.test.of_table))} if with_table else {}),
            "status": one.status or "unknown",
            "column": shortened(one.test.column),
            "test": one.name or one.test.test_type,
            "measure": one.measure,
            "threshold": one.threshold,
            "message": one.message,
            "test_id": one.test.test_id,
        }
        for one in failing[:MAX_FAILING_ROWS]
    ]
    return table_entries(key, rows, total=len(failing))
