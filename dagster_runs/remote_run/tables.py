"""Converts the numbers and rows of a vendor's response to metadata for the UI."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import dagster as dg

from dagster_runs.remote_run.metadata_size import rows_left_out

Cell = str | int | float | bool | datetime | None
MAX_CELL = 500
MAX_NAME = 40
"""The maximum length of a name in a table. Dagster does not wrap names: a longer one pushes the rest off the page."""
MAX_ROWS = 100
"""The maximum number of rows of a table. Each row has several hundred bytes, and each run has a table of its own."""


def numbers(prefix: str, values: Mapping[str, float | None]) -> dict[str, Any]:
    """Returns the known values as metadata ``prefix/name``, which Dagster plots."""
    return {
        f"{prefix}/{name}": dg.MetadataValue.float(value) if isinstance(value, float) else dg.MetadataValue.int(value)
        for name, value in values.items()
        if value is not None
    }


def as_progress(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the same entries under separate keys: ``testgen/tests_passed`` as ``testgen/progress/tests_passed``.

    Dagster plots the numbers of an asset's observations and materializations with equal keys as one line. The counts of
    a run that is still active would pull the line of the results down to zero with every run.
    """
    renamed: dict[str, Any] = {}
    for name, value in metadata.items():
        prefix, slash, rest = name.partition("/")
        renamed[f"{prefix}/progress/{rest}" if slash else f"progress/{name}"] = value
    return renamed


def table_entries(name: str, rows: Sequence[Mapping[str, Cell]], *, total: int | None = None) -> dict[str, Any]:
    """Returns a table as metadata. If it is too long, it has the first rows, and a second entry says how many are left.

    Args:
        name: The key of the table.
        rows: The rows, worst first.
        total: The number of rows that the vendor has; ``None`` for those that are given.
    """
    shown, total = rows[:MAX_ROWS], max(len(rows), total or 0)
    entries: dict[str, Any] = {name: table(shown)}
    if total > len(shown):
        entries[f"{name}_left_out"] = rows_left_out(len(shown), total)
    return entries


def shortened(name: str | None) -> str | None:
    """Returns a name for a cell: a long one without its middle."""
    if name is None or len(name) <= MAX_NAME:
        return name
    end = MAX_NAME // 2
    return f"{name[: MAX_NAME - end - 1]}…{name[-end:]}"


def table(rows: Sequence[Mapping[str, Cell]]) -> dg.TableMetadataValue:
    """Returns a table of rows that have the same columns.

    Numbers stay numbers, times are in UTC, long strings are truncated, and missing values are empty.
    """
    columns = list(rows[0]) if rows else []
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row[name]) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, _type([row[name] for row in rows])) for name in columns]),
    )


def _cell(value: Cell) -> str | int | float | bool:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return value[:MAX_CELL] if isinstance(value, str) else value


def _type(values: Sequence[Cell]) -> str:
    are_numbers = not any(value is None or isinstance(value, (str, bool, datetime)) for value in values)
    if values and are_numbers:
        return "int" if all(isinstance(value, int) for value in values) else "float"
    return "string"
