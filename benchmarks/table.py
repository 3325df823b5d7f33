"""The table: each figure of ours, polled and deferred, beside the peer's and the limit."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

HEADER = ("figure", "dagster_runs", 'wait="defer"', "dagster-rudderstack", "limit")


@dataclass(frozen=True)
class Figure:
    """One measured quantity: the values of which the table shows the median.

    Attributes:
        name: What was measured.
        unit: Of all values, and of the limit.
        ours: Of runs that are polled, or of the package as a whole.
        deferred: Of deferred runs.
        peer: Of dagster-rudderstack.
        limit: That none of ours is to exceed.
    """

    name: str
    unit: str
    ours: Sequence[float] = ()
    deferred: Sequence[float] = ()
    peer: Sequence[float] = ()
    limit: float | None = None

    @property
    def is_beyond(self) -> bool:
        """Whether a median of ours exceeds the limit."""
        return self.limit is not None and any(
            statistics.median(values) > self.limit for values in (self.is_ours, self.deferred) if values
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        limit = "" if self.limit is None else f"{_number(self.limit)} {self.unit}"
        return (
            self.name,
            *(self._cell(values) for values in (self.is_ours, self.deferred, self.peer)),
            f"{limit} EXCEEDED" if self.is_beyond else limit,
        )

    def _cell(self, values: Sequence[float]) -> str:
        if not values:
            return ""
        median = f"{_number(statistics.median(values))} {self.unit}".strip()
        return median if len(values) == 1 else f"{median} ({_number(min(values))}–{_number(max(values))})"


def _number(value: float) -> str:
    """Three digits that count."""
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def as_table(figures: Iterable[Figure]) -> Table:
    """For a terminal."""
    table = Table(*HEADER)
    for figure in figures:
        table.add_row(*figure.cells)
    return table


def as_markdown(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """For a page."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
