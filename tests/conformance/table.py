"""The rows of docs/vendors.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["endpoint", "parameter", "field", "state", "error", "login", "rule"]


@dataclass(frozen=True)
class Row:
    """Something that a vendor documents, or that its server does.

    Attributes:
        kind: The kind of thing.
        id: A short and stable id, unique among the vendor's rows of this kind.
        name: Its name, as the vendor spells it.
        where: The code that uses it: ``module:Class.attribute``. The module is relative to the vendor's folder, unless
            its name begins with ``dagster_runs``. Empty if this package does not use it.
        note: How it is used, or why it is not.
    """

    kind: Kind
    id: str
    name: str
    where: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A vendor's rows.

    Attributes:
        vendor: The name of the vendor, for users.
        folder: Its folder in dagster_runs/vendors.
        rows: The rows.
        legend: A sentence that precedes the rows on the page.
    """

    vendor: str
    folder: str
    rows: Sequence[Row]
    legend: str = ""

    def full_id(self, row: Row) -> str:
        """Returns the id that a test's marker `covers` names: ``amperity.state.running``."""
        return f"{self.folder}.{row.kind}.{row.id}"


def used(kind: Kind, id: str, name: str, where: str, note: str = "") -> Row:
    """Returns a row that this package uses. Several places are separated by spaces."""
    return Row(kind, id, name, tuple(where.split()), note)


def left_out(kind: Kind, id: str, name: str, why: str) -> Row:
    """Returns a row that this package does not use."""
    return Row(kind, id, name, (), why)
