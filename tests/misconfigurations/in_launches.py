"""Mistakes that are found when a Dagster run begins, before anything is started at the vendor."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_runs import (
    QualityGate,
    RudderStackProfilesRun,
    RudderStackResource,
    SegmentflowJourneyRun,
    TestGenResource,
    build_remote_run_asset,
)
from tests.misconfigurations.trying import TESTS, Mistake, Trial, profiles

DAYS = dg.DailyPartitionsDefinition("2026-11-01")
VARIABLE = "RUDDERSTACK_SETTING"


def with_variable(trial: Trial, value: str | None, setting: str) -> Any:
    trial.patch.delenv(VARIABLE, raising=False)
    if value is not None:
        trial.patch.setenv(VARIABLE, value)
    return trial.profiles_with(**{setting: dg.EnvVar(VARIABLE)})


def journey(variables: dict[str, str], **options: Any) -> dg.AssetsDefinition:
    run = SegmentflowJourneyRun(journey_key="welcome-back", recipient={"email": "a@example.com"}, variables=variables)
    return build_remote_run_asset(run, key="journey", **options)


@dg.asset
def passes_class(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
    yield from rudderstack.run(context, RudderStackProfilesRun)  # type: ignore[arg-type]


@dg.asset
def undeclared_checks(context: dg.AssetExecutionContext, testgen: TestGenResource) -> Iterator[Any]:
    yield from testgen.run(context, TESTS, gate=QualityGate(min_score=0.95))


@dg.asset
def forgets_events(context: dg.AssetExecutionContext, testgen: TestGenResource) -> None:
    testgen.run(context, TESTS)


IN_LAUNCHES = [
    Mistake(
        "variable.unset",
        "The variable with the token is not set",
        lambda trial: with_variable(trial, None, "access_token"),
        wrong='environment variable "RUDDERSTACK_SETTING" which is not set',
        advice="it must be set in this environment",
        note="This is the environment of the code location and of its runs",
        part=r"You have attempted to fetch .*? must be set in this environment\.",
    ),
    Mistake(
        "variable.empty",
        "The variable with the token is empty",
        lambda trial: with_variable(trial, "", "access_token"),
        wrong="the environment variable RUDDERSTACK_SETTING is empty",
        advice="set a value",
    ),
    Mistake(
        "variable.empty-url",
        "The variable with the base URL is empty",
        lambda trial: with_variable(trial, " ", "base_url"),
        wrong="the environment variable RUDDERSTACK_SETTING is empty",
        advice="or leave the setting out",
    ),
    Mistake(
        "variable.number",
        "The variable with a number contains text",
        lambda trial: with_variable(trial, "five", "max_retries"),
        wrong="RUDDERSTACK_SETTING contains 'five'",
        advice="Input should be a valid integer",
    ),
    Mistake(
        "url.scheme",
        "The base URL has no scheme",
        lambda trial: trial.profiles_with(base_url="rudderstack.example.com"),
        wrong="is not an absolute http",
        advice="Set the resource's `base_url` to the URL of the API",
    ),
    Mistake(
        "url.plain-http",
        "The base URL of another machine is plain HTTP",
        lambda trial: trial.profiles_with(base_url="http://rudderstack.example.com"),
        wrong="would be sent unencrypted",
        advice="Use https, or set `allow_plain_http=True`",
    ),
    Mistake(
        "url.ca-bundle",
        "`ca_bundle` is the path of no file",
        lambda trial: trial.profiles_with(base_url="https://127.0.0.1:9", ca_bundle="/etc/no-such-file.pem"),
        wrong="cannot be read",
        advice="ca_bundle",
    ),
    Mistake(
        "resource.key",
        "`resource_key` is that of another vendor",
        lambda trial: trial.materialize(profiles(resource_key="testgen")),
        wrong="'testgen' is a TestGenResource",
        advice="or set resource_key to its key",
    ),
    Mistake(
        "resource.type",
        "The resource is only the token",
        lambda trial: trial.profiles_with("sk_live_token"),
        wrong="'rudderstack' is a str",
        advice="Put RudderStack's resource under this key",
    ),
    Mistake(
        "resource.class",
        "The resource is the class",
        lambda trial: trial.profiles_with(RudderStackResource),
        wrong="is the class RudderStackResource",
        advice=r"Pass a resource: `RudderStackResource\(...\)`",
    ),
    Mistake(
        "partition.type",
        "`{window_start}`, and the partitions are not by time",
        lambda trial: trial.materialize(
            journey({"since": "{window_start}"}, partitions_def=dg.StaticPartitionsDefinition(["eu", "us"])),
            partition_key="eu",
        ),
        wrong="the asset has no partitions by time",
        advice="Give it partitions by time, or remove the placeholder",
    ),
    Mistake(
        "partition.placeholder",
        "`{partition_key}`, and the asset has no partitions",
        lambda trial: trial.materialize(journey({"day": "{partition_key}"})),
        wrong="no single partition in this run",
        advice="Launch it with one partition, or remove the placeholder",
    ),
    Mistake(
        "partition.missing",
        "A partitioned asset is launched without a partition",
        lambda trial: trial.materialize(profiles(partitions_def=DAYS)),
        wrong="was launched without a partition",
        advice="Launch it with a partition",
    ),
    Mistake(
        "config.value",
        "A wrong value in the launchpad",
        lambda trial: trial.materialize(
            profiles(), run_config={"ops": {"user_features": {"config": {"profiles_id": "User features"}}}}
        ),
        wrong="The launch config does not make a valid RudderStackProfilesRun",
        advice="copy it from the URL of its page",
    ),
    Mistake(
        "own.class",
        "`run()` gets the class, and not a run",
        lambda trial: trial.materialize(passes_class),
        wrong="run is the class RudderStackProfilesRun",
        advice="pass a run",
    ),
    Mistake(
        "own.gate",
        "`run()` gets a gate, and the asset declares no checks",
        lambda trial: trial.materialize(undeclared_checks),
        wrong="does not declare tests_passed",
        advice="Declare the checks in the asset's decorator",
    ),
    Mistake(
        "own.events",
        "The events of `run()` are not yielded",
        lambda trial: trial.materialize(forgets_events),
        wrong="did not yield or return expected outputs",
        advice="write `yield from testgen.run",
    ),
]
