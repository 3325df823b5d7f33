"""Proves the built-in vendors and those of the examples with the kit for authors of vendors."""

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Conclusion
from tests.testing.vendors_to_prove import BUILT_IN, examples

_NOT_LISTED = {"search_after_lost_start", "list_runs", "observation"}
NOT_OFFERED = {
    "rudderstack": {*_NOT_LISTED, "run_page"},
    "amperity": {"conflict", "observation", "run_page"},
    "segmentflow-id": {*_NOT_LISTED, "partitions", "conflict", "run_page"},
    "segmentflow-key": {*_NOT_LISTED, "partitions", "conflict", "run_page"},
    "prophecy": {*_NOT_LISTED, "partitions", "conflict"},
    "testgen-tests": {"partitions", "conflict"},
    "testgen-profiling": {"partitions", "conflict"},
    "testgen-generation": {"partitions", "conflict", "observation", "run_page"},
    "rudderstack-retl": {"partitions", "run_page"},
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_vendor_holds(running_sandbox: Sandbox, name: str) -> None:
    report = BUILT_IN[name].prove(running_sandbox)
    report.check()
    found = {row.scenario for row in report.rows if row.conclusion is Conclusion.NOT_OFFERED}
    assert found == NOT_OFFERED[name], str(report)


@pytest.mark.timeout(300)
def test_vendors_of_the_examples_hold() -> None:
    for report in examples():
        report.check()
