"""Checks on the project's own tables, from YAML."""

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.components.checking import on_load
from tests.components.projects import Log, Project
from tests.table_checks.suites import evaluated, key, outcomes

pytestmark = pytest.mark.usefixtures("in_development")

WORKSPACE = """
type: dagster_runs.TestGenComponent
attributes:
  workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}", project_code: DEFAULT}
"""
DESIGNED = """
type: dagster_runs.TestGenComponent
attributes:
  workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}", project_code: DEFAULT}
  suites:                                   # explicit, for any server
    - test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c
      key: testgen/orders_quality
      gate: {min_score: 0.95, blocking: true}
      checks: {granularity: table, granularity_by_table: {orders: test}, tables: {orders: stg_orders, customers: dw/customers}, blocking_tables: [orders]}
  discover: {suites: {include: ["orders*"], exclude: ["*draft*"]}, table_groups: true}      # 5.134+
  table_keys: {by: table_name}              # table_name | convention | mapping
  translation: {group_name: quality, tags: {team: data}}
  completion_sensor: true
  defs_state: {management_type: LOCAL_FILESYSTEM}
requirements: {env: [TESTGEN_URL, TESTGEN_TOKEN]}
"""  # noqa: E501 - word for word as it was designed
TABLES = """
import dagster as dg


@dg.asset(metadata={"dagster/table_name": "warehouse.demo.orders"})
def stg_orders() -> None: ...


@dg.asset(metadata={"dagster/table_name": "warehouse.DEMO.customers"})
def stg_customers() -> None: ...


@dg.asset(deps=[stg_orders, stg_customers])
def revenue() -> None: ...
"""
ORDERS = f"""{WORKSPACE}
  suites:
    - test_suite_id: {well_known.SUITE_ORDERS}
      key: quality/orders
"""


@pytest.fixture
def tables(project: Project) -> None:
    """Writes a Python file with the assets of two tables."""
    (project.defs_folder / "tables.py").write_text(TABLES)


def checks(defs: dg.Definitions) -> set[str]:
    """Returns the checks of TestGen, as `asset:check`."""
    graph = defs.resolve_asset_graph()
    found = {f"{one.asset_key.to_user_string()}:{one.name}" for one in graph.asset_check_keys}
    return {one for one in found if ":testgen__" in one}


def check_specs(defs: dg.Definitions) -> list[dg.AssetCheckSpec]:
    graph = defs.resolve_asset_graph()
    return [graph.get_check_spec(key) for key in graph.asset_check_keys]


def spec_of(defs: dg.Definitions, name: str) -> dg.AssetSpec:
    return next(spec for spec in defs.resolve_all_asset_specs() if spec.key.to_user_string() == name)


def run_suite(defs: dg.Definitions, instance: dg.DagsterInstance, *names: str) -> dg.ExecuteInProcessResult:
    selection = dg.AssetSelection.checks(*(key(name) for name in names))
    job = dg.Definitions.merge(defs, dg.Definitions(jobs=[dg.define_asset_job("suite", selection=selection)]))
    return job.resolve_job_def("suite").execute_in_process(instance=instance, raise_on_error=False)


def finish_run(sandbox: Sandbox, suite: str = well_known.SUITE_ORDERS) -> None:
    """Runs a suite to its end, so that its tests are known."""
    sandbox.start_run(suite, vendor="testgen")
    sandbox.advance(120)


def test_the_designed_example_loads(project: Project, log: Log) -> None:
    project.write(DESIGNED)
    defs = project.load()
    assert checks(defs) == {"stg_orders:testgen__tests", "dw/customers:testgen__tests"}
    suite = spec_of(defs, "testgen/orders_quality")
    assert {dep.asset_key.to_user_string() for dep in suite.deps} == {"stg_orders", "dw/customers"}
    assert suite.group_name == "quality"
    assert suite.tags["team"] == "data"
    assert not defs.resolve_asset_graph().get(suite.key).is_materializable
    of_suite = {spec.name: spec.blocking for spec in check_specs(defs) if spec.asset_key == suite.key}
    assert of_suite == {"run_status": False, "tests_passed": True, "quality_score": True}
    assert "they are declared with granularity 'table'" in log.text


