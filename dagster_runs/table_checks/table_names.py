"""The names of tables: how they are read from a text, and compared without case."""

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable

FoldedTable = tuple[str | None, str]
"""A schema, which may be unknown, and a table, without case."""
_PART = re.compile(r"""\s*(?:"([^"]*)"|`([^`]*)`|\[([^\]]*)\]|'([^']*)'|([^.]+))\s*(?:\.|$)""")
"""A part of a table's name, which may contain dots if it is in quotes."""


def parse_table(name: Any) -> SuiteTable:
    """Returns the table that a name such as ``warehouse.sales.orders`` is about. Parts in quotes may contain dots.

    Raises:
        DagsterInvalidDefinitionError: It is not the name of a table.
    """
    if not isinstance(name, str) or not name.strip():
        raise dg.DagsterInvalidDefinitionError(f"{name!r} is not the name of a table")
    *before, table = [next(filter(None, part), "").strip() for part in _PART.findall(name)] or [""]
    if not table:
        raise dg.DagsterInvalidDefinitionError(f"{name!r} is not the name of a table")
    return SuiteTable(table, before[-1] if before and before[-1] else None)


def as_pattern(text: str) -> re.Pattern[str]:
    """Returns the pattern of a name in which ``*`` is any text."""
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.DOTALL)


def folded(table: SuiteTable) -> FoldedTable:
    """Returns the schema and the name without case."""
    return (table.schema.casefold() if table.schema else None, table.name.casefold())


def folded_key(key: dg.AssetKey) -> tuple[str, ...]:
    """Returns the parts of a key without case."""
    return tuple(part.casefold() for part in key.path)


def is_spelled(table: SuiteTable, known: SuiteTable) -> bool:
    """Whether a table is spelled like a known one, whose schema may be missing."""
    return table.name == known.name and known.schema in (None, table.schema)


def with_spelling(named: Mapping[SuiteTable, Any], table: SuiteTable) -> Any:
    """Returns the key of the name that is spelled like a table, of names that differ only in case.

    Raises:
        DagsterInvalidDefinitionError: None is spelled like it, and there are several.
    """
    found = [key for name, key in named.items() if is_spelled(table, name)] or list(named.values())
    if len(found) > 1:
        names = " and ".join(map(str, named))
        raise dg.DagsterInvalidDefinitionError(
            f"tables names {names}, which differ only in case, and the table {table} is spelled like neither"
        )
    return found[0]
