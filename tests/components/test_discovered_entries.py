"""Discovered suites whose names do not fit what YAML or a subclass makes of them."""

import json
from pathlib import Path

import pytest

from dagster_runs.sandbox import Sandbox
from tests.components.checking import on_load
from tests.components.discovering import WORKSPACE, add_suite, keys, refresh
from tests.components.projects import Log, Project, loading

TITLED = f"""{WORKSPACE}
  discover: {{suites: {{include: [orders, Ums*]}}}}
  translation: {{FIELD}}
"""
SUBCLASS = """
import dagster_runs


class OurTests(dagster_runs.TestGenComponent):
    __test__ = False

    def get_asset_spec(self, spec, props):
        return spec.replace_attributes(group_name=GROUPS[props["name"]])
"""


def with_subclass(project: Project, yaml: str, groups: str) -> None:
    (project.defs_folder / "ours.py").write_text(SUBCLASS.replace("GROUPS", groups))
    module = f"{project.defs_folder.parent.name}.defs.ours.OurTests"
    project.write(yaml.replace("dagster_runs.TestGenComponent", module))


@pytest.mark.usefixtures("in_development")
@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ('key: "testgen/suites/{{ props.title }}"', "'testgen/suites/Umsätze & Co' is not an asset key"),
        ('group_name: "{{ props.title }}"', "attributes.translation: group_name: "),
        ('tags: {suite: "{{ props.title }}"}', "invalid tag value: Umsätze & Co"),
    ],
)
def test_title_that_does_not_fit_leaves_out_the_suite(
    project: Project, sandbox: Sandbox, field: str, problem: str, log: Log
) -> None:
    add_suite(sandbox, 1, "Umsätze & Co")
    project.write(TITLED.replace("{FIELD}", f"{{{field}}}"))
    assert keys(project.load()) == {"testgen/suites/orders"}
    (warning,) = log.messages
    start = "The test run Umsätze & Co (11111111-0000-4000-8000-000000000001) of TestGen is left out: "
    assert warning.startswith(start)
    assert problem in warning
    assert "`props.name` has only characters that are possible everywhere" in warning


@pytest.mark.usefixtures("in_development")
def test_only_suite_whose_title_does_not_fit_is_left_out(project: Project, sandbox: Sandbox, log: Log) -> None:
    add_suite(sandbox, 1, "Umsätze & Co")
    yaml = TITLED.replace("[orders, Ums*]", "[Ums*]")
    project.write(yaml.replace("{FIELD}", '{tags: {suite: "{{ props.title }}"}}'))
    assert keys(project.load()) == set()
    assert "is left out" in log.text


@pytest.mark.usefixtures("in_development")
def test_template_that_fits_no_suite_is_an_error(project: Project) -> None:
    project.write(TITLED.replace("{FIELD}", '{group_name: "{{ props.titel.upper() }}"}'))
    (answer,) = on_load(project)
    assert answer.startswith("11 translation.group_name: this template cannot be evaluated")


@pytest.mark.usefixtures("in_development")
def test_subclass_that_does_not_know_a_suite(project: Project, sandbox: Sandbox, log: Log) -> None:
    add_suite(sandbox, 1, "Umsätze & Co")
    with_subclass(project, TITLED.replace("{FIELD}", "{group_name: a}"), '{"orders": "sales"}')
    defs = project.load()
    assert keys(defs) == {"testgen/suites/orders"}
    assert "of TestGen is left out: KeyError: 'Ums_tze_Co'. Exclude it" in log.text


def test_error_of_a_subclass_is_not_taken_for_a_missing_state(project: Project, log: Log) -> None:
    state = "  defs_state: {management_type: LEGACY_CODE_SERVER_SNAPSHOTS}\n"
    with_subclass(project, TITLED.replace("{FIELD}", "{group_name: a}") + state, "{}")
    with loading(), pytest.raises(Exception) as raised, project.loaded():  # noqa: PT011
        pass
    assert isinstance(raised.value.__cause__, KeyError)
    assert "No state has been fetched" not in log.text


@pytest.mark.usefixtures("in_development")
def test_keys_whose_ops_have_one_name(project: Project, sandbox: Sandbox, log: Log) -> None:
    project.write(TITLED.replace("{FIELD}", '{key: "{{ props.table_group }}/{{ props.title }}"}'))
    add_suite(sandbox, 1, "Ums-x")
    add_suite(sandbox, 2, "Ums_x")
    assert keys(project.load()) == {"default/orders", "default/Ums-x"}
    assert (
        "of TestGen is left out, because the op of default/Ums_x would have the same name (default__Ums_x)" in log.text
    )


def test_id_that_is_no_uuid(project: Project, log: Log) -> None:
    project.write(f"{WORKSPACE}\n  discover: {{suites: {{include: [orders, broken]}}}}")
    path: Path = refresh(project)
    state = json.loads(path.read_text())
    state["suites"].append({"test_suite_id": "7", "test_suite_name": "broken"})
    path.write_text(json.dumps(state))
    assert keys(project.load()) == {"testgen/suites/orders"}
    assert "broken is left out, since TestGen lists it with the id '7', which is not a UUID" in log.text


def test_listed_assets_whose_ops_have_one_name(project: Project) -> None:
    runs = "".join(
        f"    - {{test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c, key: {key}}}\n" for key in ("q/a-b", "q/a_b")
    )
    project.write(f"{WORKSPACE}  suites:\n{runs}")
    assert on_load(project) == [
        "11 suites.1.key: the op of q/a_b would have the same name (q__a_b) as that of q/a-b in attributes.suites.0 "
        "(line 10); set the field name on one of the two, or choose keys that differ not only in '-', '.', '/' and '_'"
    ]
