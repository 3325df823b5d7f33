"""Checks that each row has a test or a reason, and that the code it names exists."""

from collections.abc import Collection, Iterator
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from tests.conformance.table import Table


def problems(table: Table, covered: Collection[str]) -> Iterator[str]:
    """Yields what is wrong with a vendor's rows.

    Args:
        table: The rows.
        covered: The ids that tests cover.
    """
    for row in table.rows:
        said = f"{table.vendor}, {row.kind} {row.name!r}"
        if row.where and table.full_id(row) not in covered:
            yield f"{said}: no test covers {table.full_id(row)}"
        if not row.where and not row.note:
            yield f"{said}: not used, without a reason"
        yield from (f"{said}: {place} does not exist" for place in row.where if not exists(table, place))
    for seen in ([(row.kind, row.name) for row in table.rows], [(row.kind, row.id) for row in table.rows]):
        twice = sorted({pair for pair in seen if seen.count(pair) > 1})
        yield from (f"{table.vendor}: {kind} {name!r} occurs twice" for kind, name in twice)


def module_of(table: Table, place: str) -> tuple[str, str]:
    """Returns the full name of the place's module, and the place in the module."""
    module, _, path = place.partition(":")
    return (module if module.startswith("dagster_runs") else f"dagster_runs.vendors.{table.folder}.{module}"), path


def exists(table: Table, place: str) -> bool:
    """Whether the place exists: a class, a method, a field of a model, a key of a mapping (``_STATES[running]``)."""
    module, path = module_of(table, place)
    try:
        found: Any = import_module(module)
        for part in path.replace("[", ".[").split("."):
            found = _part(found, part)
    except (ImportError, AttributeError, KeyError):
        return False
    return True


def _part(owner: Any, name: str) -> Any:
    if name.startswith("["):
        return owner[name.strip("[]")]
    if isinstance(owner, type) and issubclass(owner, BaseModel) and name in owner.model_fields:
        return owner.model_fields[name]
    return getattr(owner, name)
