"""Keeps metadata small enough for Dagster: one event is one request to a hosted Dagster, which accepts 4 MB at most."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_runs.remote_run.types import CheckOutcome, RunResult

MAX_METADATA_BYTES = 500_000
"""The maximum size of the metadata of one event."""
MAX_DESCRIPTION = 10_000
"""The maximum number of characters of a check's description."""
BIG_ENTRY_BYTES = 2_000
"""The size from which an entry is reported for only one of the partitions that a run materializes."""
_MIN_CUT_BYTES = 1_000
_ENTRY_BYTES = 60
_RECORD_BYTES = 42
"""The sizes of the names of Dagster's classes in an entry and in each row of a table."""


def limited_result(result: RunResult) -> RunResult:
    """Returns the result with metadata and descriptions that are not too large for an event each."""
    return replace(
        result, metadata=limited(result.metadata), checks=tuple(_limited_outcome(one) for one in result.checks)
    )


def _limited_outcome(outcome: CheckOutcome) -> CheckOutcome:
    description = outcome.description
    if description is not None and len(description) > MAX_DESCRIPTION:
        description = description[:MAX_DESCRIPTION] + "…"
    return replace(outcome, metadata=limited(outcome.metadata), description=description)


def limited(metadata: Mapping[str, Any], max_bytes: int = MAX_METADATA_BYTES) -> dict[str, Any]:
    """Returns metadata of at most that many bytes, by cutting the largest entries.

    A table keeps its first rows, which are the worst ones; a text keeps its beginning; another entry is replaced by a
    text that states its size.
    """
    kept, sizes = dict(metadata), {name: size_of(entry) for name, entry in metadata.items()}
    total = sum(sizes.values())
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if total <= max_bytes or sizes[name] <= _MIN_CUT_BYTES:
            break
        kept[name] = _cut(kept[name], sizes[name], max(_MIN_CUT_BYTES, sizes[name] - (total - max_bytes)))
        if isinstance(kept[name], dg.TableMetadataValue):
            total_rows, rows = len(metadata[name].records), len(kept[name].records)
            kept[f"{name}_left_out"] = rows_left_out(rows, total_rows)
        total -= sizes[name] - size_of(kept[name])
    return kept


def rows_left_out(rows: int, total: int) -> dg.TextMetadataValue:
    """Returns the text that says how many rows a table does not have."""
    return dg.MetadataValue.text(f"{total - rows} of {total} rows are left out. The table has the worst ones")


def _cut(entry: Any, size: int, max_bytes: int) -> Any:
    share = max_bytes / size
    if isinstance(entry, dg.TableMetadataValue):
        rows = int(len(entry.records) * share)
        while rows:
            table = dg.MetadataValue.table(records=[*entry.records][:rows], schema=entry.schema)
            if size_of(table) <= max_bytes:
                return table
            rows //= 2
    text = entry.value if isinstance(entry, dg.TextMetadataValue) else entry
    if isinstance(text, str):
        return dg.MetadataValue.text(text[: int(len(text) * share)] + "…")
    return dg.MetadataValue.text(f"Left out, because its size of {size} bytes is too large for an event")


def size_of(entry: Any) -> int:
    """Returns the approximate number of bytes of a metadata entry as Dagster stores it; 0 if Dagster will reject it.

    Dagster's own serialization of a table takes 20 times as long, and each poll of a finished run makes a table.
    """
    try:
        if isinstance(entry, dg.TableMetadataValue):
            return len(json.dumps([record.data for record in entry.records])) + _RECORD_BYTES * len(entry.records)
        return _ENTRY_BYTES + len(
            json.dumps(entry.value if isinstance(entry, dg.MetadataValue) else entry, default=str)
        )
    except Exception:  # noqa: BLE001 - of any type: the event cannot be made, and the code that makes it handles that
        return 0


def once_for_partitions(metadata: Mapping[str, Any], last: str | None) -> dict[str, Any]:
    """Returns the metadata for all partitions of a run but the last one, which alone has the big entries.

    Args:
        metadata: The metadata of the run.
        last: The last partition.
    """
    see = dg.MetadataValue.text(f"See partition {last}, which has it for all partitions of the run")
    return {name: see if size_of(entry) >= BIG_ENTRY_BYTES else entry for name, entry in metadata.items()}


def big_entries(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries that `once_for_partitions` leaves to the last partition."""
    return {name: entry for name, entry in metadata.items() if size_of(entry) >= BIG_ENTRY_BYTES}


def cut_names(names: Sequence[str], most: int = 20) -> str:
    """Returns names as one text, with the number of those that are left out."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
