"""Checks on tables that have partitions in Dagster. TestGen tests whole tables, so the checks have none."""

import dagster as dg
import pytest

from dagster_runs import TableKeys, build_testgen_checks
from dagster_runs.sandbox import Sandbox
from tests.table_checks.suites import RUN, add_suite, evaluated, execute, key, load, result, table

pytestmark = pytest.mark.usefixtures("clock")
DAYS = dg.StaticPartitionsDefinition(["a", "b", "c"])
ORDERS, CUSTOMERS = table("orders", partitions_def=DAYS), table("customers")


def newest_id(instance: dg.DagsterInstance, partition: str) -> int:
    wanted = dg.AssetRecordsFilter(dg.AssetKey("orders"), [partition])
    return int(instance.fetch_materializations(wanted, limit=1).records[0].storage_id)


@pytest.mark.covers("tables.partitions")
def test_check_of_a_partitioned_table_judges_the_whole_table(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_suite(sandbox, [result("orders"), result("customers")])
    defs = load(
        sandbox, build_testgen_checks(RUN, tables=TableKeys.from_assets(ORDERS, CUSTOMERS)), assets=[ORDERS, CUSTOMERS]
    )
    for partition in ("a", "b"):
        assert execute(defs, instance, assets=["orders"], checks=[key("orders")], partition_key=partition).success
        [evaluation, *_] = evaluated(instance, key("orders"))
        assert evaluation.passed
        assert evaluation.target_materialization_data is not None
        assert evaluation.target_materialization_data.storage_id == newest_id(instance, partition)
    assert sandbox.starts("testgen") == 2
    assert execute(defs, instance, checks=[key("orders"), key("customers")]).success
