"""Mistakes that are found when the definitions load."""

from typing import Any

import dagster as dg

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    QualityGate,
    RudderStackProfilesRun,
    RudderStackResource,
    RudderStackRETLSyncRun,
    TestGenResource,
    TestGenTestRun,
    build_cancel_job,
    build_check_failure_sensor,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.sandbox import well_known
from tests.misconfigurations.trying import PROFILES, TESTS, Mistake, Trial, profiles

build: Any = build_remote_run_asset
"""Without the type, since mypy finds many of these mistakes too."""


@dg.asset
def plain_asset() -> None: ...


@dg.success_hook
def send_message(context: dg.HookContext) -> None: ...


def two_sensors(trial: Trial) -> None:
    asset = profiles(wait="defer")
    build_completion_sensor([asset], name="first")
    build_completion_sensor([asset], name="second")


def load(trial: Trial, *assets: Any, **others: Any) -> None:
    resources = {"rudderstack": trial.rudderstack()}
    dg.Definitions.validate_loadable(dg.Definitions(assets=assets, **{"resources": resources, **others}))


def schedule_without_partitions(trial: Trial) -> None:
    schedule = dg.build_schedule_from_partitioned_job(dg.define_asset_job("nightly", selection="user_features"))
    load(trial, profiles(), schedules=[schedule])


