"""Runs of each vendor from YAML, materialized against the sandbox."""

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.components.projects import Project, component_in

RUDDERSTACK = """
type: dagster_runs.RudderStackComponent
attributes:
  workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}", base_url: "{{ env.SANDBOX_URL }}/rudderstack"}
  profiles:
    - profiles_id: 2hkeBOp0lGJpMPyur0oXUxxIDhw
      key: user_features
  reverse_etl_syncs:
    - connection_id: 2aUd1enceJpMPyur0oXUxxIDcon
      key: crm/audience
      deps: [user_features]
"""
AMPERITY = """
type: dagster_runs.AmperityComponent
attributes:
  workspace:
    tenant: "{{ env.AMPERITY_TENANT }}"
    access_token: "{{ env.AMPERITY_ACCESS_TOKEN }}"
    base_url: "{{ env.SANDBOX_URL }}/amperity"
  runs:
    - config_id: cg-2efo5X8vo
      key: amperity/orders
"""
SEGMENTFLOW = """
type: dagster_runs.SegmentflowComponent
attributes:
  workspace: {api_key: "{{ env.SEGMENTFLOW_API_KEY }}", base_url: "{{ env.SANDBOX_URL }}/segmentflow"}
  runs:
    - journey_key: welcome-back
      recipient: {email: someone@example.com}
      key: segmentflow/welcome_back
"""
PROPHECY = """
type: dagster_runs.ProphecyComponent
attributes:
  workspace: {access_token: "{{ env.PROPHECY_ACCESS_TOKEN }}", base_url: "{{ env.SANDBOX_URL }}/prophecy"}
  runs:
    - fabric_id: 33290
      project_id: "41459"
      pipeline_name: customer_360
      parameters: {max_rows: 1000}
      key: prophecy/customer_360
"""
TESTGEN = """
type: dagster_runs.TestGenComponent
attributes:
  workspace:
    base_url: "{{ env.TESTGEN_URL }}"
    access_token: "{{ env.TESTGEN_TOKEN }}"
    project_code: DEFAULT
  table_groups:
    - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
      key: testgen/profile
  suites:
    - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
      key: testgen/features_quality
      deps: [testgen/profile]
      gate: {min_score: 0.95, blocking: true}
  test_generations:
    - test_suite_id: c0ffee00-0000-4000-8000-000000000009
      key: testgen/generated
"""
HOOKS = """
import dagster as dg


@dg.failure_hook
def page_somebody(context): ...


@dg.template_var
def our_hooks():
    return [page_somebody]
"""
ALL = {
    "rudderstack": (RUDDERSTACK, {"user_features", "crm/audience"}),
    "amperity": (AMPERITY, {"amperity/orders"}),
    "segmentflow": (SEGMENTFLOW, {"segmentflow/welcome_back"}),
    "prophecy": (PROPHECY, {"prophecy/customer_360"}),
    "testgen": (TESTGEN, {"testgen/profile", "testgen/features_quality", "testgen/generated"}),
}


