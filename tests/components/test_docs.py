"""Every YAML in the docs loads, and every docstring's example."""

import re
from inspect import getdoc
from pathlib import Path
from textwrap import dedent

import jsonschema
import pytest
import yaml

import dagster_runs
from tests.components.projects import Project

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "components.md").read_text(), re.MULTILINE | re.DOTALL)
COMPONENTS = (
    "AmperityComponent",
    "ProphecyComponent",
    "RudderStackComponent",
    "SegmentflowComponent",
    "TestGenComponent",
)


def check(project: Project, text: str) -> None:
    content = yaml.safe_load(text)
    component = getattr(dagster_runs, content["type"].rpartition(".")[2])
    jsonschema.validate(content["attributes"], component.get_model_cls().model_json_schema())
    project.write(text)
    assert project.load().resolve_all_asset_specs()


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_yaml_in_the_docs_loads(project: Project, number: int) -> None:
    check(project, BLOCKS[number])


@pytest.mark.parametrize("name", COMPONENTS)
def test_example_in_the_docstring_loads(project: Project, name: str) -> None:
    _, _, example = (getdoc(getattr(dagster_runs, name)) or "").partition(".. code-block:: yaml\n")
    check(project, dedent(example))


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_field_has_a_description(name: str) -> None:
    schema = getattr(dagster_runs, name).get_model_cls().model_json_schema()
    parts = {name: schema, **schema["$defs"]}
    missing = [
        f"{part}.{field}"
        for part, one in parts.items()
        for field, described in one.get("properties", {}).items()
        if not described.get("description")
    ]
    assert missing == []
