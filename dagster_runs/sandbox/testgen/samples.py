"""The findings of runs: counts, scores, result rows and issues, from a behavior or generated to match its counts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATUSES = ("passed", "failed", "warning", "error", "log")
LIKELIHOODS = ("definite", "likely", "possible")
RISKS = ("high", "moderate")
SCHEMA = "demo"

# For each table: the number of records, and the general types of its columns.
TABLES: dict[str, tuple[int, dict[str, str]]] = {
    "customers": (
        2_400,
        {
            "customer_id": "numeric",
            "email": "alpha",
            "first_name": "alpha",
            "last_name": "alpha",
            "phone": "alpha",
            "birth_date": "datetime",
            "gender": "alpha",
            "country": "alpha",
            "postal_code": "alpha",
            "segment": "alpha",
            "created_at": "datetime",
            "marketing_opt_in": "boolean",
        },
    ),
    "orders": (
        8_640,
        {
            "order_id": "numeric",
            "customer_id": "numeric",
            "product_id": "numeric",
            "ordered_at": "datetime",
            "status": "alpha",
            "quantity": "numeric",
            "unit_price": "numeric",
            "discount": "numeric",
            "total_amount": "numeric",
            "currency": "alpha",
            "shipped_at": "datetime",
        },
    ),
    "products": (
        240,
        {
            "product_id": "numeric",
            "product_name": "alpha",
            "category": "alpha",
            "brand": "alpha",
            "price": "numeric",
            "weight_kg": "numeric",
            "color": "alpha",
            "launched_on": "datetime",
        },
    ),
    "user_features": (
        1_200,
        {
            "user_main_id": "alpha",
            "days_since_last_order": "numeric",
            "order_count": "numeric",
            "lifetime_value": "numeric",
            "preferred_category": "alpha",
            "churn_risk": "numeric",
        },
    ),
}

TEST_TYPES = {
    "CUSTOM": ("Custom Test", "Failing records"),
    "Required": ("Required Entry", "Missing values"),
    "Unique": ("Unique Values", "Duplicate values"),
    "LOV_Match": ("Value Match", "Non-matching records"),
    "Min_Val": ("Minimum Value", "Values under limit"),
    "Pattern_Match": ("Pattern Match", "Pattern mismatches"),
    "Monthly_Rec_Ct": ("Monthly Records", "Missing months"),
}
ISSUE_TYPES = {
    "1002": ("Non-Standard Blank Values", "usability", "Dummy Values: 5, Empty String: 0, Null: 0, Records: 240"),
    "1006": ("No Column Values Present", "conformance", "Null: 240, Dummy: 0, Zero Len: 0"),
    "1010": ("Quoted Values Found in Column Values", "usability", "Cases Found: 11"),
}
_ISSUE_TYPE_BY_LIKELIHOOD = dict(zip(LIKELIHOODS, ("1002", "1010", "1006"), strict=True))
_PII_TYPES = ("CONTACT/Email", "NAME/Individual", "DEMO/Demographic", "CONTACT/Address")

MATCH_FIELDS = ("match_schema_name", "match_table_name")
"""The fields of a specified result that only the export of its test shows: the table that it is compared with."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Findings:
    """All findings of a completed run.

    Attributes:
        counts: The counts of test results.
        score: The score from 0 to 1, or None if the run never gets one.
        sizes: The sizes of the profiled tables.
        results: The rows of test results.
        issues: The rows of hygiene issues.
        pii: The rows of potential PII.
        issue_counts: The counts of `issues` and `pii`, in the newer shape.
        columns: The profiled columns, with the fields that are not generated.
    """

    counts: dict[str, int]
    score: float | None
    sizes: dict[str, int | None]
    results: list[Row]
    issues: list[Row]
    pii: list[Row]
    issue_counts: dict[str, Any]
    columns: list[Row]

    @classmethod
    def from_options(cls, options: Mapping[str, Any], target_id: str) -> Findings:
        """Returns the findings that a behavior's options specify, with generated details."""
        results = _build_results(options, target_id)
        counts = _count_results(results)
        issues = _build_issues(options.get("issues", ()), target_id)
        pii = _build_pii(options.get("pii", ()), target_id)
        sizes, columns = _build_columns(options)
        executed = sum(counts[name] for name in STATUSES)
        default_score = (counts["passed"] + counts["log"] + counts["error"]) / executed if executed else 1.0
        return cls(
            counts=counts,
            score=options.get("score", default_score),
            sizes=sizes,
            results=results,
            issues=issues,
            pii=pii,
            issue_counts=cls.count_issues(issues, pii),
            columns=columns,
        )

    @staticmethod
    def count_issues(issues: Sequence[Row], pii: Sequence[Row]) -> dict[str, Any]:
        """Returns the counts of issues. Dismissed and muted issues count only as dismissed."""
        visible_issues = [row for row in issues if row["disposition"] == "confirmed"]
        visible_pii = [row for row in pii if row["disposition"] == "confirmed"]
        return {
            "hygiene_issues": {name: sum(row["likelihood"] == name for row in visible_issues) for name in LIKELIHOODS},
            "potential_pii": {name: sum(row["pii_risk"] == name for row in visible_pii) for name in RISKS},
            "dismissed": len(issues) + len(pii) - len(visible_issues) - len(visible_pii),
        }


def list_columns() -> list[tuple[str, str, str, int]]:
    """Returns the table, column name, general type and number of records of every column."""
    return [
        (table, column, kind, size)
        for table, (size, column_types) in TABLES.items()
        for column, kind in column_types.items()
    ]


