"""A vendor is small: what all vendors need belongs outside of its folder."""

from pathlib import Path

import pytest

import dagster_runs
from tests.lines_of_code import lines_of_code

VENDORS = Path(dagster_runs.__file__).parent / "vendors"
LIMIT = 500
LARGER = {"testgen": 670}
"""TestGen has three kinds of runs, two shapes of responses, and results to judge. Do not raise its limit."""


@pytest.mark.parametrize("vendor", sorted(folder.name for folder in VENDORS.iterdir() if any(folder.glob("*.py"))))
def test_vendor_has_fewer_lines_of_code_than_the_limit(vendor: str) -> None:
    files = list((VENDORS / vendor).rglob("*.py"))
    assert len(files) > 1
    assert sum(lines_of_code(file) for file in files) < LARGER.get(vendor, LIMIT)
