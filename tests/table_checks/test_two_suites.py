"""Two suites whose checks are on one asset."""

import re

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_completion_sensor, build_observation_sensor, build_testgen_checks
from tests.table_checks.suites import RUN, table

OTHER = TestGenTestRun(test_suite_id="6ab1e000-0000-4000-8000-000000000001")


@pytest.mark.covers("tables.two-suites")
def test_error_names_both_suites() -> None:
    first, second = (build_testgen_checks(run, tables={"orders": "orders"}, wait="defer") for run in (RUN, OTHER))
    own = dg.Definitions(assets=[table("orders")])
    assert first.merged_with(first.merged_with(own)).asset_checks == [first.checks, first.checks]
    for combine in (
        lambda: second.merged_with(first.merged_with(own)),
        lambda: build_completion_sensor([first, second]),
        lambda: build_observation_sensor([first, second]),
    ):
        with pytest.raises(dg.DagsterInvalidDefinitionError) as raised:
            combine()
        suites = re.findall(r"\((.*?) passed\.\)", str(raised.value))
        assert suites == [
            f"Whether the tests of test suite {run.test_suite_id} at TestGen on the table orders"
            for run in (RUN, OTHER)
        ]
        assert "Two definitions have the check testgen__tests of orders: testgen_" in str(raised.value)


def test_error_names_a_check_of_the_user_s_own() -> None:
    checks = build_testgen_checks(RUN, tables={"orders": "orders"})

    @dg.asset_check(asset="orders", name="testgen__tests")
    def own_check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset(check_specs=[dg.AssetCheckSpec("testgen__tests", asset="orders")])
    def orders() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    for own, name in (
        (dg.Definitions(assets=[table("orders")], asset_checks=[own_check]), "orders_testgen__tests"),
        (dg.Definitions(assets=[orders]), "orders"),
    ):
        with pytest.raises(dg.DagsterInvalidDefinitionError) as raised:
            checks.merged_with(own)
        message = str(raised.value)
        assert re.search(rf"of orders: {name} and testgen_\w+ \(Whether", message), message
        assert "Rename your own check, or leave the table out in the suite, with a mapping" in message
