"""The order of a run's metadata.

Dagster's pages show the metadata of materializations and observations in the order of the event, and that of check
evaluations sorted by name.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

_OUTCOME = ("dagster_runs/url", "dagster_runs/state", "dagster_runs/error")
_TIMES = ("dagster_runs/started_at", "dagster_runs/finished_at", "dagster_runs/duration_seconds")
_LEFT_OUT = "_left_out"
_LARGE = (dg.TableMetadataValue, dg.JsonMetadataValue, dg.MarkdownMetadataValue)


def in_page_order(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the same entries in the order in which a user wants to read them.

    First come the link, the state and the vendor's numbers and names; then the times and the ids; then the tables, each
    of which may fill a page. Within each of these, the order stays the same.
    """
    large = {name for name, value in metadata.items() if isinstance(value, (*_LARGE, dict, list))}
    return dict(sorted(metadata.items(), key=lambda item: _rank(item[0], large)))


def _rank(name: str, large: set[str]) -> tuple[int, int]:
    if name in large or name.removesuffix(_LEFT_OUT) in large:
        return 4, 0
    for rank, names in ((0, _OUTCOME), (2, _TIMES)):
        if name in names:
            return rank, names.index(name)
    return (3 if name.startswith("dagster_runs/") or name.endswith("_id") else 1), 0
