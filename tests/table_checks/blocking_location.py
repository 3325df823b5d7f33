"""A code location in which a table that a suite tests is upstream of another one, with an asset in between."""

import dagster as dg

from dagster_runs import TestGenResource, build_testgen_checks
from tests.table_checks.suites import RUN, table

TABLES = [table("orders"), table("between", "orders"), table("customers", "between")]
CHECKS = build_testgen_checks(RUN, tables={"orders": "orders", "customers": "customers"}, blocking_tables=["orders"])

defs = dg.Definitions.merge(
    dg.Definitions(
        assets=TABLES,
        jobs=[dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*CHECKS.checks.check_keys))],
        resources={"testgen": TestGenResource(base_url="http://127.0.0.1:9", access_token="none")},
        executor=dg.in_process_executor,
    ),
    CHECKS.definitions(),
)
