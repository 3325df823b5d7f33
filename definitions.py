"""A code location: raw tables → Prophecy and Amperity → Profiles features → quality gates → assets that need good data.

Segmentflow's asset, and what is discovered in TestGen, are defined in YAML: see demo/defs. Each vendor is the real one
if its credentials are in the environment, and the local sandbox otherwise: see demo/connections.py.
"""

from pathlib import Path

import dagster as dg

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    QualityGate,
    RudderStackProfilesRun,
    RudderStackRETLSyncRun,
    TestGenProfilingRun,
    TestGenTestGenerationRun,
    TestGenTestRun,
    build_cancel_job,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_checks,
)
from demo.connections import amperity, fabric_id, id_of, prophecy, rudderstack, set_variables, testgen

set_variables()

raw_tables = [
    dg.AssetSpec(
        ["warehouse", table],
        group_name="warehouse",
        description=f"The table `{table}`, loaded outside Dagster.",
        kinds={"snowflake", "table"},
    )
    for table in ("events", "customers", "orders")
]

warehouse_profile = build_remote_run_asset(
    TestGenProfilingRun(table_group_id=id_of("TESTGEN_TABLE_GROUP_ID")),
    key=["testgen", "warehouse_profile"],
    deps=[spec.key for spec in raw_tables],
    group_name="quality",
    description="TestGen's profiling results for the warehouse's tables.",
    gate=QualityGate(max_failures=5, max_warnings=5),
    timeout=3600,
)

warehouse_tests = build_remote_run_asset(
    TestGenTestGenerationRun(test_suite_id=id_of("TESTGEN_GENERATED_SUITE_ID")),
    key=["testgen", "warehouse_tests"],
    deps=[warehouse_profile],
    group_name="quality",
    description="Tests that TestGen generates from the profiling results, in a suite of their own.",
    timeout=3600,
)

customer_360 = build_remote_run_asset(
    ProphecyPipelineRun(
        fabric_id=fabric_id(),
        project_id=id_of("PROPHECY_PROJECT_ID"),
        pipeline_name=id_of("PROPHECY_PIPELINE_NAME"),
        parameters={"currency": "EUR"},
    ),
    key="customer_360",
    deps=[["warehouse", "customers"], ["warehouse", "orders"]],
    group_name="features",
    description="One row for each customer. Set other `parameters` for a single run in the launchpad.",
    timeout=6 * 3600,
)

churn_report = build_remote_run_asset(
    ProphecyPipelineRun(
        fabric_id=fabric_id(),
        project_id=id_of("PROPHECY_PROJECT_ID"),
        pipeline_name=id_of("PROPHECY_REPORT_NAME"),
    ),
    key="churn_report",
    deps=[customer_360],
    group_name="activation",
    description="The sandbox's pipeline is broken. The check `run_status` shows its error.",
    timeout=6 * 3600,
)

amperity_ingest = build_remote_run_asset(
    AmperityWorkflowRun(config_id=id_of("AMPERITY_CONFIG_ID")),
    key="amperity_ingest",
    deps=[["warehouse", "events"]],
    group_name="features",
    description="A day of events in Amperity. A backfill of a range of days starts one workflow for the whole range.",
    partitions_def=dg.DailyPartitionsDefinition(start_date="2026-11-01"),
    backfill_policy=dg.BackfillPolicy.single_run(),
    timeout=6 * 3600,
)

churn_model = build_remote_run_asset(
    ProphecyPipelineRun(
        fabric_id=fabric_id(),
        project_id=id_of("PROPHECY_PROJECT_ID"),
        pipeline_name=id_of("PROPHECY_PIPELINE_NAME"),
        parameters={"task": "train_churn_model"},
    ),
    key="churn_model",
    deps=[customer_360],
    group_name="activation",
    description="Trained for hours without a waiting process: the step ends at once, and a sensor reports the result.",
    wait="defer",
    timeout=12 * 3600,
)

user_features = build_remote_run_asset(
    RudderStackProfilesRun(profiles_id=id_of("RUDDERSTACK_PROFILES_ID")),
    key="user_features",
    deps=[["warehouse", "events"], ["warehouse", "customers"]],
    group_name="features",
    description="One row for each user, computed by a RudderStack Profiles project.",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    timeout=6 * 3600,
)

features_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id=id_of("TESTGEN_FEATURES_SUITE_ID")),
    key=["testgen", "features_quality"],
    deps=[user_features],
    group_name="quality",
    description="TestGen's tests of the user features.",
    gate=QualityGate(min_score=0.95, blocking=True),
    timeout=3600,
    on_timeout="cancel",
)

orders_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id=id_of("TESTGEN_ORDERS_SUITE_ID")),
    key=["testgen", "orders_quality"],
    deps=[["warehouse", "orders"], ["warehouse", "customers"]],
    group_name="quality",
    description="TestGen's tests of the orders. The sandbox's orders are bad, so nothing downstream of this gate runs.",
    gate=QualityGate(min_score=0.95, blocking=True),
    timeout=3600,
    on_timeout="cancel",
)


