"""What `dg scaffold defs` writes."""

import re
from typing import Any

import pytest
import yaml

import dagster_runs
from tests.components.projects import Project
from tests.components.test_docs import COMPONENTS


def scaffold(project: Project, name: str, **params: Any) -> str:
    component = getattr(dagster_runs, name)
    path = project.sandbox.scaffold_component(component, defs_path="scaffolded", scaffold_params=params)
    return (path / "defs.yaml").read_text()


@pytest.mark.parametrize("name", COMPONENTS)
def test_scaffolded_file_loads_and_so_do_its_comments(project: Project, name: str) -> None:
    text = scaffold(project, name)
    project.load()
    assert yaml.safe_load(text)["requirements"]["env"]
    without_comments = re.sub(r"^  # ", "  ", text, flags=re.MULTILINE)
    project.write(without_comments.replace(text.splitlines()[0], f"type: dagster_runs.{name}"), "scaffolded")
    assert project.load().resolve_all_asset_specs()


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("passed", ["s3cr3t!", "{{ env('A', 's3cr3t!') }}", "https://me:s3cr3t!@example.com"])
def test_no_passed_value_of_a_secret_is_written(project: Project, name: str, passed: str) -> None:
    resource = getattr(dagster_runs, name).resource_class
    fields = [*resource.secret_fields, "base_url", "tenant", "region", "project_code"]
    text = scaffold(project, name, **dict.fromkeys(fields, passed))
    assert "s3cr3t" not in text


def test_passed_variable_is_written(project: Project) -> None:
    text = scaffold(project, "TestGenComponent", access_token="{{ env.QA_TOKEN }}", project_code="QA")
    assert 'access_token: "{{ env.QA_TOKEN }}"' in text
    assert "project_code: QA" in text
    assert yaml.safe_load(text)["requirements"]["env"] == ["QA_TOKEN", "TESTGEN_URL"]
