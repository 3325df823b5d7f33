"""A code location with checks of tables, for tests whose steps run in processes of their own."""

import os

import dagster as dg

from dagster_runs import QualityGate, TableKeys, build_testgen_checks
from dagster_runs.testing import sandbox_resources
from tests.table_checks.suites import RUN, SUITE_KEY, table

TABLES = [table("orders"), table("customers", "orders")]
CHECKS = build_testgen_checks(
    RUN,
    tables=TableKeys.from_assets(TABLES),
    blocking_tables=["customers"],
    gate=QualityGate(blocking=True),
)


@dg.asset(deps=[SUITE_KEY])
def report() -> None: ...


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[*TABLES, report],
        jobs=[dg.define_asset_job("all", selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks())],
        resources=sandbox_resources(os.environ.get("SANDBOX_URL", "http://127.0.0.1:9")),
        executor=dg.multiprocess_executor,
    ),
    CHECKS.definitions(),
)