crm_audience = build_remote_run_asset(
    RudderStackRETLSyncRun(connection_id=id_of("RUDDERSTACK_CONNECTION_ID")),
    key="crm_audience",
    deps=[features_quality],
    group_name="activation",
    description="The user features in the CRM, synced by Reverse ETL only if they passed their quality gate.",
    gate=QualityGate(max_failures=10),
    timeout=6 * 3600,
    on_timeout="cancel",
)


@dg.asset(
    deps=[churn_model],
    group_name="activation",
    kinds={"python"},
    automation_condition=dg.AutomationCondition.eager(),
)
def churn_scores(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """A score for each customer, computed automatically when there is a new model."""
    context.log.info("There is a new model; computing scores")
    return dg.MaterializeResult(metadata={"customers": 4711})


@dg.asset(deps=[features_quality], group_name="activation", kinds={"python"})
def audience(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Audiences built from the features, only if the features passed their quality gate."""
    context.log.info("The features are good; building audiences")
    return dg.MaterializeResult(metadata={"audiences": 3})


@dg.asset(deps=[orders_quality], group_name="activation", kinds={"python"})
def revenue_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """The numbers for the board, not computed while the orders are bad."""
    context.log.info("The orders are good; computing revenue")
    return dg.MaterializeResult(metadata={"currency": "EUR"})


shop_tables = [
    dg.AssetSpec(
        ["shop", table],
        group_name="shop",
        description=f"The table `{table}` of the shop, loaded outside Dagster and tested by TestGen.",
        kinds={"postgres", "table"},
    )
    for table in ("customers", "orders")
]
# The results of two suites as checks of these tables: those of the customers pass, those of the orders fail.
customers_tests = build_testgen_checks(
    TestGenTestRun(test_suite_id=id_of("TESTGEN_FEATURES_SUITE_ID")),
    tables={"customers": "shop/customers"},
    unmapped="ignore",
    name="customers_tests",
    group_name="quality",
)
orders_tests = build_testgen_checks(
    TestGenTestRun(test_suite_id=id_of("TESTGEN_ORDERS_SUITE_ID")),
    tables={"orders": "shop/orders"},
    blocking=True,
    unmapped="ignore",
    name="orders_tests",
    group_name="quality",
)


@dg.asset(deps=[dg.AssetKey(["shop", "orders"])], group_name="activation", kinds={"python"})
def order_totals(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Totals of the raw orders, not computed while the table's checks fail."""
    context.log.info("The raw orders are good; computing totals")
    return dg.MaterializeResult(metadata={"orders": 8640})


# Amperity's asset has its own schedule because it is partitioned by day. The model is trained once a week.
everything = dg.define_asset_job(
    "everything",
    selection=(dg.AssetSelection.all() - dg.AssetSelection.assets(amperity_ingest, churn_model, churn_scores))
    | dg.AssetSelection.checks(*customers_tests.checks.check_keys, *orders_tests.checks.check_keys),
)
ingest = dg.define_asset_job("ingest", selection=dg.AssetSelection.assets(amperity_ingest))
training = dg.define_asset_job("training", selection=dg.AssetSelection.assets(churn_model))
weekly = dg.ScheduleDefinition(name="weekly", job=training, cron_schedule="0 4 * * 1")
daily = dg.ScheduleDefinition(name="daily", job=everything, cron_schedule="0 5 * * *")

defs = dg.Definitions.merge(
    dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
    dg.Definitions(
        assets=[
            *raw_tables,
            *shop_tables,
            warehouse_profile,
            warehouse_tests,
            customer_360,
            churn_report,
            churn_model,
            churn_scores,
            amperity_ingest,
            user_features,
            features_quality,
            orders_quality,
            crm_audience,
            audience,
            revenue_report,
            order_totals,
            customers_tests.suite,
            orders_tests.suite,
        ],
        asset_checks=[customers_tests.checks, orders_tests.checks],
        jobs=[everything, ingest, training, build_cancel_job([churn_model])],
        schedules=[daily, weekly, dg.build_schedule_from_partitioned_job(ingest)],
        sensors=[
            # Reports the outcomes of the deferred runs.
            build_completion_sensor([churn_model], jobs=[training], default_status=dg.DefaultSensorStatus.RUNNING),
            build_observation_sensor([features_quality, orders_quality, warehouse_profile, crm_audience]),
            dg.AutomationConditionSensorDefinition(
                "automation", target=dg.AssetSelection.all(), default_status=dg.DefaultSensorStatus.RUNNING
            ),
        ],
        resources={
            "amperity": amperity(),
            "prophecy": prophecy(),
            "rudderstack": rudderstack(),
            "testgen": testgen(),
        },
    ),
)