def filter_rows(rows: list[Row], filters: Mapping[str, Any]) -> list[Row]:
    """Returns the rows with these values. None matches any value."""
    for name, value in filters.items():
        if value is not None:
            rows = [row for row in rows if row[name] == value]
    return rows


def _build_columns(options: Mapping[str, Any]) -> tuple[dict[str, int | None], list[Row]]:
    """Returns the sizes of the profiled tables, and the specified columns, or as many as the sizes say."""
    if "columns" not in options:
        sizes = {name: options.get(name, 0) for name in ("table_ct", "column_ct", "record_ct")}
        default = [
            {"table_name": table, "column_name": column, "general_type": kind, "record_ct": records}
            for table, column, kind, records in list_columns()
        ]
        return sizes, default[: sizes["column_ct"] or 0]
    columns = [{"general_type": "alpha", "record_ct": 1_000, **row} for row in options["columns"]]
    records = {row["table_name"]: row["record_ct"] or 0 for row in columns}
    return {"table_ct": len(records), "column_ct": len(columns), "record_ct": sum(records.values())}, columns


def _count_results(rows: Sequence[Row]) -> dict[str, int]:
    counts = dict.fromkeys((*STATUSES, "dismissed"), 0)
    for row in rows:
        counts["dismissed" if row["disposition"] in ("dismissed", "muted") else row["result_status"]] += 1
    return counts


def _build_results(options: Mapping[str, Any], target_id: str) -> list[Row]:
    """Returns the specified rows, and as many generated ones as the counts need."""
    candidates = [(table, column) for table, column, _, _ in list_columns() if table in options.get("tables", TABLES)]
    rows: list[Row] = []

    def add_row(row: Row) -> None:
        index = len(rows)
        table, column = candidates[index % len(candidates)] if candidates else ("orders", "order_id")
        kind = list(TEST_TYPES)[index % len(TEST_TYPES)]
        test = {"table_name": table, "column_names": column, "test_type": kind}
        rows.append(_build_result({**test, **row}, target_id, index))

    for row in options.get("results", ()):
        add_row(row)
    missing = {**dict.fromkeys((*STATUSES, "dismissed"), 0), **options.get("counts", {})}
    for name, count in _count_results(rows).items():
        missing[name] -= count
    for name, count in missing.items():
        for _ in range(max(count, 0)):
            fields = {"result_status": name}
            if name == "dismissed":
                fields = {"result_status": "failed", "disposition": "dismissed"}
            add_row(fields)
    # In the server's order, with the tests that could not run first.
    return sorted(rows, key=lambda row: (row["result_status"], row["table_name"] or "", row["column_names"] or ""))


def _build_result(specified: Row, target_id: str, index: int) -> Row:
    status = specified.get("result_status", "passed")
    name, measured = TEST_TYPES.get(specified["test_type"], (specified["test_type"], "Measure"))
    measure: str | None = {"passed": "0", "error": None, "log": "0"}.get(status, str(1 + index % 17))
    message = (
        f"{measured}: {specified.get('result_measure', measure)}, Threshold: {specified.get('threshold_value', '0')}"
    )
    if status == "error":
        message = f"Missing column: {SCHEMA}.{specified['table_name']}.{specified['column_names']}"
    row = {
        "test_definition_id": _make_id(target_id, "test", index),
        "test_type": specified["test_type"],
        "test_type_name": name,
        "schema_name": SCHEMA,
        "table_name": specified["table_name"],
        "column_names": specified["column_names"],
        "result_status": status,
        "result_measure": measure,
        "threshold_value": "0",
        "result_message": message,
        "test_time": None,
        "disposition": "no_decision",
    }
    return {**row, **specified}


def _build_issues(specified: Any, target_id: str) -> list[Row]:
    rows = []
    all_columns = list_columns()
    for index, issue in enumerate(_expand(specified, "likelihood")):
        kind = issue.get("issue_type", _ISSUE_TYPE_BY_LIKELIHOOD.get(issue.get("likelihood", ""), "1002"))
        name, dimension, detail = ISSUE_TYPES.get(kind, (kind, "conformance", ""))
        table, column, _, _ = all_columns[index * 5 % len(all_columns)]
        row = {
            "id": _make_id(target_id, "issue", index),
            "issue_type": kind,
            "issue_type_name": name,
            "schema_name": SCHEMA,
            "table_name": table,
            "column_name": column,
            "likelihood": "possible",
            "impact_dimension": dimension,
            "detail": detail,
            "disposition": "confirmed",
        }
        rows.append({**row, **issue})
    return rows


def _build_pii(specified: Any, target_id: str) -> list[Row]:
    rows = []
    candidates = [(table, column) for table, column, _, _ in list_columns() if table == "customers"]
    for index, finding in enumerate(_expand(specified, "pii_risk")):
        table, column = candidates[(index + 1) % len(candidates)]
        risk = finding.get("pii_risk", "moderate")
        row = {
            "id": _make_id(target_id, "pii", index),
            "issue_type": "1100",
            "issue_type_name": "Personally Identifiable Information",
            "schema_name": SCHEMA,
            "table_name": table,
            "column_name": column,
            "pii_risk": risk,
            "detail": f"Risk: {risk.upper()}, PII Type: {_PII_TYPES[index % len(_PII_TYPES)]}",
            "disposition": "confirmed",
        }
        rows.append({**row, **finding})
    return rows


def _expand(specified: Any, field: str) -> list[Row]:
    """Returns rows unchanged, and converts counts such as `{"definite": 2}` to that many rows."""
    if isinstance(specified, Mapping):
        return [{field: name} for name, count in specified.items() for _ in range(count)]
    return [dict(row) for row in specified]


def _make_id(target_id: str, kind: str, index: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{target_id}/{kind}/{index}"))
