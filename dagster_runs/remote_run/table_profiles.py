"""What a run has found out about the tables of a database, for vendors that profile them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dagster_runs.remote_run.data_tests import SuiteTable


@dataclass(frozen=True)
class ColumnProfile:
    """A profiled column.

    Attributes:
        name: The column's name.
        type: The type in the database; ``None`` if it is unknown.
        pii: How personal the data is, in the terms of the vendor; ``None`` if it is not flagged.
        potential_pii: The highest risk that this run has found, in the terms of the vendor; ``None`` if there is none.
        is_critical: Whether the column is flagged as critical data.
        row_count: The number of rows with which the column was profiled; ``None`` if it is unknown.
    """

    name: str
    type: str | None = None
    pii: str | None = None
    potential_pii: str | None = None
    is_critical: bool = False
    row_count: int | None = None


@dataclass(frozen=True)
class DataIssue:
    """A possible error in the data of a table.

    Attributes:
        likelihood: ``definite``, ``likely`` or ``possible``, in lower case. Any other text counts as ``likely``.
        column: The column.
        name: The display name of the issue's type.
        detail: The vendor's description.
        dimension: What the issue affects, in the terms of the vendor.
    """

    likelihood: str
    column: str | None = None
    name: str | None = None
    detail: str | None = None
    dimension: str | None = None


@dataclass(frozen=True)
class TableProfile:
    """What a run has found out about one table.

    Attributes:
        table: The table. Its name is empty for entries that do not name one.
        columns: The columns, in their order in the table. Empty if the run only has issues of the table.
        issues: The issues.
    """

    table: SuiteTable
    columns: Sequence[ColumnProfile] = ()
    issues: Sequence[DataIssue] = ()

    @property
    def row_count(self) -> int | None:
        """The number of rows; ``None`` if it is unknown."""
        return max((column.row_count for column in self.columns if column.row_count is not None), default=None)
