"""The table of figures: this package with polled and with deferred runs, dagster-rudderstack, and the limit."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

HEADER = ("measurement", "dagster_runs", 'dagster_runs, wait="defer"', "dagster-rudderstack", "limit")


@dataclass(frozen=True)
class Figure:
    """One measurement. The table shows the median of its values.

    Attributes:
        name: What was measured.
        unit: The unit of all values and of the limit.
        ours: The values of runs with ``wait="poll"``, or of the package as a whole.
        deferred: The values of deferred runs.
        peer: The values of dagster-rudderstack.
        limit: The limit for the medians of this package.
    """

    name: str
    unit: str
    ours: Sequence[float] = ()
    deferred: Sequence[float] = ()
    peer: Sequence[float] = ()
    limit: float | None = None

    @property
    def is_beyond(self) -> bool:
        """Whether a median of this package exceeds the limit."""
        return self.limit is not None and any(
            statistics.median(values) > self.limit for values in (self.ours, self.deferred) if values
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of its row."""
        limit = "" if self.limit is None else self._quantity(self.limit)
        return (
            self.name,
            *(self._cell(values) for values in (self.ours, self.deferred, self.peer)),
            f"{limit} EXCEEDED" if self.is_beyond else limit,
        )

    def _cell(self, values: Sequence[float]) -> str:
        if not values:
            return ""
        median = self._quantity(statistics.median(values))
        return median if len(values) == 1 else f"{median} ({_number(min(values))}–{_number(max(values))})"

    def _quantity(self, value: float) -> str:
        space = "" if self.unit in ("", "%") else " "
        return f"{_number(value)}{space}{self.unit}"


def _number(value: float) -> str:
    """Formats a number with three significant digits, or as a whole number."""
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def as_table(figures: Iterable[Figure]) -> Table:
    """Returns the table for a terminal."""
    table = Table(*HEADER)
    for figure in figures:
        table.add_row(*figure.cells)
    return table


def as_markdown(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Returns the table for a page."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