@pytest.mark.parametrize("vendor", ALL)
def test_each_vendor_materializes_its_runs(
    vendor: str, project: Project, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    yaml, keys = ALL[vendor]
    project.write(yaml)
    defs = project.load()
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    assert result.success
    materialized = {
        event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key
    }
    assert materialized == keys
    assert sandbox.starts(vendor) == len(keys)


def test_an_asset_has_what_its_item_says(project: Project) -> None:
    project.write(
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: testgen/features
              deps: [stg/features]
              group_name: quality
              description: Tests of the features
              tags: {team: data, tier: 1, active: true}
              owners: ["team:data"]
              kinds: [snowflake]
              metadata: {wiki: features}
              code_version: "2"
              automation_condition: "{{ automation_condition.eager() }}"
              partitions_def: {type: daily, start_date: 2026-01-01}
              backfill_policy: {type: single_run}
              retry_policy: {max_retries: 2, delay: 30, backoff: EXPONENTIAL}
              pool: testgen
              name: quality_of_features
              op_tags: {dagster/priority: 3}
              hooks: "{{ our_hooks }}"
              timeout: 600
              on_timeout: cancel
        template_vars_module: .hooks
        """
    )
    (project.defs_folder / "runs" / "hooks.py").write_text(HOOKS)
    asset = project.load().get_assets_def(dg.AssetKey(["testgen", "features"]))
    spec = asset.specs_by_key[dg.AssetKey(["testgen", "features"])]
    assert [dep.asset_key.to_user_string() for dep in spec.deps] == ["stg/features"]
    assert (spec.group_name, spec.description, spec.code_version) == ("quality", "Tests of the features", "2")
    assert {"team": "data", "tier": "1", "active": "true"}.items() <= spec.tags.items()
    assert spec.owners == ["team:data"]
    assert {"snowflake", "testgen"} <= spec.kinds
    assert spec.metadata["wiki"] == "features"
    assert spec.automation_condition == dg.AutomationCondition.eager()
    assert asset.partitions_def == dg.DailyPartitionsDefinition("2026-01-01")
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()
    assert asset.op.retry_policy == dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL)
    assert asset.op.pool == "testgen"
    assert asset.op.name == "quality_of_features"
    assert asset.op.tags["dagster/priority"] == "3"
    assert [hook.name for hook in asset.hook_defs] == ["page_somebody"]


def test_run_url_template_of_a_workspace(project: Project) -> None:
    template = "https://example.com/{kind}/{target}/{run_id}"
    workspace = f'access_token: "{{{{ env.RUDDERSTACK_ACCESS_TOKEN }}}}", run_url_template: "{template}"'
    attributes = f"attributes:\n  workspace: {{{workspace}}}\n  profiles: [{{profiles_id: abc, key: a}}]\n"
    project.write(f"type: dagster_runs.RudderStackComponent\n{attributes}")
    assert (project.load().resources or {})["rudderstack"].run_url_template == template


def test_name_is_a_way_out_for_two_ops_of_one_name(project: Project) -> None:
    item = "    - {profiles_id: abc, key: %s}\n"
    workspace = '  workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}\n  profiles:\n'
    named = item.replace("}", ", name: second}") % "a_b"
    project.write(f"type: dagster_runs.RudderStackComponent\nattributes:\n{workspace}{item % 'a-b'}{named}")
    assert len(project.load().resolve_all_asset_specs()) == 2


def test_deferred_runs_get_a_completion_sensor_and_a_cancel_job(project: Project) -> None:
    project.write(SEGMENTFLOW + "      wait: defer\n")
    defs = project.load()
    assert [sensor.name for sensor in defs.sensors or ()] == ["segmentflow_completion"]
    assert "cancel_segmentflow_runs" in {job.name for job in defs.resolve_all_job_defs()}


def test_completion_sensor_takes_options(project: Project) -> None:
    options = "{default_status: RUNNING, minimum_interval_seconds: 15, name: ends}"
    project.write(f"{SEGMENTFLOW}      wait: defer\n  completion_sensor: {options}\n")
    (sensor,) = project.load().sensors or ()
    assert (sensor.name, sensor.minimum_interval_seconds) == ("ends", 15)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("value", ["false", "{enabled: false}"])
def test_completion_sensor_can_be_left_out(project: Project, value: str) -> None:
    project.write(f"{SEGMENTFLOW}      wait: defer\n  completion_sensor: {value}\n")
    assert not project.load().sensors


def test_observation_sensor_reports_runs_of_the_vendor(project: Project) -> None:
    project.write(f"{TESTGEN}  observation_sensor: true\n")
    assert [sensor.name for sensor in project.load().sensors or ()] == ["testgen_observation"]


def test_observe_only_asset_cannot_be_materialized(project: Project) -> None:
    project.write(f"{AMPERITY}      workflow_name: Orders\n      observe_only: true\n")
    defs = project.load()
    graph = defs.resolve_asset_graph()
    assert not graph.get(dg.AssetKey(["amperity", "orders"])).is_executable
    assert {key.name for key in graph.asset_check_keys} == {"run_status", "tasks_succeeded"}
    assert [sensor.name for sensor in defs.sensors or ()] == ["amperity_observation"]


def test_several_documents_in_one_file(project: Project) -> None:
    project.write(f"{RUDDERSTACK}\n---\n{PROPHECY}\n---\n{AMPERITY}")
    defs = project.load()
    assert set(defs.resources or {}) == {"rudderstack", "prophecy", "amperity"}


def test_post_processing_applies_to_the_assets(project: Project) -> None:
    project.write(
        RUDDERSTACK
        + """
post_processing:
  assets:
    - target: "*"
      attributes: {group_name: crm, tags: {team: data}}
"""
    )
    specs = project.load().resolve_all_asset_specs()
    assert {spec.group_name for spec in specs} == {"crm"}
    assert all(spec.tags["team"] == "data" for spec in specs)


def test_values_come_from_variables(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FABRIC": "33290", "PROJECT_ID": "41459", "SECONDS": "90", "MAX_ROWS": "1e5"}.items():
        monkeypatch.setenv(name, value)
    project.write(
        """
        type: dagster_runs.ProphecyComponent
        attributes:
          workspace: {access_token: "{{ env.PROPHECY_ACCESS_TOKEN }}", poll_interval: "{{ env.SECONDS }}"}
          runs:
            - fabric_id: "{{ env.FABRIC }}"
              project_id: "{{ env.PROJECT_ID }}"
              pipeline_name: "p{{ env.PROJECT_ID }}"
              parameters: {max_rows: "{{ env.MAX_ROWS }}"}
              key: prophecy/customer_360
              timeout: "{{ env.SECONDS }}"
        """
    )
    component = component_in(project)
    (entry,) = component.entries
    assert (entry.run.fabric_id, entry.run.project_id, entry.run.pipeline_name) == (33290, "41459", "p41459")
    assert entry.run.parameters == {"max_rows": "1e5"}
    assert entry.options["timeout"] == 90
    assert component.resource.poll_interval == 90


def test_tag_without_a_value(project: Project) -> None:
    project.write(PROPHECY.replace("key: prophecy", "tags: {reviewed: , owner: data}\n      key: prophecy"))
    (spec,) = project.load().resolve_all_asset_specs()
    assert {name: spec.tags[name] for name in ("reviewed", "owner")} == {"reviewed": "", "owner": "data"}
