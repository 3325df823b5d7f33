"""The commands of `dg` with the components, as processes in a new project, against the sandbox."""

import json
import shutil
from collections.abc import Iterator

import pytest

from dagster_runs.sandbox import Sandbox, well_known
from tests.slow.dg_project import Dg

pytestmark = pytest.mark.timeout(900)
COMPONENTS = ("Amperity", "Prophecy", "RudderStack", "Segmentflow", "TestGen")
TESTGEN = f"""
type: dagster_runs.TestGenComponent
attributes:
  workspace:
    base_url: "{{{{ env.TESTGEN_URL }}}}"
    access_token: "{{{{ env.TESTGEN_TOKEN }}}}"
    project_code: DEFAULT
  suites:
    - test_suite_id: {well_known.SUITE_FEATURES}
      key: quality/features
      gate: {{min_score: 0.95, blocking: true}}
  discover:
    suites: {{include: ["o*"]}}
    table_groups: {{include: [default]}}
  translation: {{group_name: quality}}
requirements:
  env: [TESTGEN_URL, TESTGEN_TOKEN]
---
type: dagster_runs.ProphecyComponent
attributes:
  workspace: {{access_token: "{{{{ env.PROPHECY_ACCESS_TOKEN }}}}", base_url: "{{{{ env.SANDBOX_URL }}}}/prophecy"}}
  runs:
    - fabric_id: 33290
      project_id: "41459"
      pipeline_name: customer_360
      key: prophecy/customer_360
requirements:
  env: [PROPHECY_ACCESS_TOKEN, SANDBOX_URL]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Dg:
    return Dg(tmp_path_factory.mktemp("dagster_home"), running_sandbox)


@pytest.fixture
def shop(project: Dg, sandbox: Sandbox) -> Iterator[Dg]:
    """The project with one file."""
    project.write(TESTGEN)
    yield project
    shutil.rmtree(project.defs)
    project.defs.mkdir()
    (project.defs / "__init__.py").touch()


def test_components_are_listed(project: Dg) -> None:
    listed = project.dg("list", "components", "--package", "dagster_runs")
    assert [name for name in COMPONENTS if f"dagster_runs.{name}Component" not in listed] == []
    assert "dagster_runs" in project.dg("list", "registry-modules")


def test_scaffolded_files_are_valid_and_contain_no_secrets(shop: Dg) -> None:
    secrets = {
        "Amperity": ["--access-token", "s3cr3t", "--tenant", "acme"],
        "Prophecy": ["--access-token", "s3cr3t"],
        "RudderStack": ["--json-params", json.dumps({"access_token": "s3cr3t", "region": "eu"})],
        "Segmentflow": ["--api-key", "{{ env('KEY', 's3cr3t') }}"],
        "TestGen": ["--access-token", "{{ env.OTHER }}", "--base-url", "https://me:s3cr3t@testgen.example.com"],
    }
    for name in COMPONENTS:
        shop.dg("scaffold", "defs", f"dagster_runs.{name}Component", name.lower(), *secrets[name])
        text = (shop.defs / name.lower() / "defs.yaml").read_text()
        assert "s3cr3t" not in text
        assert "{{ env." in text
    assert "{{ env.OTHER }}" in (shop.defs / "testgen" / "defs.yaml").read_text()
    output = shop.dg("check", "yaml", "--validate-requirements")
    assert "All component YAML validated successfully." in output
    shop.dg("check", "defs", OTHER="token")


def test_definitions_are_listed_and_launched(shop: Dg, sandbox: Sandbox) -> None:
    listed, _ = json.JSONDecoder().raw_decode(shop.dg("list", "defs", "--json").lstrip())
    assets = {asset["asset_key"]: asset for asset in listed["assets"]}
    assert set(assets) == {
        "quality/features",
        "prophecy/customer_360",
        "testgen/suites/orders",
        "testgen/table_groups/default",
    }
    assert assets["testgen/suites/orders"]["dependency_keys"] == ["testgen/table_groups/default"]
    assert assets["quality/features"]["group_name"] == "quality"
    assert "defs.yaml:" in assets["quality/features"]["source"]
    sandbox.set_speed(20)
    assert "RUN_SUCCESS" in shop.dg("launch", "--assets", "key:prophecy/customer_360")
    sandbox.set_speed(1)
    assert sandbox.starts("prophecy") == 1


@pytest.mark.parametrize("view", ["--defs-yaml-schema", "--defs-yaml-example-values", "--defs-yaml-json-schema"])
def test_each_component_can_be_inspected(project: Dg, view: str) -> None:
    for name in ("TestGen", "RudderStack"):
        shown = project.dg("utils", "inspect-component", f"dagster_runs.{name}Component", view)
        assert "workspace" in shown
        assert "blocking" in shown


def test_yaml_check_names_the_line(shop: Dg) -> None:
    shop.write(TESTGEN.replace("min_score", "min_scor"))
    output = shop.dg("check", "yaml", succeeds=False)
    assert "defs.yaml:11 - dagster_runs.TestGenComponent attributes.suites.0.gate.min_scor" in output
    output = shop.dg("check", "defs", "--no-check-yaml", succeeds=False)
    assert "attributes.suites.0.gate.min_scor at " in output
    assert "defs.yaml:11" in output
    assert "there is no field 'min_scor'; did you mean 'min_score'?" in output


@pytest.mark.covers("tables.other-location-blocking")
def test_blocking_check_in_another_code_location(shop: Dg) -> None:
    checks = "checks: {blocking: true, tables: {orders: elsewhere}}\n      key: quality/features"
    shop.write(TESTGEN.replace("key: quality/features", checks))
    assert "they block on elsewhere, but the component finds no such asset" in shop.dg("check", "defs")
    (shop.defs / "tables.py").write_text(
        "import dagster as dg\nfrom dagster_runs import TestGenTestRun, build_testgen_checks\n\n"
        f"run = TestGenTestRun(test_suite_id='{well_known.SUITE_ORDERS}')\n"
        "checks = build_testgen_checks(run, tables={'orders': 'stg_orders'}, blocking=True)\n"
        "own = dg.Definitions(assets=[dg.AssetSpec('orders')])\n"
        "defs = checks.merged_with(own)\n"
    )
    assert "The checks of stg_orders cannot block: this code location" in shop.dg("check", "defs", succeeds=False)


def test_unset_variable_names_the_line(shop: Dg) -> None:
    shop.write(TESTGEN.replace("TESTGEN_TOKEN }}", "TESTGEN_TOKN }}"))
    output = shop.dg("check", "defs", succeeds=False)
    assert "defs.yaml:6 - attributes.workspace.access_token: the environment variable TESTGEN_TOKN is not set" in output


def test_server_that_is_down_stops_nothing(shop: Dg) -> None:
    down = {"TESTGEN_URL": "http://127.0.0.1:9"}
    without_state = shop.dg("list", "defs", **down)
    assert "quality/features" in without_state
    assert "Missing are suites o* and all table groups" in without_state or "Missing are suites o*" in without_state
    assert "✗" in shop.dg("utils", "refresh-defs-state", succeeds=False, **down)
    assert "All 1 components refreshed successfully!" in shop.dg("utils", "refresh-defs-state")
    shop.forget_server()
    for command in (("list", "defs"), ("check", "defs")):
        output = shop.dg(*command, **down)
        assert "The code location is loaded with the state that was fetched" in output
    assert "testgen/suites/orders" in shop.dg("list", "defs", **down)
