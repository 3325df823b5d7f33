"""Finds the blocks of code on the pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_BLOCK = re.compile(
    r"(?P<before>[^\n]*\n\n|<!-- from the example -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: The page, relative to the repository.
        line: The line after the fence.
        language: What the fence names, or an empty string.
        text: The code, without its indentation.
        path: The file that the page says to write it to, or an empty string.
        is_quoted: Whether it comes from an example, and is compared with its file.
    """

    page: str
    line: int
    language: str
    text: str
    path: str
    is_quoted: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yields the blocks of a page in their order."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        before = match["before"] or ""
        written = re.fullmatch(r" *Write `([^`]+)`:\n\n", before)
        yield Block(
            page=page.relative_to(ROOT).as_posix(),
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            text=dedent(match["text"]),
            path=written[1] if written else "",
            is_quoted=before.startswith("<!-- from the example"),
        )


def all_blocks(language: str) -> list[Block]:
    """Returns the blocks of a language on all pages."""
    return [block for page in PAGES for block in blocks_of(page) if block.language == language]
