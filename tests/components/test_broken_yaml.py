"""Mistakes in YAML: the line and the advice that `dg check yaml` and `dg check defs` give."""

import pytest

from tests.components.check_mistakes import CHECK_MISTAKES
from tests.components.checking import by_schema, on_load
from tests.components.field_mistakes import FIELD_MISTAKES
from tests.components.mistakes import Mistake
from tests.components.profile_mistakes import PROFILE_MISTAKES
from tests.components.projects import Log, Project
from tests.components.run_mistakes import RUN_MISTAKES
from tests.components.value_mistakes import VALUE_MISTAKES

MISTAKES = [*FIELD_MISTAKES, *RUN_MISTAKES, *VALUE_MISTAKES]
ALL_MISTAKES = [*MISTAKES, *CHECK_MISTAKES, *PROFILE_MISTAKES]
each_mistake = pytest.mark.parametrize("mistake", ALL_MISTAKES, ids=lambda mistake: mistake.name)

TABLES = """
import dagster as dg

orders, copy = (dg.AssetSpec(key, metadata={"dagster/table_name": "demo.orders"}) for key in ("stg_orders", "copy"))
revenue = dg.AssetSpec("revenue", deps=[orders])
"""


@pytest.fixture(autouse=True)
def tables(project: Project) -> None:
    """Writes a Python file with two assets of one table, and one that is downstream of it."""
    (project.defs_folder / "tables.py").write_text(TABLES)


@each_mistake
def test_the_schema_finds_the_line(mistake: Mistake, project: Project) -> None:
    assert by_schema(project.write(mistake.yaml.lstrip("\n"))) == mistake.by_schema


@each_mistake
def test_loading_says_what_to_write(mistake: Mistake, project: Project) -> None:
    project.write(mistake.yaml.lstrip("\n"))
    assert on_load(project) == mistake.on_load


def test_the_schema_alone_finds_most_mistakes() -> None:
    assert sum(1 for mistake in MISTAKES if mistake.by_schema) >= 12


def test_no_error_contains_a_secret(project: Project) -> None:
    project.write(
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: http://testgen.example.com, access_tokn: s3cr3t, client_secret: s3cr3t}
          suites: [{test_suite_id: s3cr3t}]
        """
    )
    assert not any("s3cr3t" in answer for answer in on_load(project))


def test_field_that_is_there_twice_is_reported(project: Project, log: Log) -> None:
    suite = "  suites:\n    - {test_suite_id: f0e1d2c3-0000-4000-8000-00000000000%d, key: %s}\n"
    workspace = '  workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}\n'
    yaml = f"type: dagster_runs.TestGenComponent\nattributes:\n{workspace}{suite % (1, 'a')}{suite % (2, 'b')}"
    path = project.write(f"{yaml}---\n{yaml.replace(suite % (1, 'a'), '').replace('key: b', 'key: c')}")
    keys = {spec.key.to_user_string() for spec in project.load().resolve_all_asset_specs()}
    assert keys & {"a", "b", "c"} == {"b", "c"}
    expected = "the field suites is here twice, and the one above has no effect. Delete it, or merge the two."
    assert log.messages == [f"{path}:6: {expected}"]
