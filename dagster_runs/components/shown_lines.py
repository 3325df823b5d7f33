"""Which lines of a file an error may show: those that cannot contain the secrets of a ``workspace``.

Secrets should be in environment variables, but some users write them in the file, and errors reach logs and the UI.
YAML has so many ways to write a value that the text of a line does not show which part of it is secret. So the lines
are left out as a whole.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from dagster_runs.components.component_files import composed, nodes_below

SECRET_FIELD = "workspace"
_NUMBERED = re.compile(r"\s*(\d+) \|")
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Ends of lines in YAML, but not in Python, so that lines have other numbers in the snippet."""


def without_secrets(snippet: str, line: int, file: Path, document: tuple[int, int]) -> str:
    """Returns the lines of a snippet that may be shown; nothing if the line of the error itself may not.

    Args:
        snippet: Lines of the file, with their numbers and a bar in front, and others.
        line: The number of the line with the error.
        file: The file.
        document: The line and the column where the document begins.
    """
    shown = _shown_lines(file, document)
    if line not in shown:
        return ""
    found = [(_NUMBERED.match(text), text) for text in snippet.splitlines()]
    return "\n".join(text for number, text in found if number is None or int(number.group(1)) in shown)


def _shown_lines(file: Path, document: tuple[int, int]) -> set[int]:
    """Returns the lines of a document without those of its ``workspace``; none if it is not found in the file."""
    try:
        text = file.read_text(encoding="utf-8")
        roots = [] if _OTHER_BREAKS.search(text) else composed(text)
    except (OSError, ValueError):
        return set()
    lines = text.split("\n")
    for root in roots:
        if root is not None and (root.start_mark.line + 1, root.start_mark.column + 1) == document:
            return _numbers(root.start_mark, root.end_mark, lines) - set(_secret_lines(root, lines))
    return set()


def _secret_lines(root: Any, lines: Sequence[str]) -> Iterator[int]:
    for mapping in nodes_below(root):
        for name, value in mapping.value if isinstance(mapping, yaml.MappingNode) else ():
            if name.value != SECRET_FIELD:
                continue
            # The values of aliases, which are at their anchors.
            for node in (name, *nodes_below(value)):
                yield from _numbers(node.start_mark, node.end_mark, lines)
            yield from _numbers(name.start_mark, value.end_mark, lines)
            above = name.start_mark.line
            while above and lines[above - 1].lstrip().startswith("#"):
                yield above
                above -= 1


def _numbers(start: Any, end: Any, lines: Sequence[str]) -> set[int]:
    """Returns the numbers of the lines between two marks. A block ends where the next one begins."""
    is_in_last = end.line < len(lines) and bool(lines[end.line][: end.column].strip())
    return set(range(start.line + 1, end.line + 1 + is_in_last))
