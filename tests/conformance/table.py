"""What a row of the conformance table is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["endpoint", "parameter", "field", "state", "error", "login", "rule"]


@dataclass(frozen=True)
class Row:
    """Something that a vendor documents, or that its server was seen to do.

    Attributes:
        kind: What sort of thing.
        id: Short and stable, unique among the vendor's rows of this kind.
        name: As the vendor spells it.
        where: What of the project deals with it: ``module:Class.attribute``, the module within the vendor's folder, or
            with its full name if it begins with ``dagster_runs``. Empty: the project leaves it out.
        note: How it is dealt with; why, if it is left out.
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
        vendor: The vendor's name for people.
        folder: Its folder in dagster_runs/vendors.
        rows: The rows.
    """

    vendor: str
    folder: str
    rows: Sequence[Row]

    def full_id(self, row: Row) -> str:
        """What a test's marker `covers` names: ``amperity.state.running``."""
        return f"{self.folder}.{row.kind}.{row.id}"


def used(kind: Kind, id: str, name: str, where: str, note: str = "") -> Row:
    """Something that the project uses. Several places are separated by blanks."""
    return Row(kind, id, name, tuple(where.split()), note)


def left_out(kind: Kind, id: str, name: str, why: str) -> Row:
    """Something that the project does not use."""
    return Row(kind, id, name, (), why)
