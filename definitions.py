"""A code location: raw tables → Prophecy and Amperity → Profiles features → quality gates → assets that need good data.

Each vendor is the real one if its credentials are in the environment, and the local sandbox otherwise:

| Vendor | Credentials | Ids of what to run |
|---|---|---|
| Amperity | `AMPERITY_TENANT`, and `AMPERITY_ACCESS_TOKEN`, or `AMPERITY_CLIENT_ID` and `AMPERITY_CLIENT_SECRET` (and `AMPERITY_TOKEN_URL`); `AMPERITY_BASE_URL` for Azure and Australia | `AMPERITY_CONFIG_ID` (a courier group) |
| Prophecy | `PROPHECY_ACCESS_TOKEN` (and `PROPHECY_BASE_URL`) | `PROPHECY_FABRIC_ID`, `PROPHECY_PROJECT_ID`, `PROPHECY_PIPELINE_NAME`, `PROPHECY_REPORT_NAME` |
| RudderStack | `RUDDERSTACK_ACCESS_TOKEN` (and `RUDDERSTACK_REGION`) | `RUDDERSTACK_PROFILES_ID`, `RUDDERSTACK_CONNECTION_ID` (Reverse ETL) |
| Segmentflow | `SEGMENTFLOW_API_KEY` | `SEGMENTFLOW_JOURNEY_KEY` |
| TestGen | `TESTGEN_BASE_URL`, and `TESTGEN_ACCESS_TOKEN` or `TESTGEN_CLIENT_ID`, `TESTGEN_CLIENT_SECRET`, `TESTGEN_REFRESH_TOKEN` | `TESTGEN_TABLE_GROUP_ID`, `TESTGEN_FEATURES_SUITE_ID`, `TESTGEN_ORDERS_SUITE_ID`, `TESTGEN_GENERATED_SUITE_ID` |
"""  # noqa: E501 - a table

import os

import dagster as dg

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    ProphecyResource,
    QualityGate,
    RudderStackProfilesRun,
    RudderStackResource,
    RudderStackRETLSyncRun,
    SegmentflowJourneyRun,
    SegmentflowResource,
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestGenerationRun,
    TestGenTestRun,
    build_cancel_job,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_checks,
)

SANDBOX_URL = os.environ.get("DAGSTER_RUNS_SANDBOX_URL", "http://127.0.0.1:8099")
DAGSTER_URL = os.environ.get("DAGSTER_URL", "http://127.0.0.1:3000")

# The sandbox's own ids and tokens. They are public and give access to nothing real.
_SANDBOX_IDS = {
    "AMPERITY_CONFIG_ID": "cg-2efo5X8vo",
    "PROPHECY_FABRIC_ID": "33290",
    "PROPHECY_PROJECT_ID": "41459",
    "PROPHECY_PIPELINE_NAME": "customer_360",
    "PROPHECY_REPORT_NAME": "customer_360_broken",
    "SEGMENTFLOW_JOURNEY_KEY": "welcome-back",
    "RUDDERSTACK_PROFILES_ID": "2hkeBOp0lGJpMPyur0oXUxxIDhw",
    "RUDDERSTACK_CONNECTION_ID": "2aUd1enceJpMPyur0oXUxxIDcon",
    "TESTGEN_TABLE_GROUP_ID": "0ea85e17-acbe-47fe-8394-9970725ad37d",
    "TESTGEN_FEATURES_SUITE_ID": "f0e1d2c3-0000-4000-8000-000000000001",
    "TESTGEN_ORDERS_SUITE_ID": "f0e1d2c3-0000-4000-8000-000000000002",
    "TESTGEN_GENERATED_SUITE_ID": "c0ffee00-0000-4000-8000-000000000009",
}
_SANDBOX_TOKENS = {
    "SANDBOX_AMPERITY_TOKEN": "sandbox-amperity-token",
    "SANDBOX_PROPHECY_TOKEN": "sandbox-prophecy-token",
    "SANDBOX_SEGMENTFLOW_KEY": "sk_live_sandbox",
    "SANDBOX_RUDDERSTACK_TOKEN": "sandbox-rudderstack-token",
    "SANDBOX_TESTGEN_TOKEN": "sandbox-testgen-token",
}


