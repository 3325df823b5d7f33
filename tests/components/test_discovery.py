"""Discovery of TestGen's suites and table groups, and what happens when the server is down."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.components.testgen_discovery import as_markdown
from dagster_runs.components.testgen_state import Unavailable, address_of, read, write
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.components.discovering import WORKSPACE, keys, refresh
from tests.components.projects import Log, Project, loading

DISCOVER = f"""{WORKSPACE}
  discover:
    suites: {{include: ["*s", "default*"], exclude: ["default*", "marketing_*"]}}
    table_groups: true
"""
LISTED = f"""{DISCOVER}
  suites:
    - test_suite_id: {well_known.SUITE_ORDERS}
      key: quality/orders
      gate: {{min_score: 0.8}}
"""
GROUPS = {f"testgen/table_groups/{name}" for name in ("default", "down", "marketing", "nowhere")}


def shut_down(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("reset"))


@pytest.mark.covers(
    "testgen.endpoint.list-suites",
    "testgen.endpoint.list-table-groups",
    "testgen.field.suites-id",
    "testgen.field.suites-items",
    "testgen.field.suites-names",
    "testgen.field.table-groups",
    "testgen.field.table-groups-items",
)
@pytest.mark.usefixtures("in_development")
def test_suites_and_table_groups_become_assets(project: Project) -> None:
    project.write(DISCOVER)
    defs = project.load()
    assert keys(defs) == GROUPS | {"testgen/suites/user_features", "testgen/suites/orders"}
    spec = defs.resolve_asset_graph().get(dg.AssetKey(["testgen", "suites", "orders"]))
    assert {key.to_user_string() for key in spec.parent_keys} == {"testgen/table_groups/default"}
    assert spec.description == "orders Test Suite"
    assert spec.metadata["testgen/table_group"].value == "default"
    url = "https://testgen.example.com/test-suites:definitions?project_code=DEFAULT&test_suite_id="
    assert spec.metadata["testgen/url"].value == f"{url}{well_known.SUITE_ORDERS}"
    group = defs.resolve_asset_graph().get(dg.AssetKey(["testgen", "table_groups", "default"]))
    assert "table_group_name=default" in str(group.metadata["testgen/url"].value)


@pytest.mark.usefixtures("in_development")
def test_discovered_suites_run(
    project: Project, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
) -> None:
    project.write(
        f"{WORKSPACE}\n  discover: {{suites: {{include: [user_features]}}, table_groups: {{include: [default]}}}}"
    )
    result = project.load().resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    assert result.success
    assert sandbox.starts("testgen") == 2


@pytest.mark.usefixtures("in_development")
def test_listed_suites_are_not_discovered_again(project: Project) -> None:
    project.write(LISTED)
    defs = project.load()
    assert keys(defs) == GROUPS | {"testgen/suites/user_features", "quality/orders"}
    parents = defs.resolve_asset_graph().get(dg.AssetKey(["quality", "orders"])).parent_keys
    assert parents == {dg.AssetKey(["testgen", "table_groups", "default"])}


@pytest.mark.usefixtures("in_development")
def test_translation_and_options_apply_to_discovered_suites(project: Project) -> None:
    project.write(
        f"""{WORKSPACE}
  discover:
    suites: {{include: [orders], options: {{wait: defer, gate: {{min_score: 0.9}}}}}}
  translation:
    key: "quality/{{{{ props.table_group }}}}/{{{{ props.name }}}}"
    group_name: quality
    tags: {{suite: "{{{{ props.name }}}}"}}
    automation_condition: "{{{{ automation_condition.eager() }}}}"
