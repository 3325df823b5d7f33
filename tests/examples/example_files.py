"""Checks that every example of a vendor must pass: its imports, its length, and its page in the docs."""

import ast
import re
from pathlib import Path
from typing import Any

import dagster as dg

from tests.lines_of_code import lines_of_code

ROOT = Path(__file__).parents[2]
MAX_LINES = 130
NOT_OURS = {"collections", "dagster", "datetime", "itertools", "pydantic", "re", "typing", "urllib"}


def check_imports(example: Path) -> None:
    """The example imports nothing of the package but the SDK."""
    found = set()
    for node in ast.walk(ast.parse(example.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= modules if node.module == "dagster_runs" else {str(node.module)}
    others = {name for name in found if name.partition(".")[0] not in NOT_OURS}
    assert others == {"dagster_runs.vendor_sdk"}


def check_length(example: Path) -> None:
    """The example has fewer than 130 lines of code."""
    assert lines_of_code(example) < MAX_LINES


def check_page(page: str, example: Path, *, at_least: int) -> None:
    """Each block of code on the page that is part of the example is unchanged, and there are enough of them."""
    text, source = (ROOT / "docs" / page).read_text(), example.read_text()
    blocks = re.findall(r"^<!-- from the example -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= at_least
    assert [block for block in blocks if block not in source] == []


def check_definitions(page: str) -> None:
    """The definitions on the page can be loaded."""
    text = (ROOT / "docs" / page).read_text()
    [block] = re.findall(r"^<!-- definitions -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    dg.Definitions.validate_loadable(names["defs"])
