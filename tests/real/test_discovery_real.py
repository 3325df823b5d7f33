"""Discovery, compared with what the server's own database contains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import testgen_fixtures as ids
from real_testgen import RealTestGen
from testgen_database import Database

from tests.components.projects import Project, new_project

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen


@pytest.fixture
def project(testgen_server: RealTestGen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("TESTGEN_URL", testgen_server.base_url)
    monkeypatch.setenv("TESTGEN_TOKEN", testgen_server.access_token)
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")  # `dg` asks the server whenever it loads definitions
    with new_project() as found:
        yield found


def test_all_suites_and_table_groups_of_the_database_are_found(project: Project, database: Database) -> None:
    project.write(
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace:
            base_url: "{{ env.TESTGEN_URL }}"
            access_token: "{{ env.TESTGEN_TOKEN }}"
            project_code: DEFAULT
            ui_url: http://127.0.0.1:8501
          discover: {suites: true, table_groups: true}
        """
    )
    found = {
        (spec.metadata["dagster_runs/target"], spec.metadata["testgen/name"].value)
        for spec in project.load().resolve_all_asset_specs()
    }
    suites = database.rows(
        "SELECT id::text, test_suite FROM testgen.test_suites WHERE project_code = 'DEFAULT' AND suite_type = 'regular'"
    )
    groups = database.rows(
        "SELECT id::text, table_groups_name FROM testgen.table_groups WHERE project_code = 'DEFAULT'"
    )
    assert {(ids.DEMO_SUITE, "default-suite-1"), (ids.DOWN_SUITE, "down")} <= set(suites)
    assert {(ids.DEMO_GROUP, "default"), (ids.NOWHERE_GROUP, "nowhere")} <= set(groups)
    assert found == {*suites, *groups}


def test_suites_depend_on_the_table_groups_of_the_database(project: Project, database: Database) -> None:
    project.write(
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace:
            base_url: "{{ env.TESTGEN_URL }}"
            access_token: "{{ env.TESTGEN_TOKEN }}"
            project_code: DEFAULT
          discover: {suites: true, table_groups: true}
          translation: {key: "{{ props.kind }}/{{ props.id }}"}
        """
    )
    graph = project.load().resolve_asset_graph()
    lineage = {
        (key.path[1], parent.path[1])
        for key in graph.materializable_asset_keys
        for parent in graph.get(key).parent_keys
    }
    assert lineage == set(
        database.rows(
            "SELECT id::text, table_groups_id::text FROM testgen.test_suites"
            " WHERE project_code = 'DEFAULT' AND suite_type = 'regular'"
        )
    )
