"""A vendor is small: what all vendors need belongs outside of its folder."""

from pathlib import Path

import pytest

import dagster_runs
from tests.lines_of_code import lines_of_code

VENDORS = Path(dagster_runs.__file__).parent / "vendors"
LIMIT = 500
LARGER = {"testgen": 670}
"""TestGen has three kinds of runs, two shapes of responses, and results to judge. Do not raise its limit."""
FOLDERS = sorted(
    str(folder.relative_to(VENDORS)) for folder in VENDORS.rglob("*") if folder.is_dir() and any(folder.glob("*.py"))
)


@pytest.mark.parametrize("vendor", FOLDERS)
def test_vendor_has_fewer_lines_of_code_than_the_limit(vendor: str) -> None:
    files = list((VENDORS / vendor).glob("*.py"))
    assert len(files) > 1
    assert sum(lines_of_code(file) for file in files) <= LARGER.get(vendor, LIMIT)
