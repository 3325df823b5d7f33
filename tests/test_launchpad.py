"""The launchpad: the values that it shows, what counts as an override, and the texts of the UI."""

from typing import Any, Literal

import dagster as dg
import pytest

import dagster_runs
from dagster_runs import (
    RudderStackProfilesRun,
    RudderStackResource,
    SegmentflowJourneyRun,
    build_remote_run_asset,
    build_testgen_checks,
    run_config_for,
)
from dagster_runs.launchpad import config_schema
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import sandbox_resources
from tests.remote_run.acme_jobs import Job, define
from tests.remote_run.materializing import PROFILES, TESTS, materialize

DAYS = dg.DailyPartitionsDefinition(start_date="2026-11-01")
MODELS = PROFILES.with_fields({"model_refs": ["models/a"]})
RESOURCES = ("AmperityResource", "ProphecyResource", "RudderStackResource", "SegmentflowResource", "TestGenResource")
RUNS = (
    "AmperityWorkflowRun",
    "ProphecyPipelineRun",
    "RudderStackProfilesRun",
    "RudderStackRETLSyncRun",
    "SegmentflowJourneyRun",
    "TestGenProfilingRun",
    "TestGenTestGenerationRun",
    "TestGenTestRun",
)


def shown(asset: dg.AssetsDefinition) -> Any:
    """Returns the config that the launchpad opens with."""
    job = dg.Definitions(assets=[asset], resources={**sandbox_resources("http://127.0.0.1:1"), "acme": "any"})
    fields = job.resolve_implicit_global_asset_job_def().run_config_schema.config_type.fields
    return fields["ops"].default_value.get(asset.op.name, {}).get("config")


def sent(sandbox: Sandbox) -> list[str]:
    return list(sandbox.runs("rudderstack")[-1].parameters)


def test_present_values_of_a_fixed_run_are_shown() -> None:
    asset = build_remote_run_asset(MODELS, key="features")
    assert shown(asset) == {"profiles_id": PROFILES.profiles_id, "model_refs": ["models/a"]}


def test_sensitive_values_are_not_shown() -> None:
    run = SegmentflowJourneyRun(journey_key="welcome-back", recipient={"email": "ada@example.com"})
    assert shown(build_remote_run_asset(run, key="mail")) == {"journey_key": "welcome-back"}


def test_run_from_a_function_shows_no_values() -> None:
    def choose(context: dg.AssetExecutionContext) -> RudderStackProfilesRun:
        return MODELS

    assert not shown(build_remote_run_asset(choose, key="features"))


class ScaledRun(Job):
    """A job whose fields are neither texts nor lists of one type.

    Args:
        factor: The factor.
        limits: The limits.
    """

    factor: Literal[1, 2] = 1
    limits: tuple[int, str] = (1, "day")


@pytest.mark.parametrize("fields", [{"factor": 2}, {"limits": [3, "week"]}])
def test_values_of_several_types_can_be_overridden(fields: dict[str, Any]) -> None:
    asset = build_remote_run_asset(ScaledRun(factor=1, limits=(1, "day")), key="scaled")
    job = dg.Definitions(assets=[asset], resources={"acme": "any"}).resolve_implicit_global_asset_job_def()
    assert shown(asset) == {"factor": 1, "limits": [1, "day"]}
    assert (
        dg.validate_run_config(job, run_config_for(asset, **fields))["ops"]["scaled"]["config"].items()
        >= fields.items()
    )


def test_classes_of_one_name_have_their_own_choices() -> None:
    assets, config = [], {}
    for module, choice in (("first", "a"), ("second", "b")):
        kind = define(__module__=module, __annotations__={"mode": Literal[choice, "none"]}, mode="none")
        assets.append(build_remote_run_asset(kind(), key=module))
        config |= run_config_for(assets[-1], mode=choice)["ops"]
    job = dg.Definitions(assets=assets, resources={"acme": "any"}).resolve_implicit_global_asset_job_def()
    assert dg.validate_run_config(job, {"ops": config})["ops"]["second"]["config"] == {"mode": "b"}


