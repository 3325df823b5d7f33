"""Writes the last column of the pages whose rows tests cover: links to these tests. The rest is written manually.

A row begins with its id, as an anchor: ``| <a id="wait.outage"></a>The vendor is unavailable | … | tests |``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.coverage import CoveringTest, links

_DOCS = Path(__file__).parents[2] / "docs"
PAGE = _DOCS / "what-happens-when.md"
PAGES = (PAGE, _DOCS / "checks-on-your-tables.md")
_ROW = re.compile(r'^(\| <a id="([^"]+)"></a>.* \|) (?:[^|]*) ?\|$', re.MULTILINE)


def row_ids(page: str) -> list[str]:
    """Returns the ids of the page's rows, in their order."""
    return [row[2] for row in _ROW.finditer(page)]


def with_tests(page: str, tests: Mapping[str, Sequence[CoveringTest]]) -> str:
    """Returns the page with its last column regenerated.

    Args:
        page: The current page.
        tests: The tests that cover each id.
    """

    def row(found: re.Match[str]) -> str:
        return f"{found[1]} {links(tests.get(found[2], ()))} |"

    return _ROW.sub(row, page)
