"""Rows of a vendor's answer as a table in the UI."""

from collections.abc import Mapping, Sequence

import dagster as dg

Cell = str | int | float | bool | None
LONGEST_CELL = 500


def table(rows: Sequence[Mapping[str, Cell]]) -> dg.TableMetadataValue:
    """Rows with the same columns as a table. Numbers stay numbers; long texts are cut; an absent value is empty."""
    columns = list(rows[0]) if rows else []
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row[name]) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, _type([row[name] for row in rows])) for name in columns]),
    )


def _cell(value: Cell) -> str | int | float | bool:
    if value is None:
        return ""
    return value[:LONGEST_CELL] if isinstance(value, str) else value


def _type(values: Sequence[Cell]) -> str:
    present = [value for value in values if value is not None]
    if present and len(present) == len(values) and not any(isinstance(value, (str, bool)) for value in present):
        return "int" if all(isinstance(value, int) for value in present) else "float"
    return "string"
