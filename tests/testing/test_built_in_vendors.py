"""Proves the built-in vendors with the kit for authors of vendors.

Two kinds of runs share their resource and their polls with another kind, so only the scenarios in which they differ are
tested here. `make vendor-kit` runs all scenarios for all kinds.
"""

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Verdict, prove_scenario
from tests.testing.vendors_to_prove import BUILT_IN

NOT_OFFERED = {
    "rudderstack": {"search_after_lost_start", "list_runs", "observation", "run_page"},
    "amperity": {"conflict", "observation", "run_page"},
    "segmentflow-key": {
        "partitions",
        "conflict",
        "search_after_lost_start",
        "list_runs",
        "observation",
        "run_page",
    },
    "prophecy": {"partitions", "conflict", "search_after_lost_start", "list_runs", "observation"},
    "testgen-tests": {"partitions", "conflict"},
}
DIFFERENT = [
    ("segmentflow-id", "success"),
    ("segmentflow-id", "lost_start"),
    ("segmentflow-id", "start_reset"),
    ("testgen-profiling", "success"),
    ("testgen-profiling", "lost_start"),
    ("testgen-profiling", "search_after_lost_start"),
    ("testgen-profiling", "observation"),
]


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_built_in_vendor_holds(running_sandbox: Sandbox, name: str) -> None:
    report = BUILT_IN[name].prove(running_sandbox)
    report.check()
    found = {row.scenario for row in report.rows if row.verdict is Verdict.NOT_OFFERED}
    assert found == NOT_OFFERED[name], str(report)


@pytest.mark.parametrize(("name", "scenario"), DIFFERENT)
def test_other_kind_of_run_holds(running_sandbox: Sandbox, name: str, scenario: str) -> None:
    proof = BUILT_IN[name]
    row = prove_scenario(
        scenario,
        proof.run,
        proof.resource(running_sandbox),
        running_sandbox,
        vendor=proof.vendor,
        target=proof.target,
    )
    assert row.verdict is Verdict.HOLDS, str(row)


def test_every_built_in_vendor_is_tested() -> None:
    assert {*NOT_OFFERED, *(name for name, _ in DIFFERENT)} == set(BUILT_IN)
