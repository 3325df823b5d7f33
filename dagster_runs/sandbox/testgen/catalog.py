"""The default suites and table groups of both simulated TestGen versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior

TEST_SUITE, TABLE_GROUP = "test_suite", "table_group"

_CONNECTION_REFUSED = (
    'Error refreshing columns for data catalog. (psycopg2.OperationalError) connection to server at "127.0.0.1", '
    "port 9 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"
)


class Entry(NamedTuple):
    """One suite or table group."""

    kind: str
    id: str
    defaults: Behavior
    fields: dict[str, Any]


def _result_row(table: str, column: str, test_type: str, measure: str, message: str, **fields: str) -> dict[str, str]:
    row = {"table_name": table, "column_names": column, "test_type": test_type}
    return {**row, "result_status": "failed", "result_measure": measure, "result_message": message, **fields}


_ORDERS_RESULTS = [
    _result_row("orders", "total_amount", "Min_Val", "3", "Values under limit: 3, Threshold: 0"),
    _result_row("orders", "customer_id", "Required", "12", "Missing values: 12, Threshold: 0"),
    _result_row("orders", "status", "LOV_Match", "7", "Non-matching records: 7, Threshold: 0"),
    _result_row("customers", "email", "Pattern_Match", "18", "Pattern mismatches: 18, Threshold: 0"),
    _result_row("customers", "customer_id", "Unique", "2", "Duplicate values: 2, Threshold: 0"),
    _result_row(
        "orders", "ordered_at", "Monthly_Rec_Ct", "1", "Missing months: 1, Threshold: 0", result_status="warning"
    ),
    _result_row(
        "customers", "country", "LOV_Match", "4", "Non-matching records: 4, Threshold: 0", result_status="warning"
    ),
]
_ISSUES = [
    {"issue_type": "1002", "likelihood": "definite", "table_name": "products", "column_name": "color"},
    {"issue_type": "1002", "likelihood": "definite", "table_name": "customers", "column_name": "phone"},
    {"issue_type": "1010", "likelihood": "likely", "table_name": "products", "column_name": "product_name"},
    {"issue_type": "1006", "likelihood": "possible", "table_name": "orders", "column_name": "discount"},
    {"issue_type": "1006", "likelihood": "possible", "table_name": "products", "column_name": "weight_kg"},
]
_PII = [
    {"pii_risk": "high", "table_name": "customers", "column_name": "birth_date"},
    {"pii_risk": "moderate", "table_name": "customers", "column_name": "email"},
    {"pii_risk": "moderate", "table_name": "customers", "column_name": "last_name"},
    {"pii_risk": "moderate", "table_name": "customers", "column_name": "phone"},
]
_BAD_SQL = '(psycopg2.errors.UndefinedColumn) column "no_such_column" does not exist'


def default_entries() -> Iterator[Entry]:
    """Yields all default suites and table groups."""
    profiling: dict[str, Any] = {
        "table_ct": 4,
        "column_ct": 37,
        "record_ct": 12_480,
        "issues": _ISSUES,
        "pii": _PII,
        "score": 0.9921,
    }
    yield _table_group_entry(well_known.TABLE_GROUP, "default", Behavior(running_seconds=10, **profiling))
    yield _table_group_entry(
        well_known.TABLE_GROUP_NO_SCHEMA,
        "nowhere",
        Behavior(running_seconds=6, score=1.0),
        schema_name="no_such_schema",
    )
    marketing: dict[str, Any] = {"table_ct": 2, "column_ct": 20, "record_ct": 2_640, "score": 1.0}
    yield _table_group_entry(well_known.TABLE_GROUP_MARKETING, "marketing", Behavior(running_seconds=8, **marketing))
    failing: dict[str, Any] = {"outcome": "fail", "error": _CONNECTION_REFUSED, "running_seconds": 6.0}
    yield _table_group_entry(
        well_known.TABLE_GROUP_DOWN, "down", Behavior(**failing), connection_id=99, connection_name="down"
    )

    yield _test_suite_entry(
        well_known.SUITE_DEFAULT,
        "default-suite-1",
        {"passed": 179, "failed": 12, "warning": 15, "error": 8},
        score=0.8395487305178113,
        running_seconds=12,
    )
    yield _test_suite_entry(
        well_known.SUITE_FEATURES,
        "user_features",
        {"passed": 64},
        score=0.9981,
        tables=["customers", "products", "user_features"],
    )
    yield _test_suite_entry(
        well_known.SUITE_ORDERS,
        "orders",
        {"passed": 41, "failed": 5, "warning": 2},
        score=0.8713,
        tables=["customers", "orders"],
        results=_ORDERS_RESULTS,
    )
    for suite_id, name, counts, table in (
        (well_known.SUITE_MARKETING_CUSTOMERS, "marketing_customers", {"passed": 18}, "customers"),
        (well_known.SUITE_MARKETING_PRODUCTS, "marketing_products", {"passed": 22, "warning": 1}, "products"),
        (well_known.SUITE_MARKETING_DRAFT, "marketing_offers_draft", {}, "products"),
    ):
        yield _test_suite_entry(
            suite_id,
            name,
            counts,
            score=round(counts.get("passed", 0) / max(sum(counts.values()), 1), 4),
            tables=[table],
            table_group_id=well_known.TABLE_GROUP_MARKETING,
        )
    yield _test_suite_entry(well_known.SUITE_SLOW, "slow", {"passed": 1}, score=1.0, running_seconds=40)
    yield _test_suite_entry(well_known.SUITE_CLEAN, "clean", {"passed": 1}, score=1.0, running_seconds=6)
    broken = {"test_type": "CUSTOM", "result_status": "error", "result_message": _BAD_SQL, "threshold_value": None}
    yield _test_suite_entry(
        well_known.SUITE_BAD_SQL, "badsql", {"error": 1}, score=1.0, results=[broken], running_seconds=6
    )
    yield _test_suite_entry(well_known.SUITE_EMPTY, "empty", {}, score=1.0, running_seconds=6)
    yield _test_suite_entry(well_known.SUITE_GENERATED, "generated", {}, score=1.0, running_seconds=6)
    entry = _test_suite_entry(well_known.SUITE_DOWN, "down", {"passed": 1}, table_group_id=well_known.TABLE_GROUP_DOWN)
    yield entry._replace(defaults=Behavior(**{**entry.defaults.as_dict(), **failing}))


def _table_group_entry(group_id: str, name: str, defaults: Behavior, **fields: Any) -> Entry:
    return Entry(TABLE_GROUP, group_id, defaults, {"name": name, **fields})


def _test_suite_entry(
    suite_id: str,
    name: str,
    counts: dict[str, int],
    *,
    running_seconds: float = 8,
    table_group_id: str = well_known.TABLE_GROUP,
    **options: Any,
) -> Entry:
    behavior = Behavior(running_seconds=running_seconds, counts=counts, **options)
    return Entry(TEST_SUITE, suite_id, behavior, {"name": name, "table_group_id": table_group_id})
