"""Ticks of the sensors of components, with assets, checks and resources that only YAML defines."""

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.components.projects import Project
from tests.components.test_table_checks import TABLES, WORKSPACE
from tests.sensors.driving import Driver
from tests.table_checks.suites import evaluated, key, materialize, outcomes

SUITE = f"""{WORKSPACE}
  suites:
    - test_suite_id: {well_known.SUITE_ORDERS}
      key: quality/orders
      gate: {{min_score: 0.1}}
      checks: {{severity: {{failed: WARN}}, tables: {{orders: stg_orders, customers: stg_customers}}}}
"""
WORKFLOW = f"""
type: dagster_runs.AmperityComponent
attributes:
  workspace:
    tenant: "{{{{ env.AMPERITY_TENANT }}}}"
    access_token: "{{{{ env.AMPERITY_ACCESS_TOKEN }}}}"
    base_url: "{{{{ env.SANDBOX_URL }}}}/amperity"
    requests_per_second: 1000  # the rate limit uses real time
  runs:
    - config_id: {well_known.AMPERITY_COURIERS}
      key: amperity/orders
"""
WORKFLOW_KEY = dg.AssetKey(["amperity", "orders"])


@pytest.fixture(autouse=True)
def tables(project: Project) -> None:
    """Writes a Python file with the assets of two tables."""
    (project.defs_folder / "tables.py").write_text(TABLES)


@pytest.fixture
def unlimited(sandbox: Sandbox) -> None:
    """Switches off the sandbox's rate limit, which uses real time."""
    sandbox.configure("amperity", requests_per_second=None)


def driver_of(project: Project, sensor: str, instance: dg.DagsterInstance) -> Driver:
    """The daemon of a sensor of the project, with the resources of the project."""
    job = dg.define_asset_job("start", selection=dg.AssetSelection.all_asset_checks())
    own = dg.Definitions(jobs=[job], executor=dg.in_process_executor)
    definitions = dg.Definitions.merge(project.load(), own)
    found = definitions.resolve_sensor_def(sensor)
    driver = Driver(found, [], None, instance, resources=dict(definitions.resources or {}))
    driver.definitions = definitions
    return driver


def reported(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[str]:
    """The remote runs that materialized an asset, newest first."""
    found = instance.fetch_materializations(asset, limit=10).records
    return [
        str(one.asset_materialization.metadata["dagster_runs/run_id"].value)
        for one in found
        if one.asset_materialization is not None
    ]


def test_completion_sensor_reports_the_checks_of_a_suite(
    project: Project, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{SUITE}      wait: defer")
    driver = driver_of(project, "testgen_completion", instance)
    materialize(instance, "stg_orders", "stg_customers")
    assert driver.job("start").execute_in_process(instance=instance).success
    driver.ticks(clock, 8)
    assert outcomes(instance, "stg_orders", "stg_customers") == {"stg_orders": "WARN", "stg_customers": "WARN"}
    assert [one.passed for one in evaluated(instance, key("quality/orders", "quality_score"))] == [True]
    assert sandbox.starts("testgen") == 1


def test_observation_sensor_reports_the_checks_of_a_suite(
    project: Project, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{SUITE}  observation_sensor: true")
    driver = driver_of(project, "testgen_observation", instance)
    driver.tick()
    run = sandbox.start_run(well_known.SUITE_ORDERS, vendor="testgen")
    driver.ticks(clock, 8)
    assert reported(instance, dg.AssetKey(["quality", "orders"])) == [run.id]
    assert outcomes(instance, "stg_orders", "stg_customers") == {"stg_orders": "WARN", "stg_customers": "WARN"}
    assert [one.passed for one in evaluated(instance, key("quality/orders", "quality_score"))] == [True]


def test_completion_sensor_reports_a_workflow(
    project: Project, sandbox: Sandbox, unlimited: None, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{WORKFLOW}      wait: defer")
    driver = driver_of(project, "amperity_completion", instance)
    started = driver.definitions.resolve_implicit_global_asset_job_def()
    assert started.execute_in_process(instance=instance, asset_selection=[WORKFLOW_KEY]).success
    driver.ticks(clock, 20)
    assert reported(instance, WORKFLOW_KEY) == [run.id for run in sandbox.runs("amperity")]
    assert [one.passed for one in evaluated(instance, key("amperity/orders", "tasks_succeeded"))] == [True]


def test_observation_sensor_reports_a_workflow(
    project: Project, sandbox: Sandbox, unlimited: None, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{WORKFLOW}      workflow_name: Daily\n      observe_only: true")
    driver = driver_of(project, "amperity_observation", instance)
    driver.tick()
    run = sandbox.start_run(well_known.AMPERITY_COURIERS, source="schedule")
    driver.ticks(clock, 8, every=60)
    assert reported(instance, WORKFLOW_KEY) == [run.id]
    assert [one.passed for one in evaluated(instance, key("amperity/orders", "tasks_succeeded"))] == [True]
