"""Assets of a component that is loaded again in one process: only what has changed is built again."""

import dagster as dg

from tests.components.projects import Project

YAML = """
type: dagster_runs.RudderStackComponent
attributes:
  workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
  completion_sensor: {name: first}
  profiles:
    - {profiles_id: one, key: one}
    - {profiles_id: two, key: two, timeout: 60}
    - {profiles_id: three, key: three}
"""
DEFERRED = YAML.replace("key: one", "key: one, wait: defer")


def ops(project: Project, yaml: str) -> dict[str, dg.OpDefinition]:
    project.write(yaml)
    assets = project.load().resolve_asset_graph().assets_defs
    return {asset.key.to_user_string(): asset.op for asset in assets if asset.is_executable}


def changed(project: Project, before: str, after: str) -> set[str]:
    first, second = ops(project, before), ops(project, after)
    return {key for key, op in second.items() if first.get(key) is not op}


def test_unchanged_assets_are_built_once(project: Project) -> None:
    assert changed(project, YAML, YAML) == set()
    assert changed(project, DEFERRED, DEFERRED) == set()


def test_changed_assets_are_built_again(project: Project) -> None:
    other = YAML.replace("profiles_id: one", "profiles_id: other").replace("timeout: 60", "timeout: 90")
    assert changed(project, YAML, other.replace("key: three", "key: three, group_name: new")) == {"one", "two", "three"}


def test_sensor_with_another_name_gets_other_assets(project: Project) -> None:
    assert changed(project, DEFERRED, DEFERRED.replace("name: first", "name: second")) == {"one", "two", "three"}


def test_two_workspaces_do_not_share_assets(project: Project) -> None:
    project.write(YAML.replace("key: ", "key: eu/"), "eu")
    assert changed(project, YAML, YAML) == set()
