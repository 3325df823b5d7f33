"""The arguments of the factories that Dagster's own decorators also have, and the table of all arguments."""

import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import dagster_runs
from dagster_runs import build_remote_run_asset, build_testgen_checks, build_testgen_profile
from tests.remote_run.materializing import PROFILES, TESTS

REFERENCE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()


@dg.failure_hook
def on_failure(context: dg.HookContext) -> None: ...


@dg.success_hook(name="tell_everybody")
def on_success(context: dg.HookContext) -> None: ...


def test_asset_has_what_the_arguments_say() -> None:
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24))
    asset = build_remote_run_asset(
        PROFILES,
        key="features",
        key_prefix=["marts", "daily"],
        kinds=["snowflake"],
        code_version="3",
        freshness_policy=policy,
        name="features_op",
        op_tags={"dagster/priority": "3"},
        hooks=[on_failure],
    )
    [spec] = asset.specs
    assert spec.key == dg.AssetKey(["marts", "daily", "features"])
    assert spec.kinds == {"snowflake", "rudderstack"}
    assert (spec.code_version, spec.freshness_policy) == ("3", policy)
    assert asset.op.name == "features_op"
    assert asset.op.tags["dagster/priority"] == "3"
    assert asset.hook_defs == {on_failure}


def test_key_prefix_may_be_one_part() -> None:
    asset = build_remote_run_asset(PROFILES, key=["a", "b"], key_prefix="marts")
    assert asset.key == dg.AssetKey(["marts", "a", "b"])


def test_empty_key_prefix_is_none() -> None:
    assert build_remote_run_asset(PROFILES, key="a", key_prefix=[]).key == dg.AssetKey("a")


@pytest.mark.parametrize(("first", "second"), [(["a", "b_c"], ["a_b", "c"]), ("a-b", "a_b")])
def test_name_is_a_way_out_for_keys_whose_ops_have_one_name(first: Any, second: Any) -> None:
    one, other = build_remote_run_asset(PROFILES, key=first), build_remote_run_asset(PROFILES, key=second, name="other")
    dg.Definitions.validate_loadable(dg.Definitions(assets=[one, other], resources={"rudderstack": "any"}))


def test_success_hook_of_a_waiting_step_is_allowed() -> None:
    assert build_remote_run_asset(PROFILES, key="a", hooks={on_success}).hook_defs == {on_success}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hooks": {on_success}, "wait": "defer"}, "success hook tell_everybody, .* when the run has been started"),
        ({"hooks": [print]}, "each must be a hook"),
        ({"hooks": 5}, "must be a list"),
        ({"hooks": on_failure}, "hooks is HookDefinition.*must be a list"),
        ({"op_tags": 5}, "op_tags is 5; it must be a dict"),
        ({"op_tags": {1: "a"}}, "must be a dict with strings as keys"),
        ({"partitions_def": "daily"}, "partitions_def is 'daily'; it must be a definition"),
        ({"retry_policy": 3}, 'The asset a is invalid: Param "retry_policy"'),
        ({"key": "a b"}, "The key a b is invalid: .* can also have '-' and '.'"),
        ({"key": "config"}, "The key config is invalid: .*reserved.* Put a part before it"),
        ({"name": "a-b"}, "letters, digits and underscores"),
        ({"kinds": ["a", "b", "c"]}, "adds rudderstack, so pass at most 2 others"),
        ({"key_prefix": ""}, "key_prefix has"),
        ({"key_prefix": 5}, "key_prefix has"),
        ({"key": None, "specs": [dg.AssetSpec("b")], "key_prefix": "c"}, "write key_prefix in the keys of the specs"),
        ({"owners": ["nobody"]}, "owner"),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_remote_run_asset(PROFILES, **{"key": "a", **arguments})


def test_failure_hook_of_a_deferred_asset_is_allowed() -> None:
    assert build_remote_run_asset(PROFILES, key="a", hooks={on_failure}, wait="defer").hook_defs == {on_failure}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_testgen_checks(TESTS, {"orders": "orders"}), r"`build_testgen_checks\(run, tables=...\)`"),  # type: ignore[misc,arg-type]
        (lambda: build_testgen_profile(TESTS, table={}), "Did you mean tables instead of table"),  # type: ignore[call-arg,arg-type]
        (lambda: dagster_runs.build_completion_sensor([], nmae="x"), "Did you mean name instead of nmae"),  # type: ignore[call-arg]
        (dagster_runs.build_cancel_job, "assets"),
    ],
)
def test_wrong_call_is_explained(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def in_tables(section: str) -> set[str]:
    """Returns the names in the first column of the tables of a section of the reference."""
    [text] = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


@pytest.mark.parametrize(
    ("function", "sections"),
    [
        (build_remote_run_asset, ["Arguments of an asset", "Run options"]),
        (build_testgen_checks, ["Checks on your own tables", "Run options"]),
        (build_testgen_profile, ["Checks on your own tables", "Run options"]),
        (dagster_runs.build_completion_sensor, ["Sensors and jobs"]),
        (dagster_runs.build_observation_sensor, ["Sensors and jobs"]),
        (dagster_runs.build_check_failure_sensor, ["Sensors and jobs"]),
        (dagster_runs.build_cancel_job, ["Sensors and jobs"]),
    ],
)
def test_every_argument_is_in_a_table(function: Callable[..., Any], sections: list[str]) -> None:
    listed = set().union(*(in_tables(section) for section in sections))
    assert [name for name in inspect.signature(function).parameters if name not in listed] == []


@pytest.mark.parametrize("name", ["Amperity", "Prophecy", "RudderStack", "Segmentflow", "TestGen"])
def test_every_resource_setting_is_in_a_table(name: str) -> None:
    listed = in_tables("Resource settings")
    assert [field for field in getattr(dagster_runs, f"{name}Resource").model_fields if field not in listed] == []