@pytest.mark.usefixtures("clock")
def test_value_that_is_only_shown_is_not_an_override(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(MODELS, key="features", partitions_def=DAYS)
    config = {"ops": {"features": {"config": shown(asset)}}}  # as the launchpad sends it if nothing is changed
    assert materialize([asset], sandbox, instance, partition_key="2026-11-03", run_config=config).success
    unchanged = ["--model_refs models/a", "--begin_time 2026-11-03T00:00:00Z", "--end_time 2026-11-04T00:00:00Z"]
    assert sent(sandbox) == unchanged
    assert materialize([asset], sandbox, instance, partition_key="2026-11-03").success
    assert sent(sandbox) == unchanged
    config["ops"]["features"]["config"]["model_refs"] = ["models/b"]
    assert materialize([asset], sandbox, instance, partition_key="2026-11-03", run_config=config).success
    assert sent(sandbox)[0] == "--model_refs models/b"


def test_run_config_for_names_all_wrong_values() -> None:
    asset = build_remote_run_asset(MODELS, key="features")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"model_refs\.0: .*; rebase_incremental: "):
        run_config_for(asset, model_refs=[5], rebase_incremental="perhaps")


def test_run_config_for_takes_the_asset_and_not_its_key() -> None:
    key: Any = "features"
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="pass what build_remote_run_asset returned"):
        run_config_for(key, model_refs=[])


@pytest.mark.usefixtures("clock")
def test_run_config_for_overrides_fields(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(PROFILES, key=["marts", "features"], name="features_op")
    config = run_config_for(asset, rebase_incremental=True, begin_time="2026-11-03")
    assert config == {
        "ops": {"features_op": {"config": {"rebase_incremental": True, "begin_time": "2026-11-03T00:00:00Z"}}}
    }
    assert materialize([asset], sandbox, instance, run_config=config).success
    assert sent(sandbox) == ["--begin_time 2026-11-03T00:00:00Z", "--rebase_incremental"]


def test_run_config_for_works_for_checks_and_functions() -> None:
    def choose(context: dg.AssetExecutionContext) -> RudderStackProfilesRun:
        return PROFILES

    checks = build_testgen_checks(TESTS, tables={"orders": "orders"}, name="suite")
    assert run_config_for(checks, match_schema_name="sales") == {
        "ops": {"suite": {"config": {"match_schema_name": "sales"}}}
    }
    asset = build_remote_run_asset(choose, key="features")
    assert run_config_for(asset, model_refs=("a",)) == {"ops": {"features": {"config": {"model_refs": ["a"]}}}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rebase": True}, "no field 'rebase'; its fields are profiles_id"),
        ({"rebase_incrementel": True}, "did you mean 'rebase_incremental'"),
        ({"profiles_id": "my project"}, "profiles_id: 'my project' is not the project's id"),
        ({"begin_time": "2026-11-03", "end_time": "2026-11-01"}, "RudderStackProfilesRun: begin_time"),
    ],
)
def test_run_config_for_refuses_invalid_fields(fields: dict[str, Any], message: str) -> None:
    asset = build_remote_run_asset(PROFILES, key="features")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        run_config_for(asset, **fields)


def test_run_config_for_refuses_other_assets() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="is not an asset from build_remote_run_asset"):
        run_config_for(dg.asset(name="other")(lambda: None))


def reads_well(text: str | None) -> bool:
    return bool(text) and "`" not in str(text) and "Args:" not in str(text) and "\n    " not in str(text)


@pytest.mark.parametrize("name", RESOURCES)
def test_texts_of_the_page_of_a_resource_read_well(name: str) -> None:
    settings = {"tenant": "acme", "base_url": "https://api.example.com"}
    resource_class = getattr(dagster_runs, name)
    secret = "api_key" if "api_key" in resource_class.model_fields else "access_token"
    own = {key: value for key, value in settings.items() if key in resource_class.model_fields}
    definition = resource_class(**own, **{secret: dg.EnvVar("SECRET")}).get_resource_definition()
    assert reads_well(definition.description)
    fields = definition.config_schema.as_field().config_type.fields
    assert [setting for setting, field in fields.items() if not reads_well(field.description)] == []
    assert "Args:" in (resource_class.__doc__ or "")  # for editors and help()


@pytest.mark.parametrize("name", RUNS)
def test_texts_of_the_launchpad_read_well(name: str) -> None:
    fields = config_schema(getattr(dagster_runs, name), {})
    assert [field for field, one in fields.items() if not reads_well(one.description)] == []
    assert [field for field, one in fields.items() if str(one.description).endswith("only.")] == []


def test_description_of_a_resource_has_its_paragraphs() -> None:
    resource = RudderStackResource(access_token=dg.EnvVar("SECRET"))
    text = resource.get_resource_definition().description or ""
    assert text.startswith("Connection to RudderStack.\n\nSource: https://www.rudderstack.com/docs/api/profiles-api/")