def test_results_become_checks_of_the_tables(
    project: Project, tables: None, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{ORDERS}      checks: {{tables: {{orders: stg_orders, customers: stg_customers}}}}")
    defs = project.load()
    assert run_suite(defs, instance, "stg_orders", "stg_customers").success
    assert outcomes(instance, "stg_orders", "stg_customers") == {"stg_orders": "ERROR", "stg_customers": "ERROR"}
    assert sandbox.starts("testgen") == 1


def test_gate_judges_the_run_of_the_suite(
    project: Project, tables: None, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(f"{ORDERS}      gate: {{max_failures: 99}}\n      checks: {{tables: {{orders: stg_orders}}}}")
    job = dg.define_asset_job("suite", selection=dg.AssetSelection.all_asset_checks())
    defs = dg.Definitions.merge(project.load(), dg.Definitions(jobs=[job]))
    assert defs.resolve_job_def("suite").execute_in_process(instance=instance).success
    [judged] = evaluated(instance, key("quality/orders", "tests_passed"))
    assert (judged.passed, judged.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert sandbox.starts("testgen") == 1


def test_discovery_finds_tables_by_the_metadata_of_other_components(
    project: Project, tables: None, sandbox: Sandbox, clock: SandboxClock, log: Log, instance: dg.DagsterInstance
) -> None:
    project.write(
        f"{WORKSPACE}  discover: {{suites: {{include: [orders], options: {{checks: {{}}}}}}}}\n"
        "  table_keys: {by: table_name}"
    )
    assert checks(project.load()) == set()
    assert "the checks of testgen/suites/orders: none, because it is not known yet" in log.text
    finish_run(sandbox)
    assert checks(project.load()) == {"stg_orders:testgen__tests", "stg_customers:testgen__tests"}


@pytest.mark.parametrize(("granularity", "expected"), [("column", "testgen__email"), ("test_type", "testgen__unique")])
def test_finer_checks_come_from_the_state(
    project: Project, tables: None, sandbox: Sandbox, granularity: str, expected: str
) -> None:
    finish_run(sandbox)
    project.write(
        f"{ORDERS}      checks: {{tables: {{orders: stg_orders}}, "
        f"granularity_by_table: {{customers: {granularity}}}}}\n"
        "  discover: {table_groups: true}\n  table_keys: {by: table_name, components: [tables.py]}"
    )
    found = checks(project.load())
    assert {one for one in found if one.startswith("stg_orders")} == {"stg_orders:testgen__tests"}
    assert f"stg_customers:{expected}" in found


def test_convention_needs_the_state(project: Project, sandbox: Sandbox) -> None:
    finish_run(sandbox)
    project.write(f"{ORDERS}      checks: {{}}\n  discover: {{table_groups: true}}\n  table_keys: {{by: convention}}")
    assert checks(project.load()) == {"demo/orders:testgen__tests", "demo/customers:testgen__tests"}


def test_a_mapping_applies_to_all_suites(project: Project) -> None:
    project.write(
        f"{ORDERS}      checks: {{tables: {{customers: crm}}}}\n"
        "  table_keys: {by: mapping, tables: {orders: 'sales/{table}'}}"
    )
    assert checks(project.load()) == {"crm:testgen__tests", "sales/orders:testgen__tests"}


def test_tables_that_the_suite_no_longer_tests_do_not_stop_the_code_location(
    project: Project, sandbox: Sandbox, log: Log
) -> None:
    finish_run(sandbox)
    project.write(
        f"{ORDERS}      checks: {{blocking_tables: [refunds], unmapped: fail, tables: {{orders: stg_orders}}}}\n"
        "  discover: {table_groups: true}"
    )
    assert checks(project.load()) == {"stg_orders:testgen__tests"}
    assert "blocking_tables names refunds, but the tables with checks are demo.orders" in log.text
    assert "the suite tests tables without an asset: demo.customers" in log.text


@pytest.mark.parametrize(("asset", "is_named"), [("stg_order", True), ("stg_orders", False), ("lake/raw", False)])
def test_misspelled_key_of_an_asset_is_named(
    asset: str, is_named: bool, project: Project, tables: None, log: Log
) -> None:
    project.write(f"{ORDERS}      checks: {{tables: {{orders: {asset}}}}}")
    assert checks(project.load()) == {f"{asset}:testgen__tests"}
    assert ("tables maps orders to stg_order, which is not an asset" in log.text) is is_named
    assert ("Did you mean stg_orders?" in log.text) is is_named


def test_search_for_similar_keys_is_limited(project: Project, tables: None, log: Log) -> None:
    named = ", ".join(f"t{number}: stg_order_{number}" for number in range(30))
    project.write(f"{ORDERS}      checks: {{tables: {{{named}}}}}")
    project.load()
    assert len([one for one in log.messages if "Did you mean stg_orders?" in one]) == 20


@pytest.mark.covers("tables.other-location-blocking")
def test_blocking_check_of_an_asset_that_is_not_in_the_project(project: Project, tables: None, log: Log) -> None:
    of_table = "{orders: stg_orders, customers: elsewhere}"
    project.write(f"{ORDERS}      checks: {{blocking_tables: [orders], tables: {of_table}}}")
    project.load()
    assert "they block on" not in log.text
    project.write(f"{ORDERS}      checks: {{blocking: true, tables: {of_table}}}")
    project.load()
    assert "the checks of quality/orders: they block on elsewhere, but the component finds no such asset" in log.text


def test_two_assets_of_one_table(project: Project, sandbox: Sandbox, log: Log) -> None:
    finish_run(sandbox)
    (project.defs_folder / "copies.py").write_text(TABLES.replace("stg_", "copy_of_"))
    (project.defs_folder / "tables.py").write_text(TABLES.replace("revenue", "sales"))
    project.write(f"{ORDERS}      checks: {{}}\n  discover: {{table_groups: true}}\n  table_keys: {{by: table_name}}")
    assert checks(project.load()) == set()  # what the suite tests must not stop the code location
    problem = "copy_of_customers and stg_customers are both assets of the table DEMO.customers"
    assert f"the checks of quality/orders: the table demo.customers is left out: {problem}" in log.text
    left_out = next(one for one in log.messages if ": none, because" in one)
    assert "demo.customers" in left_out
    assert left_out.endswith("has been left out")


def test_two_discovered_suites_of_one_table(project: Project, tables: None, sandbox: Sandbox, log: Log) -> None:
    finish_run(sandbox)
    finish_run(sandbox, well_known.SUITE_DEFAULT)
    project.write(
        f"{WORKSPACE}  discover:\n"
        "    suites: {include: [orders, default*], options: {checks: {unmapped: ignore}}}\n"
        "  table_keys: {by: table_name}"
    )
    assert checks(project.load()) == {"stg_orders:testgen__tests", "stg_customers:testgen__tests"}
    (warning,) = [one for one in log.messages if "already has the checks of testgen/suites/" in one]
    assert "stg_orders" in warning
    assert "stg_customers" in warning
    assert "in one of the two" in warning


def test_deferred_checks_belong_to_the_completion_sensor(project: Project) -> None:
    project.write(f"{ORDERS}      wait: defer\n      checks: {{tables: {{orders: stg_orders}}}}")
    defs = project.load()
    assert "quality/orders" in str(defs.resolve_sensor_def("testgen_completion").description)
    assert defs.resolve_job_def("cancel_testgen_runs")


def test_checks_belong_to_the_observation_sensor(project: Project) -> None:
    project.write(f"{ORDERS}      checks: {{tables: {{orders: stg_orders}}}}\n  observation_sensor: true")
    assert "quality/orders" in str(project.load().resolve_sensor_def("testgen_observation").description)


def test_components_that_search_for_each_other(project: Project) -> None:
    for folder, other in ("ab", "ba"):
        own = ORDERS.replace("quality/orders", f"quality/{folder}")
        project.write(
            f"{own}      checks: {{tables: {{orders: orders_{folder}}}}}\n"
            f"  table_keys: {{by: table_name, components: [{other}]}}\n  resource_key: testgen_{folder}",
            folder,
        )
    (answer,) = on_load(project)
    assert "the components in a and b search for each other's assets. Name the folders with the assets" in answer
