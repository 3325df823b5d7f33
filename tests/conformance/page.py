"""docs/vendors.md, from the rows."""

from collections.abc import Iterator
from pathlib import Path

from tests.conformance import amperity, prophecy, rudderstack, segmentflow, testgen
from tests.conformance.coverage import by_id
from tests.conformance.evidence import module_of
from tests.conformance.table import Row, Table

PAGE = Path(__file__).parents[2] / "docs" / "vendors.md"
TABLES = (rudderstack.TABLE, amperity.TABLE, segmentflow.TABLE, prophecy.TABLE, testgen.TABLE)
_BEGINNING = """\
<!-- Written by `make conformance` from tests/conformance; a test compares the two. -->

# What of each vendor's API is used

Each endpoint, parameter, field, state and error that the five vendors document, or that their servers and clients were
seen to have: where `dagster_runs` deals with it and which test proves that, or why it is left out. A row without a test
that covers it, or without a reason, fails the build, and so does a word or a field in the code that no row names.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_BEGINNING, *_summary(), *(line for table in TABLES for line in _section(table))])


def _summary() -> Iterator[str]:
    yield from ("| Vendor | used | left out |", "|---|---|---|")
    for table in TABLES:
        count = sum(1 for row in table.rows if row.where)
        yield f"| [{table.vendor}](#{table.vendor.lower()}) | {count} | {len(table.rows) - count} |"
    yield ""


def _section(table: Table) -> Iterator[str]:
    yield from (f"## {table.vendor}", "")
    yield from ("| | Documented | Here | Proof |", "|---|---|---|---|")
    kind = ""
    for row in table.rows:
        yield _line(table, row, shown="" if row.kind == kind else row.kind)
        kind = row.kind
    yield ""


def _line(table: Table, row: Row, *, shown: str) -> str:
    places = ", ".join(_place(table, place) for place in row.where)
    here = ". ".join(part for part in (places, row.note) if part) if row.where else f"*left out*: {row.note}"
    proof = "<br>".join(test.link() for test in by_id().get(table.full_id(row), ()))
    cells = (f"**{shown}**" if shown else "", f'<a id="{table.full_id(row)}"></a>{row.name}', here, proof)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _place(table: Table, place: str) -> str:
    module, path = module_of(table, place)
    return f"[`{path}`](../{module.replace('.', '/')}.py)"
