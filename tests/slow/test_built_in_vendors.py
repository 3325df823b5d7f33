"""Proves the built-in vendors, those of the examples and a run of the tests with the kit for authors of vendors."""

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Conclusion, prove_vendor, scenarios
from examples import prove_your_own_vendor
from tests.testing.looms import PATTERN, TOKEN, LoomResource, SimulatedLooms, WeaveRun
from tests.testing.vendors_to_prove import BUILT_IN, examples

_NOT_LISTED = {"search_after_lost_start", "list_runs", "long_list", "clock_difference", "observation"}
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


def test_every_scenario_holds_for_a_correct_run() -> None:
    with Sandbox(vendors=[SimulatedLooms]) as looms:
        resource = LoomResource(token=TOKEN, base_url=f"{looms.url}/looms")
        report = prove_vendor(WeaveRun(pattern=PATTERN, customer="Ada"), resource, looms.url)
    report.check()
    assert [row.scenario for row in report.rows] == scenarios()
    assert {row.conclusion for row in report.rows} == {Conclusion.HOLDS}, str(report)


def test_example_holds() -> None:
    report = prove_your_own_vendor.prove()
    report.check()
    assert {row.scenario for row in report.rows if row.conclusion is Conclusion.NOT_OFFERED} == {
        "conflict",
        "list_runs",
        "long_list",
        "clock_difference",
        "observation",
        "run_page",
    }
