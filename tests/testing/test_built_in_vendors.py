"""Proves the built-in vendors with the kit for authors of vendors."""

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Verdict
from tests.testing.vendors_to_prove import BUILT_IN

NOT_OFFERED = {
    "rudderstack": {"search_after_lost_start", "list_runs", "observation", "run_page"},
    "amperity": {"conflict", "observation", "run_page"},
    "segmentflow-id": {
        "partitions",
        "conflict",
        "search_after_lost_start",
        "list_runs",
        "observation",
        "run_page",
    },
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
    "testgen-profiling": {"partitions", "conflict"},
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_vendor_holds(running_sandbox: Sandbox, name: str) -> None:
    report = BUILT_IN[name].prove(running_sandbox)
    report.check()
    found = {row.scenario for row in report.rows if row.verdict is Verdict.NOT_OFFERED}
    assert found == NOT_OFFERED[name], str(report)
