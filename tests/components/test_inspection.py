"""What `dg utils inspect-component` shows of each component."""

import re

import jsonschema
import pytest
import yaml
from dagster_dg_cli.utils.yaml_template_generator import generate_defs_yaml_example_values, generate_defs_yaml_schema

import dagster_runs
from tests.components.test_docs import COMPONENTS


@pytest.mark.parametrize("name", COMPONENTS)
def test_template_with_descriptions_is_yaml(name: str) -> None:
    schema = getattr(dagster_runs, name).get_model_cls().model_json_schema()
    shown = generate_defs_yaml_schema(f"dagster_runs.{name}", schema)
    assert yaml.safe_load(shown)["type"] == f"dagster_runs.{name}"
    assert "# Required: The asset's key, with slashes between its parts." in shown


def test_checks_of_suites_and_of_table_groups_are_described() -> None:
    schema = dagster_runs.TestGenComponent.get_model_cls().model_json_schema()
    shown = generate_defs_yaml_schema("dagster_runs.TestGenComponent", schema)
    _, suites, table_groups = re.split(r"^  (?:suites|table_groups):  #", shown, maxsplit=2, flags=re.MULTILINE)
    assert "# Optional: The severity of broken tests. `ERROR` by default." in suites
    assert "# Optional: The severity of likely issues. `WARN` by default." in table_groups
    assert "# Optional: What happens if the run profiles tables that have no check: `warn`" in table_groups
    assert "granularity" not in table_groups.partition("test_generations:")[0]


@pytest.mark.parametrize("name", COMPONENTS)
def test_example_values_fit_the_schema(name: str) -> None:
    schema = getattr(dagster_runs, name).get_model_cls().model_json_schema()
    shown = generate_defs_yaml_example_values(f"dagster_runs.{name}", schema)
    jsonschema.validate(yaml.safe_load(shown)["attributes"], schema)


@pytest.mark.parametrize("name", COMPONENTS)
def test_examples_of_secrets_are_variables(name: str) -> None:
    component = getattr(dagster_runs, name)
    schema = component.get_model_cls().model_json_schema()
    (workspace,) = [part for title, part in schema["$defs"].items() if title.endswith("Workspace")]
    for secret in component.resource_class.secret_fields:
        assert workspace["properties"][secret]["examples"][0].startswith("{{ env.")
