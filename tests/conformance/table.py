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
        name: As the vendor spells it.
        where: What of the project deals with it: ``module:Class.attribute``, the module within the vendor's folder, or
            with its full name if it begins with ``dagster_runs``. Empty: the project leaves it out.
        proof: The tests that prove it: ``file::test`` or ``file::Class::test``; the file as `Table.files` shortens it,
            or its path within tests/. A test with parameters is named without them.
        note: How it is dealt with; why, if it is left out.
    """

    kind: Kind
    name: str
    where: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A vendor's rows.

    Attributes:
        vendor: The vendor's name for people.
        folder: Its folder in dagster_runs/vendors.
        files: Short names of test files: what ``proof`` says → its path within tests/.
        rows: The rows.
    """

    vendor: str
    folder: str
    files: dict[str, str]
    rows: Sequence[Row]


def used(kind: Kind, name: str, where: str, proof: str, note: str = "") -> Row:
    """Something that the project uses. Several places, and several tests, are separated by blanks."""
    return Row(kind, name, tuple(where.split()), tuple(proof.split()), note)


def left_out(kind: Kind, name: str, why: str, proof: str = "") -> Row:
    """Something that the project does not use."""
    return Row(kind, name, (), tuple(proof.split()), why)
