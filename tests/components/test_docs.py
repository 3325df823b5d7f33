"""Every YAML on all pages loads, and every docstring's example."""

import re
from functools import cache
from inspect import getdoc
from textwrap import dedent
from typing import Any

import jsonschema
import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema

import dagster_runs
from tests.components.projects import Project
from tests.doc_blocks import Block, all_blocks

BLOCKS = all_blocks("yaml")
SETTINGS = "# dagster.yaml\n"
"""The first line of a block with settings of a Dagster instance."""
OTHERS = {
    "type: dagster.PythonScriptComponent",  # `make test-docs` loads it
    "attributes:",  # a part of a file
    "ops:",  # run config
}
"""How the other blocks begin."""
COMPONENTS = (
    "AmperityComponent",
    "ProphecyComponent",
    "RudderStackComponent",
    "SegmentflowComponent",
    "TestGenComponent",
)


def check(project: Project, text: str) -> None:
    content = yaml.safe_load(text)
    jsonschema.validate(content["attributes"], schema_of(content["type"]))
    project.write(text)
    assert project.load().resolve_all_asset_specs()


def documents(text: str) -> list[str]:
    return re.split(r"^---\n", text, flags=re.MULTILINE)


COMPONENT_YAML = [
    pytest.param(document, id=f"{block}-{number}")
    for block in BLOCKS
    for number, document in enumerate(documents(block.text))
    if document.startswith("type: dagster_runs.")
]
"""The components on all pages. Those on the page about components are loaded here, the others in tests/slow."""


@cache
def schema_of(component: str) -> dict[str, Any]:
    schema: dict[str, Any] = getattr(dagster_runs, component.rpartition(".")[2]).get_model_cls().model_json_schema()
    return schema


@pytest.mark.parametrize("text", COMPONENT_YAML)
def test_components_on_the_pages_are_valid(text: str) -> None:
    content = yaml.safe_load(text)
    jsonschema.validate(content["attributes"], schema_of(content["type"]))


@pytest.mark.parametrize("text", [one for one in COMPONENT_YAML if str(one.id).startswith("docs/components.md")])
def test_components_of_the_page_about_components_load(project: Project, text: str) -> None:
    check(project, text)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.text.startswith(SETTINGS)], ids=str)
def test_settings_of_an_instance_are_valid(block: Block) -> None:
    content: dict[str, Any] = yaml.safe_load(block.text)
    result = validate_config(dagster_instance_config_schema(), content)
    assert result.success, result.errors


def test_each_block_of_yaml_is_of_a_kind_that_is_tested() -> None:
    for block, document in [(one, document) for one in BLOCKS for document in documents(one.text)]:
        beginning = document.partition("\n")[0]
        assert yaml.safe_load(document), block
        is_tested = beginning.startswith("type: dagster_runs.") or f"{beginning}\n" == SETTINGS
        assert is_tested or beginning in OTHERS, block


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
