"""Profiling results on the project's own tables, from YAML."""

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.components.projects import Log, Project
from tests.components.test_table_checks import TABLES, WORKSPACE, checks, spec_of
from tests.table_checks.profiles import key, outcomes

pytestmark = pytest.mark.usefixtures("in_development")

GROUP = f"""{WORKSPACE}
  table_groups:
    - table_group_id: {well_known.TABLE_GROUP}
      key: quality/profile
"""
BOTH = {"stg_orders:testgen__hygiene_issues", "stg_customers:testgen__hygiene_issues"}


@pytest.fixture(autouse=True)
def tables(project: Project) -> None:
    """Writes a Python file with the assets of two tables."""
    (project.defs_folder / "tables.py").write_text(TABLES)


def finish_profiling(sandbox: Sandbox) -> None:
    """Profiles a table group, so that its tables are known."""
    sandbox.start_run(well_known.TABLE_GROUP, vendor="testgen", kind="run-profile")
    sandbox.advance(120)


def test_profiles_become_checks_and_observations_of_the_tables(
    project: Project, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(
        f"{GROUP}      gate: {{min_score: 0.1}}\n"
        "      checks: {severity: {definite: WARN}, blocking_tables: [orders], "
        "tables: {orders: stg_orders, customers: stg_customers}}"
    )
    job = dg.define_asset_job("profile", selection=dg.AssetSelection.all_asset_checks())
    defs = dg.Definitions.merge(project.load(), dg.Definitions(jobs=[job]))
    assert checks(defs) == BOTH
    profile = spec_of(defs, "quality/profile")
    assert {dep.asset_key.to_user_string() for dep in profile.deps} == {"stg_orders", "stg_customers"}
    graph = defs.resolve_asset_graph()
    assert [graph.get_check_spec(key(name)).blocking for name in ("stg_orders", "stg_customers")] == [True, False]
    assert defs.resolve_job_def("profile").execute_in_process(instance=instance).success
    assert set(outcomes(instance, "stg_orders", "stg_customers").values()) <= {True, "WARN"}
    assert instance.fetch_observations(dg.AssetKey("stg_orders"), limit=1).records
    assert {one.name for one in graph.asset_check_keys if one.asset_key == profile.key} == {
        "run_status",
        "hygiene_issues",
        "quality_score",
    }
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("testgen.endpoint.list-profiling-runs", "testgen.field.profiling-history")
@pytest.mark.parametrize(
    "yaml",
    [
        f"{GROUP}      checks: {{unmapped: ignore}}\n  discover: {{suites: {{include: [none]}}}}",
        f"{WORKSPACE}  discover: {{table_groups: {{include: [default], options: {{checks: {{unmapped: ignore}}}}}}}}",
    ],
    ids=["listed", "discovered"],
)
def test_discovery_finds_the_tables_of_the_latest_profiling_run(
    yaml: str, project: Project, sandbox: Sandbox, log: Log
) -> None:
    project.write(f"{yaml}\n  table_keys: {{by: table_name}}")
    assert checks(project.load()) == set()
    assert "it is not known yet which tables the table group profiles. Profile the table group if it has no" in log.text
    finish_profiling(sandbox)
    assert checks(project.load()) == BOTH


def test_tables_without_an_asset_are_named(project: Project, sandbox: Sandbox, log: Log) -> None:
    finish_profiling(sandbox)
    project.write(f"{GROUP}      checks: {{tables: {{orders: stg_orders}}}}\n  discover: {{table_groups: true}}")
    assert checks(project.load()) == {"stg_orders:testgen__hygiene_issues"}
    assert "the table group profiles tables without an asset: " in log.text


def test_a_mapping_says_which_tables_there_are(project: Project) -> None:
    project.write(f"{GROUP}      checks: {{}}\n  table_keys: {{by: mapping, tables: {{orders: stg_orders}}}}")
    assert checks(project.load()) == {"stg_orders:testgen__hygiene_issues"}


def test_a_suite_and_a_table_group_have_checks_on_one_asset(project: Project) -> None:
    own = "checks: {tables: {orders: stg_orders}}"
    project.write(
        f"{GROUP}      {own}\n      wait: defer\n  suites:\n    - test_suite_id: {well_known.SUITE_ORDERS}\n"
        f"      key: quality/orders\n      {own}\n  observation_sensor: true"
    )
    defs = project.load()
    assert checks(defs) == {"stg_orders:testgen__hygiene_issues", "stg_orders:testgen__tests"}
    assert "quality/profile" in str(defs.resolve_sensor_def("testgen_completion").description)
    assert "quality/profile" in str(defs.resolve_sensor_def("testgen_observation").description)
