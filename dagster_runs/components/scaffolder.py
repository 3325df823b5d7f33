"""What `dg scaffold defs` writes for a component: a file without secrets, with examples in comments."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import scaffold_component
from pydantic import BaseModel, create_model

from dagster_runs.components.templates import is_template, variables_in
from dagster_runs.components.yaml_model import descriptions, field_of
from dagster_runs.remote_run.resource import RemoteRunResource

_ONLY_A_VARIABLE = re.compile(r"\s*\{\{\s*env\.\w+\s*\}\}\s*")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A value that can be written without quotes. Anything else might be a secret, such as a URL with a password."""


def scaffolder_for(
    resource_class: type[RemoteRunResource], *, variables: Mapping[str, str], literals: Mapping[str, str], example: str
) -> type[dg.Scaffolder[Any]]:
    """Returns the scaffolder of a vendor's component.

    Args:
        resource_class: The vendor's resource.
        variables: The settings to write as environment variables, with the names of the variables.
        literals: The settings to write as values, with their defaults.
        example: YAML that follows the workspace as a comment, without indentation.
    """
    described = descriptions(resource_class)
    params: type[BaseModel] = create_model(  # type: ignore[call-overload]
        f"{resource_class.__name__}Params",
        **{
            name: field_of(
                str | None,
                description=f"{described.get(name, '')} "
                + (
                    f"Written as `{{{{ env.{variables[name]} }}}}`; pass a template to use another variable."
                    if name in variables
                    else ""
                ),
            )
            for name in [*variables, *literals]
        },
    )

    class VendorScaffolder(dg.Scaffolder[Any]):
        """Writes the file of a component."""

        @classmethod
        def get_scaffold_params(cls) -> type[Any]:
            return params

        def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
            if request.scaffold_format != "yaml":
                scaffold_component(request)
                return
            passed = {name: value for name, value in request.params.model_dump().items() if value is not None}
            settings = {name: _written(passed.get(name), f"{{{{ env.{one} }}}}") for name, one in variables.items()}
            for name, default in literals.items():
                value = passed.get(name, default)
                fallback = f"{{{{ env.{resource_class.vendor.upper()}_{name.upper()} }}}}"
                settings[name] = value if _PLAIN.fullmatch(value) else _written(value, fallback)
            text = _file(request.type_name, settings, example)
            target: Path = request.target_path
            if request.append:
                target.write_text(f"{target.read_text(encoding='utf-8').rstrip()}\n---\n{text}", encoding="utf-8")
            else:
                (target / "defs.yaml").write_text(text, encoding="utf-8")

    return VendorScaffolder


def _written(passed: str | None, default: str) -> str:
    """Returns a template: the one that was passed, or the default. A value that was passed is never written."""
    is_safe = passed is not None and _ONLY_A_VARIABLE.fullmatch(passed)
    return passed.strip() if passed is not None and is_safe else default


def _file(type_name: str, settings: Mapping[str, str], example: str) -> str:
    lines = [f"type: {type_name}", "", "attributes:", "  workspace:"]
    lines += [
        f'    {name}: "{value}"' if is_template(value) else f"    {name}: {value}" for name, value in settings.items()
    ]
    lines += [f"  # {line}".rstrip() for line in example.strip().splitlines()]
    names = sorted({name for value in settings.values() for name in variables_in(value)})
    if names:
        lines += ["", "requirements:", "  env:", *(f"    - {name}" for name in names)]
    return "\n".join(lines) + "\n"
