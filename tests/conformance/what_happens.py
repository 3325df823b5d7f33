"""The last column of docs/what-happens-when.md: the tests that cover each row. The rest of the page is written by hand.

A row begins with its id, as an anchor: ``| <a id="wait.outage"></a>the vendor cannot be reached | … | proof |``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.coverage import CoveringTest

PAGE = Path(__file__).parents[2] / "docs" / "what-happens-when.md"
_ROW = re.compile(r'^(\| <a id="([^"]+)"></a>.* \|) (?:[^|]*) ?\|$', re.MULTILINE)


def row_ids(page: str) -> list[str]:
    """The ids of the page's rows, in their order."""
    return [row[2] for row in _ROW.finditer(page)]


def with_proof(page: str, tests: Mapping[str, Sequence[CoveringTest]]) -> str:
    """The page with the last column written anew.

    Args:
        page: As it is.
        tests: Those that cover each id.
    """

    def row(found: re.Match[str]) -> str:
        links = "<br>".join(test.link() for test in tests.get(found[2], ()))
        return f"{found[1]} {links} |"

    return _ROW.sub(row, page)