IN_DEFINITIONS = [
    Mistake(
        "call.positional",
        "The key is passed as a positional argument",
        lambda trial: build(PROFILES, "user_features"),
        wrong="too many positional arguments",
        advice="pass the others by keyword",
    ),
    Mistake(
        "call.unknown",
        "An argument is misspelled",
        lambda trial: build(PROFILES, key="a", retrypolicy=dg.RetryPolicy()),
        wrong="unexpected keyword argument 'retrypolicy'",
        advice="Did you mean retry_policy",
    ),
    Mistake(
        "call.class",
        "The class is passed, and not a run",
        lambda trial: build(RudderStackProfilesRun, key="a"),
        wrong="run is the class RudderStackProfilesRun",
        advice="pass a run",
    ),
    Mistake(
        "call.annotation",
        "A function that returns the run has no return type",
        lambda trial: build(lambda context: PROFILES, key="a"),
        wrong="needs a return type annotation",
        advice="-> TestGenTestRun",
    ),
    Mistake(
        "call.key",
        "A key of several parts is written with slashes",
        lambda trial: build(PROFILES, key="marts/user_features"),
        wrong="key has 'marts/user_features'",
        advice="write a key of several parts as a list",
    ),
    Mistake(
        "call.deps",
        "`deps` is one asset, and not a list",
        lambda trial: build(PROFILES, key="a", deps="stg_orders"),
        wrong="deps is 'stg_orders'",
        advice="must be a list",
    ),
    Mistake(
        "call.specs",
        "`key` and `specs` are both set",
        lambda trial: build(PROFILES, key="a", specs=[dg.AssetSpec("b")]),
        wrong="not both",
        advice="Pass either key, or specs",
    ),
    Mistake(
        "call.kinds",
        "An asset has too many kinds",
        lambda trial: build(PROFILES, key="a", kinds=["dbt", "snowflake", "python"]),
        wrong="Dagster allows 3",
        advice="pass at most 2 others",
    ),
    Mistake(
        "call.op-names",
        "The ops of two assets have the same name",
        lambda trial: load(trial, profiles(key="orders-daily"), profiles(key="orders_daily")),
        wrong="conflicting node definitions with the same name",
        advice="",
        note="Set `name` on one of the two assets",
    ),
    Mistake(
        "call.reserved-key",
        "A key that Dagster reserves",
        lambda trial: profiles(key="config"),
        wrong="conflicts with a Dagster or python reserved keyword",
        advice="Put a part before it, for example with key_prefix",
    ),
    Mistake(
        "call.success-hook",
        "A success hook of a deferred asset",
        lambda trial: profiles(wait="defer", hooks=[send_message]),
        wrong="would fire when the run has been started",
        advice="Pass a job to build_completion_sensor",
    ),
    Mistake(
        "field.pattern",
        "`profiles_id` is the name of the project",
        lambda trial: RudderStackProfilesRun(profiles_id="User features"),
        wrong="'User features' is not the project's id",
        advice="copy it from the URL of its page",
    ),
    Mistake(
        "field.address",
        "`profiles_id` is the address of its page",
        lambda trial: RudderStackProfilesRun(
            profiles_id="https://app.rudderstack.com/profiles/2hkeBOp0lGJpMPyur0oXUxxIDhw"
        ),
        wrong="this is the URL of a page",
        advice="enter only that part",
    ),
    Mistake(
        "field.uuid",
        "`test_suite_id` is the name of the suite",
        lambda trial: TestGenTestRun(test_suite_id="orders"),
        wrong="'orders' is not a UUID",
        advice="copy the id from the URL of its page",
    ),
    Mistake(
        "field.unknown",
        "A field of a run is misspelled",
        lambda trial: build(RudderStackProfilesRun(profile_id="2hkeBOp0lGJpMPyur0oXUxxIDhw"), key="a"),  # type: ignore[call-arg]
        wrong="there is no field 'profile_id'",
        advice="did you mean 'profiles_id'",
    ),
    Mistake(
        "field.missing",
        "A field of a run is missing",
        lambda trial: RudderStackProfilesRun(),  # type: ignore[call-arg]
        wrong="this field is required",
        advice="from its URL",
    ),
    Mistake(
        "field.variable",
        "A field of a run is a `dg.EnvVar`",
        lambda trial: RudderStackProfilesRun(profiles_id=dg.EnvVar("PROFILES_ID")),
        wrong="only the settings of resources can be",
        advice=r"os.environ\['PROFILES_ID'\]",
    ),
    Mistake(
        "gate.no-results",
        "A gate for a kind of run without checks",
        lambda trial: profiles(gate=QualityGate(min_score=0.95)),
        wrong="has no quality results",
        advice="Leave gate out",
    ),
    Mistake(
        "gate.not-judged",
        "A threshold that the checks do not judge",
        lambda trial: build(RudderStackRETLSyncRun(connection_id="2iXk"), key="a", gate=QualityGate(min_score=0.95)),
        wrong="do not judge it",
        advice="Supported: blocking, max_failures",
    ),
    Mistake(
        "gate.percent",
        "A score in percent",
        lambda trial: QualityGate(min_score=95),
        wrong="95 is not a score from 0 to 1",
        advice="write 95 % as 0.95",
    ),
    Mistake(
        "option.cancel",
        '`on_timeout="cancel"` for a vendor that cannot cancel',
        lambda trial: profiles(on_timeout="cancel"),
        wrong="offers no way to cancel",
        advice="Use on_timeout='leave'",
    ),
    Mistake(
        "option.timeout",
        "A timeout with its unit",
        lambda trial: profiles(timeout="1h"),
        wrong="timeout is '1h'",
        advice="a number of seconds",
    ),
    Mistake(
        "option.max-in-flight",
        "`max_in_flight` of an asset whose steps wait",
        lambda trial: profiles(max_in_flight=1),
        wrong="only for wait='defer'",
        advice="set pool instead",
    ),
    Mistake(
        "setting.unknown",
        "A setting of a resource is misspelled",
        lambda trial: RudderStackResource(access_token="token", retries=3),  # type: ignore[call-arg]
        wrong="there is no field 'retries'",
        advice="did you mean 'max_retries'",
    ),
    Mistake(
        "setting.missing",
        "The resource has no token",
        lambda trial: RudderStackResource(),  # type: ignore[call-arg]
        wrong="access_token: this field is required",
        advice="service access token, with the permission",
    ),
    Mistake(
        "setting.credentials",
        "TestGen has neither a token nor a client",
        lambda trial: TestGenResource(base_url="https://testgen.example.com"),
        wrong="needs access_token",
        advice="or client_id, client_secret and refresh_token",
    ),
    Mistake(
        "setting.region",
        "A region that does not exist",
        lambda trial: RudderStackResource(access_token="token", region="asia"),
        wrong="not 'asia'",
        advice="region must be 'us' or 'eu'",
    ),
    Mistake(
        "setting.tenant",
        "Amperity's tenant is an address",
        lambda trial: AmperityResource(tenant="https://acme.amperity.com", access_token="token"),
        wrong="is not a tenant id",
        advice="enter only the id: acme",
    ),
    Mistake(
        "setting.link",
        "A placeholder of `run_url_template` is misspelled",
        lambda trial: RudderStackResource(access_token="token", run_url_template="https://example.com/{runid}"),
        wrong="there is no placeholder {runid}",
        advice="the placeholders are {run_id}, {target} and {kind}",
    ),
    Mistake(
        "setting.link-credentials",
        "`run_url_template` contains a password",
        lambda trial: RudderStackResource(
            access_token="token", run_url_template="https://me:password@example.com/{run_id}"
        ),
        wrong="it contains credentials",
        advice="Remove them",
    ),
    Mistake(
        "setting.address-credentials",
        "`base_url` contains a password",
        lambda trial: RudderStackResource(access_token="token", base_url="https://me:password@example.com"),
        wrong="it must not contain credentials",
        advice="Remove them",
    ),
    Mistake(
        "resource.missing",
        "The resource is not in the definitions",
        lambda trial: load(trial, profiles(), resources={}),
        wrong="resource with key 'rudderstack' required by op 'user_features' was not provided",
        advice="",
        note="Add it to `resources` of your `Definitions`, or set `resource_key` to the key that it has there",
        part="^resource with key 'rudderstack' required by op 'user_features' was not provided",
    ),
    Mistake(
        "checks.other-vendor",
        "`check_specs` of another vendor's resource",
        lambda trial: TestGenResource.check_specs(PROFILES, "user_features"),
        wrong="which belongs to RudderStack",
        advice="Call check_specs of RudderStack's resource",
    ),
    Mistake(
        "checks.tables",
        "TestGen's checks, and no table is known",
        lambda trial: build_testgen_checks(TESTS, tables={}),
        wrong="tables does not say which tables",
        advice="Pass known_tests",
    ),
    Mistake(
        "sensor.two",
        "Two completion sensors for one asset",
        two_sensors,
        wrong="would report each outcome twice",
        advice="Pass it to only one of them",
    ),
    Mistake(
        "sensor.empty",
        "A completion sensor without assets",
        lambda trial: build_completion_sensor([]),
        wrong="assets is empty",
        advice="Pass the deferred assets, or leave the sensor out",
    ),
    Mistake(
        "sensor.waits",
        "A completion sensor of an asset whose steps wait",
        lambda trial: build_completion_sensor([profiles()]),
        wrong="its steps wait for its runs themselves",
        advice="Set wait='defer', or remove it",
    ),
    Mistake(
        "sensor.other-asset",
        "A sensor of an asset that is not a remote run's",
        lambda trial: build_completion_sensor([plain_asset]),
        wrong="is not an asset from build_remote_run_asset",
        advice="Leave it out",
    ),
    Mistake(
        "sensor.not-listed",
        "An observation sensor for a vendor that cannot list runs",
        lambda trial: build_observation_sensor([profiles()]),
        wrong="offers no way to list Profiles runs",
        advice="Leave this asset out of the observation sensor",
    ),
    Mistake(
        "sensor.workflow-name",
        "An observation sensor for Amperity without the workflow's name",
        lambda trial: build_observation_sensor(
            [build(AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), key="orders")]
        ),
        wrong="does not report which workflows run",
        advice="set workflow_name on the run",
    ),
    Mistake(
        "sensor.no-checks",
        "A check failure sensor of an asset without checks",
        lambda trial: build_check_failure_sensor([plain_asset], job=dg.define_asset_job("alert", "plain_asset")),
        wrong="whose definition has no checks",
        advice="pass these checks",
    ),
    Mistake(
        "job.cancel",
        "A cancel job of an asset whose steps wait",
        lambda trial: build_cancel_job([profiles()]),
        wrong="its steps wait for its runs themselves",
        advice="Set wait='defer', or remove it",
    ),
    Mistake(
        "schedule.partitions",
        "A schedule for the partitions of a job that has none",
        schedule_without_partitions,
        wrong="must contain partitioned assets",
        advice="",
        note="Set `partitions_def` on the assets, or use `ScheduleDefinition(job=..., cron_schedule=...)`",
    ),
]