def _is_real(vendor: str) -> bool:
    variables = {
        "amperity": ("AMPERITY_TENANT", "AMPERITY_ACCESS_TOKEN", "AMPERITY_CLIENT_ID"),
        "prophecy": ("PROPHECY_ACCESS_TOKEN",),
        "rudderstack": ("RUDDERSTACK_ACCESS_TOKEN",),
        "segmentflow": ("SEGMENTFLOW_API_KEY",),
        "testgen": ("TESTGEN_BASE_URL",),
    }[vendor]
    return any(variable in os.environ for variable in variables)


def _id(name: str) -> str:
    """Returns an id from the environment if the vendor's credentials are set, or else the sandbox's id."""
    if not _is_real(name.partition("_")[0].lower()):
        return _SANDBOX_IDS[name]
    if name not in os.environ:
        raise dg.DagsterInvalidDefinitionError(f"Set {name}, because this vendor's credentials are set.")
    return os.environ[name]


def _fabric_id() -> int:
    text = _id("PROPHECY_FABRIC_ID")
    if not text.isdecimal():
        raise dg.DagsterInvalidDefinitionError(f"PROPHECY_FABRIC_ID is {text!r}; it must be a number")
    return int(text)


def _if_set(name: str) -> dg.EnvVar | None:
    return dg.EnvVar(name) if name in os.environ else None


def amperity() -> AmperityResource:
    """Returns the connection to Amperity or to its sandbox."""
    if _is_real("amperity"):
        return AmperityResource(
            tenant=_id("AMPERITY_TENANT"),
            access_token=_if_set("AMPERITY_ACCESS_TOKEN"),
            client_id=_if_set("AMPERITY_CLIENT_ID"),
            client_secret=_if_set("AMPERITY_CLIENT_SECRET"),
            token_url=_if_set("AMPERITY_TOKEN_URL"),
            base_url=os.environ.get("AMPERITY_BASE_URL", "https://app.amperity.com"),
        )
    return AmperityResource(
        tenant="sandbox", access_token=dg.EnvVar("SANDBOX_AMPERITY_TOKEN"), base_url=f"{SANDBOX_URL}/amperity"
    )


def prophecy() -> ProphecyResource:
    """Returns the connection to Prophecy or to its sandbox."""
    if _is_real("prophecy"):
        return ProphecyResource(
            access_token=dg.EnvVar("PROPHECY_ACCESS_TOKEN"),
            base_url=os.environ.get("PROPHECY_BASE_URL", "https://app.prophecy.io"),
        )
    return ProphecyResource(access_token=dg.EnvVar("SANDBOX_PROPHECY_TOKEN"), base_url=f"{SANDBOX_URL}/prophecy")


def segmentflow() -> SegmentflowResource:
    """Returns the connection to Segmentflow or to its sandbox."""
    if _is_real("segmentflow"):
        return SegmentflowResource(api_key=dg.EnvVar("SEGMENTFLOW_API_KEY"))
    return SegmentflowResource(api_key=dg.EnvVar("SANDBOX_SEGMENTFLOW_KEY"), base_url=f"{SANDBOX_URL}/segmentflow")


def rudderstack() -> RudderStackResource:
    """Returns the connection to RudderStack or to its sandbox."""
    if _is_real("rudderstack"):
        return RudderStackResource(
            access_token=dg.EnvVar("RUDDERSTACK_ACCESS_TOKEN"),
            region="eu" if os.environ.get("RUDDERSTACK_REGION", "us").lower() == "eu" else "us",
        )
    return RudderStackResource(
        access_token=dg.EnvVar("SANDBOX_RUDDERSTACK_TOKEN"), base_url=f"{SANDBOX_URL}/rudderstack"
    )


def testgen() -> TestGenResource:
    """Returns the connection to TestGen or to its sandbox."""
    if not _is_real("testgen"):
        return TestGenResource(
            base_url=f"{SANDBOX_URL}/testgen",
            access_token=dg.EnvVar("SANDBOX_TESTGEN_TOKEN"),
            project_code="DEFAULT",
            ui_url=f"{SANDBOX_URL}/testgen/ui",
            dagster_url=DAGSTER_URL,
        )
    return TestGenResource(
        base_url=os.environ["TESTGEN_BASE_URL"],
        project_code=os.environ.get("TESTGEN_PROJECT_CODE"),
        ui_url=os.environ.get("TESTGEN_UI_URL"),
        dagster_url=DAGSTER_URL,
        access_token=_if_set("TESTGEN_ACCESS_TOKEN"),
        client_id=_if_set("TESTGEN_CLIENT_ID"),
        client_secret=_if_set("TESTGEN_CLIENT_SECRET"),
        refresh_token=_if_set("TESTGEN_REFRESH_TOKEN"),
    )


