"""Each mistake of an author makes its scenario of the kit fail."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Conclusion, scenarios
from tests.testing.looms import TOKEN, LoomResource, SimulatedLooms, WeaveRun
from tests.testing.mistakes import MISTAKES
from tests.testing.test_vendor_kit import proved


@pytest.fixture(scope="module")
def looms() -> Iterator[Sandbox]:
    with Sandbox(vendors=[SimulatedLooms]) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("scenario", "run", "resource", "seen"),
    MISTAKES,
    ids=[f"{scenario}-{run.__name__}-{resource.__name__}" for scenario, run, resource, _ in MISTAKES],
)
def test_mistake_fails_its_scenario(
    looms: Sandbox, scenario: str, run: type[WeaveRun], resource: type[LoomResource], seen: str
) -> None:
    row = proved(scenario, looms, run, resource=resource)
    assert row.conclusion is Conclusion.FAILS, str(row)
    assert re.search(seen, row.seen), str(row)
    assert TOKEN not in str(row)
    with pytest.raises(AssertionError, match=scenario):
        row.check()


def test_every_scenario_can_fail() -> None:
    assert {scenario for scenario, *_ in MISTAKES} == set(scenarios())
