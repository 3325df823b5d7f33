"""What `dg check yaml` and `dg check defs` say about a file, without starting a process for each."""

import re
from pathlib import Path
from typing import cast

import dagster as dg
import jsonschema
import pytest
from dagster_dg_core.utils.check_utils import error_dict_to_formatted_error
from dagster_shared.yaml_utils import parse_yamls_with_source_position

import dagster_runs
from tests.components.projects import Project

_LOCATED = re.compile(r"^`?attributes\.?(?P<field>\S*) at .*:(?P<line>\d+)`$\n(?P<message>.*)$", re.MULTILINE)
_RAISED = re.compile(r"^.*:(?P<line>\d+) - attributes\.?(?P<field>[^\s:]*):? ?(?P<message>.*)$", re.MULTILINE)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def by_schema(path: Path) -> list[str]:
    """Returns the answers of `dg check yaml`: it applies the JSON schema of the component, and formats the errors."""
    found = []
    for tree in parse_yamls_with_source_position(path.read_text(), str(path)):
        component: type[dg.Component] = getattr(dagster_runs, tree.value["type"].rpartition(".")[2])
        model = component.get_model_cls()
        assert model is not None
        for error in jsonschema.Draft202012Validator(model.model_json_schema()).iter_errors(tree.value["attributes"]):
            text = error_dict_to_formatted_error(None, error, tree.source_position_tree, ["attributes"])
            match = cast("re.Match[str]", _RAISED.match(_COLORS.sub("", text)))
            found.append(f"{match['line']} {match['field']}: {match['message']}")
    return found


def on_load(project: Project) -> list[str]:
    """Returns the answers of `dg check defs`: it loads the project."""
    with pytest.raises(Exception) as raised, project.loaded() as defs:  # noqa: PT011
        dg.Definitions.validate_loadable(defs)
    error: BaseException = raised.value
    while error.__cause__ is not None and type(error).__name__ == "ComponentTreeException":
        error = error.__cause__
    text = str(error)
    matches = list(_LOCATED.finditer(text)) or [cast("re.Match[str]", _RAISED.match(text))]
    assert all(matches), text
    return [f"{match['line']} {match['field']}: {_without_decoration(match['message'])}" for match in matches]


def _without_decoration(message: str) -> str:
    plain = message.strip().removeprefix("Value error, ").partition(" [type=")[0]
    return re.sub(r", available scope is: [\w, ]*", "", plain)  # depends on Dagster's version