for _name, _value in _SANDBOX_TOKENS.items():
    os.environ.setdefault(_name, _value)

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
    TestGenProfilingRun(table_group_id=_id("TESTGEN_TABLE_GROUP_ID")),
    key=["testgen", "warehouse_profile"],
    deps=[spec.key for spec in raw_tables],
    group_name="quality",
    description="TestGen's profiling results for the warehouse's tables.",
    gate=QualityGate(max_failures=5, max_warnings=5),
    timeout=3600,
)

warehouse_tests = build_remote_run_asset(
    TestGenTestGenerationRun(test_suite_id=_id("TESTGEN_GENERATED_SUITE_ID")),
    key=["testgen", "warehouse_tests"],
    deps=[warehouse_profile],
    group_name="quality",
    description="Tests that TestGen generates from the profiling results, in a suite of their own.",
    timeout=3600,
)

customer_360 = build_remote_run_asset(
    ProphecyPipelineRun(
        fabric_id=_fabric_id(),
        project_id=_id("PROPHECY_PROJECT_ID"),
        pipeline_name=_id("PROPHECY_PIPELINE_NAME"),
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
        fabric_id=_fabric_id(),
        project_id=_id("PROPHECY_PROJECT_ID"),
        pipeline_name=_id("PROPHECY_REPORT_NAME"),
    ),
    key="churn_report",
    deps=[customer_360],
    group_name="activation",
    description="The sandbox's pipeline is broken. The check `run_status` shows its error.",
    timeout=6 * 3600,
)

amperity_ingest = build_remote_run_asset(
    AmperityWorkflowRun(config_id=_id("AMPERITY_CONFIG_ID")),
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
        fabric_id=_fabric_id(),
        project_id=_id("PROPHECY_PROJECT_ID"),
        pipeline_name=_id("PROPHECY_PIPELINE_NAME"),
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
    RudderStackProfilesRun(profiles_id=_id("RUDDERSTACK_PROFILES_ID")),
    key="user_features",
    deps=[["warehouse", "events"], ["warehouse", "customers"]],
    group_name="features",
    description="One row for each user, computed by a RudderStack Profiles project.",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    timeout=6 * 3600,
)

features_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id=_id("TESTGEN_FEATURES_SUITE_ID")),
    key=["testgen", "features_quality"],
    deps=[user_features],
    group_name="quality",
    description="TestGen's tests of the user features.",
    gate=QualityGate(min_score=0.95, blocking=True),
    timeout=3600,
    on_timeout="cancel",
)

orders_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id=_id("TESTGEN_ORDERS_SUITE_ID")),
    key=["testgen", "orders_quality"],
    deps=[["warehouse", "orders"], ["warehouse", "customers"]],
    group_name="quality",
    description="TestGen's tests of the orders. The sandbox's orders are bad, so nothing downstream of this gate runs.",
    gate=QualityGate(min_score=0.95, blocking=True),
    timeout=3600,
    on_timeout="cancel",
)


crm_audience = build_remote_run_asset(
    RudderStackRETLSyncRun(connection_id=_id("RUDDERSTACK_CONNECTION_ID")),
    key="crm_audience",
    deps=[features_quality],
    group_name="activation",
    description="The user features in the CRM, synced by Reverse ETL only if they passed their quality gate.",
    gate=QualityGate(max_failures=10),
    timeout=6 * 3600,
    on_timeout="cancel",
)

welcome = build_remote_run_asset(
    SegmentflowJourneyRun(
        journey_key=_id("SEGMENTFLOW_JOURNEY_KEY"), recipient={"email": "ada@example.com"}, on_exited="succeed"
    ),
    key="welcome_journey",
    deps=[features_quality],
    group_name="activation",
    description="A recipient's run through a journey, which the recipient may leave early, e.g. by a purchase.",
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
    TestGenTestRun(test_suite_id=_id("TESTGEN_FEATURES_SUITE_ID")),
    tables={"customers": "shop/customers"},
    unmapped="ignore",
    name="customers_tests",
    group_name="quality",
)
orders_tests = build_testgen_checks(
    TestGenTestRun(test_suite_id=_id("TESTGEN_ORDERS_SUITE_ID")),
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

defs = dg.Definitions(
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
        welcome,
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
        "segmentflow": segmentflow(),
        "testgen": testgen(),
    },
)