"""
    )
    defs = project.load()
    (spec,) = defs.resolve_all_asset_specs()
    assert spec.key.to_user_string() == "quality/default/orders"
    assert (spec.group_name, spec.tags["suite"]) == ("quality", "orders")
    assert spec.automation_condition == dg.AutomationCondition.eager()
    assert [sensor.name for sensor in defs.sensors or ()] == ["testgen_completion"]


@pytest.mark.usefixtures("in_development")
def test_a_key_that_is_not_unique_does_not_stop_the_code_location(project: Project, log: Log) -> None:
    project.write(
        f'{WORKSPACE}\n  discover: {{suites: true}}\n  translation: {{key: "quality/{{{{ props.table_group }}}}"}}'
    )
    assert keys(project.load()) == {"quality/default", "quality/down", "quality/marketing"}
    assert "is left out, because quality/default is already the key of attributes.discover.suites (line 10)" in log.text


@pytest.mark.usefixtures("in_development")
def test_server_down_with_state(project: Project, sandbox: Sandbox, log: Log) -> None:
    project.write(LISTED)
    before = keys(project.load())
    shut_down(sandbox)
    log.messages.clear()
    assert keys(project.load()) == before
    (warning,) = log.messages
    assert warning.startswith("TestGenComponent testgen: Could not fetch the suites and table groups of TestGen: ")
    assert "loaded with the state that was fetched less than a minute ago (" in warning


@pytest.mark.usefixtures("in_development")
def test_server_down_without_state(project: Project, sandbox: Sandbox, log: Log) -> None:
    project.write(LISTED)
    shut_down(sandbox)
    assert keys(project.load()) == {"quality/orders"}
    assert "Missing are suites *s, default* and all table groups" in log.text
    assert "loaded only with what is listed in YAML (1)" in log.text


def test_what_is_missing_without_a_state(project: Project, log: Log) -> None:
    project.write(f"{WORKSPACE}  discover: {{suites: {{include: []}}, table_groups: true}}")
    project.load()
    assert "Missing are all table groups; " in log.text
    project.write(f"{WORKSPACE}  discover: {{suites: {{include: [order_*]}}, table_groups: false}}")
    project.load()
    assert "Missing are suites order_*; " in log.text


@pytest.mark.usefixtures("in_development")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("TESTGEN_TOKEN", "wrong", "401"), ("TESTGEN_URL", "{url}/testgen-old", "this server does not list table-groups")],
)
def test_server_that_refuses_does_not_stop_the_code_location(
    project: Project,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    name: str,
    value: str,
    expected: str,
) -> None:
    project.write(LISTED)
    monkeypatch.setenv(name, value.format(url=sandbox.url))
    assert keys(project.load()) == {"quality/orders"}
    assert expected in log.text or "this server does not list test-suites" in log.text


def test_production_loads_the_state_without_a_call(project: Project, sandbox: Sandbox, log: Log) -> None:
    project.write(LISTED)
    assert keys(project.load()) == {"quality/orders"}
    assert "No state has been fetched yet" in log.text
    assert "`dg utils refresh-defs-state`" in log.text
    refresh(project)
    shut_down(sandbox)
    assert len(keys(project.load())) == 6


@pytest.mark.covers("testgen.endpoint.health")
def test_state_says_when_and_from_what_it_was_fetched(project: Project) -> None:
    project.write(DISCOVER)
    path = refresh(project)
    state = json.loads(path.read_text())
    assert state["server"]["shape"] == "5.134"
    assert state["fetched_at"].endswith("Z")
    assert well_known.TESTGEN_TOKEN not in path.read_text()
    assert [one.name for one in path.parent.iterdir()] == ["state"]


def test_threads_that_write_one_state_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, state = tmp_path / "state", Unavailable(problem="x" * 1000)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: write(path, state), range(200))) == [None] * 200
    assert read(path) == state
    assert [*tmp_path.iterdir()] == [path]


def test_failed_refresh_keeps_the_state(project: Project, sandbox: Sandbox) -> None:
    project.write(DISCOVER)
    path = refresh(project)
    before = path.read_text()
    shut_down(sandbox)
    with pytest.raises(Exception, match="Could not fetch the suites and table groups of TestGen"):
        refresh(project)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Expecting value"),
        ("[]", "valid dictionary"),
        ('{"version": 2}', "it has version 2 of the format, and this version of dagster-runs reads 1"),
        ('{"version": 1, "suites": 5}', "fetched_at: Field required"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
    ],
    ids=["empty", "a list", "a later version", "fields are missing", "deeply nested"],
)
def test_unreadable_state_does_not_stop_the_code_location(
    project: Project, content: str, problem: str, log: Log
) -> None:
    project.write(LISTED)
    refresh(project).write_text(content)
    assert keys(project.load()) == {"quality/orders"}
    (warning,) = log.messages
    assert "the stored state cannot be read: " in warning
    assert problem in warning


def test_state_of_another_project_is_not_used(project: Project, log: Log) -> None:
    project.write(LISTED)
    path = refresh(project)
    path.write_text(path.read_text().replace('"project_code": "DEFAULT"', '"project_code": "OTHER"'))
    assert keys(project.load()) == {"quality/orders"}
    assert "The stored state is that of the project OTHER" in log.text


@pytest.mark.usefixtures("in_development")
def test_pattern_that_matches_nothing_is_named(project: Project, log: Log) -> None:
    project.write(
        f"{WORKSPACE}\n  discover:\n"
        '    suites: {include: ["order_*", clean]}\n'
        "    table_groups: {include: [x, table_g*]}\n"
    )
    assert keys(project.load()) == {"testgen/suites/clean"}
    assert "'order_*' matches none of the project's suites. Its suites are badsql, clean, default-suite-1" in log.text
    assert "'x' matches none of the project's table groups. Its table groups are default, down" in log.text
    assert "'table_g*' matches none of the project's table groups" in log.text


@pytest.mark.usefixtures("in_development")
def test_failed_fetch_is_named_although_there_is_a_state_of_another_project(project: Project, log: Log) -> None:
    project.write(LISTED)
    path = refresh(project)
    project.write(LISTED.replace("project_code: DEFAULT", "project_code: OTHER"))
    assert keys(project.load()) == {"quality/orders"}
    assert "/projects/OTHER/test-suites returned 404" in log.text
    assert "The stored state is that of the project DEFAULT" in log.text
    assert path.exists()


def test_state_of_another_server_is_not_used(
    project: Project, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    project.write(LISTED)
    state = json.loads(refresh(project).read_text())
    assert state["server"]["address"] == f"{sandbox.url.removeprefix('http://')}/testgen"
    monkeypatch.setenv("TESTGEN_URL", "https://Staging.example.com:443/api/v1/")
    assert keys(project.load()) == {"quality/orders"}
    assert f"The stored state is that of the project DEFAULT at {state['server']['address']}" in log.text
    assert address_of("https://Staging.example.com:443/api/v1/") == "staging.example.com"


@pytest.mark.parametrize("is_up", [True, False])
def test_state_in_memory(project: Project, sandbox: Sandbox, *, is_up: bool) -> None:
    project.write(f"{LISTED}\n  defs_state: {{management_type: LEGACY_CODE_SERVER_SNAPSHOTS}}")
    if not is_up:
        shut_down(sandbox)
    with loading():
        assert len(keys(project.load())) == (6 if is_up else 1)


@pytest.mark.usefixtures("in_development")
def test_unknown_ids_are_reported(project: Project, log: Log) -> None:
    project.write(LISTED.replace(well_known.SUITE_ORDERS, "11111111-1111-4111-8111-111111111111"))
    project.load()
    assert "neither a suite nor a table group with the id 11111111-1111-4111-8111-111111111111" in log.text
    assert "attributes.suites.0" in log.text


def test_nothing_is_fetched_without_discover(project: Project, sandbox: Sandbox) -> None:
    project.write(f"{WORKSPACE}\n  suites: [{{test_suite_id: {well_known.SUITE_ORDERS}, key: orders}}]")
    refresh(project)
    assert keys(project.load()) == {"orders"}
    assert sandbox.requests("testgen") == []


def test_discover_needs_a_project(project: Project) -> None:
    project.write(DISCOVER.replace("    project_code: DEFAULT\n", ""))
    with pytest.raises(Exception) as raised, project.loaded():  # noqa: PT011
        pass
    assert "discover needs project_code in workspace" in str(raised.value.__cause__)


def test_two_workspaces_are_apart(project: Project) -> None:
    suites = "  discover: {suites: {include: [orders], options: {wait: defer}}}\n"
    project.write(WORKSPACE + suites, "quality/eu")
    project.write(f"{WORKSPACE}{suites}---{WORKSPACE}{suites}", "quality/us")
    for folder in ("quality/eu",):
        refresh(project, folder)
    with project.sandbox.build_component_tree() as tree:
        for component in tree.get_all_components(dg.StateBackedComponent):
            asyncio.run(component.refresh_state(project.sandbox.project_root))
    defs = project.load()
    workspaces = {"testgen", "testgen_quality_us", "testgen_quality_us_2"}
    assert set(defs.resources or {}) == workspaces
    assert keys(defs) == {f"{key}/suites/orders" for key in workspaces}
    assert {sensor.name for sensor in defs.sensors or ()} == {f"{key}_completion" for key in workspaces}
    assert {f"cancel_{key}_runs" for key in workspaces} <= {job.name for job in defs.resolve_all_job_defs()}
    assert len(list(project.defs_folder.glob(".local_defs_state/*/state"))) == 3


def test_text_of_the_vendor_is_not_markdown() -> None:
    assert as_markdown("<b>*bold*</b> [x](http://y)") == r"\<b\>\*bold\*\</b\> \[x\]\(http://y\)"
