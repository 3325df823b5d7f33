"""Templates in YAML, such as ``{{ env.TESTGEN_TOKEN }}``, and errors with the line of the file that they refer to."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ValidationError

from dagster_runs.components.shown_lines import SECRET_FIELD, without_secrets
from dagster_runs.dagster_private import CheckError

_ONLY_A_VARIABLE = re.compile(r"\s*\{\{\s*env\.([A-Za-z_]\w*)\s*\}\}\s*")
_VARIABLES = re.compile(r"\benv\.([A-Za-z_]\w*)")
_READ = re.compile(r"\benv(?:\.([A-Za-z_]\w*)|\(\s*['\"]([A-Za-z_]\w*))")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_HAS_DEFAULT = re.compile(r"\bor\b|\bif\b|\bdefault\b|\{%")


def is_template(text: str) -> bool:
    """Whether a string contains a template, so that its value is not known yet."""
    return "{{" in text or "{%" in text


def has_template(value: Any) -> bool:
    """Whether a value of YAML contains a template at any depth."""
    if isinstance(value, str):
        return is_template(value)
    if isinstance(value, Mapping):
        return any(has_template(one) for one in value.values())
    return isinstance(value, list) and any(has_template(one) for one in value)


def variables_in(text: str) -> list[str]:
    """Returns the names of the environment variables that a template reads."""
    return [first or second for first, second in _READ.findall(text)]


def resolved(context: dg.ResolutionContext, value: Any, *, variable: Callable[[str], Any] | None = None) -> Any:
    """Returns a value of YAML with all templates resolved.

    Args:
        context: The context, at the path of the value.
        value: The value.
        variable: What a string becomes that consists only of ``{{ env.NAME }}``. Defaults to the variable's value.

    Raises:
        DagsterInvalidDefinitionError: A variable is not set. The message names the line.
    """
    if isinstance(value, Mapping):
        for name in value:
            if isinstance(name, str) and is_template(name):
                raise located(context, f"{name!r} is the name of a field, and templates work only in values")
        return {name: resolved(context.at_path(name), one, variable=variable) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(context.at_path(index), one, variable=variable) for index, one in enumerate(value)]
    if not isinstance(value, str) or not is_template(value):
        # Dagster also evaluates strings without templates, and turns "007" and "1e5" into numbers.
        return value
    for name in _indispensable_in(value):
        if name not in os.environ:
            raise located(context, _not_set(name))
    only = _ONLY_A_VARIABLE.fullmatch(value)
    if only is not None:
        # Not resolved by Dagster, which would turn a token such as 1e5 into a number.
        return os.environ[only.group(1)] if variable is None else variable(only.group(1))
    try:
        return context.resolve_value(value)
    except Exception as error:  # noqa: BLE001 - Dagster's own is private, and its message spans many lines
        detail = [line.strip() for line in str(error).splitlines() if line.strip()][-1:]
        raise located(context, f"this template cannot be evaluated: {''.join(detail) or error!r}") from None


def _indispensable_in(template: str) -> Iterator[str]:
    """Yields the names of the variables that a template reads in expressions without a default."""
    code = _COMMENT.sub("", template)
    # A block such as {% if %} may hold several expressions.
    for expression in [code] if "{%" in code else _EXPRESSION.findall(code):
        plain = _LITERAL.sub("''", expression)
        if not _HAS_DEFAULT.search(plain):
            yield from _VARIABLES.findall(plain)


def _not_set(name: str) -> str:
    return (
        f"the environment variable {name} is not set. Set it where this code location runs, for example in the .env "
        f"file of the project, or write a default: env('{name}', '...')"
    )


def position_of(context: dg.ResolutionContext) -> str:
    """Returns the file and the line of a value, for messages about another one."""
    tree = context.source_position_tree
    if tree is None:
        return ".".join(str(part) for part in context.path)
    position, _ = tree.lookup_closest_and_path(list(context.path), None)
    return f"{position.filename}:{position.start.line}"


def located(context: dg.ResolutionContext, problem: str) -> dg.DagsterInvalidDefinitionError:
    """Returns an error that names the file, the line and the field, and shows the lines of the file without secrets."""
    path = list(context.path)
    name = ".".join(str(part) for part in path)
    tree = context.source_position_tree
    if tree is None:  # a component from Python has no file
        return dg.DagsterInvalidDefinitionError(f"{name}: {problem}")
    source = tree.source_error(yaml_path=path, inline_error_message=problem, value_error=True)
    start = (tree.position.start.line, tree.position.start.col)
    shown = ""
    if SECRET_FIELD not in path:
        shown = without_secrets(source.snippet, source.start_line_no, Path(source.file_name), start)
    return dg.DagsterInvalidDefinitionError(f"{source.file_name}:{source.start_line_no} - {name}: {problem}\n{shown}")


@contextmanager
def errors_located(context: dg.ResolutionContext) -> Iterator[None]:
    """Turns errors about a value into errors that name its line.

    Raises:
        DagsterInvalidDefinitionError: The block raised an error about a value or a definition.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = context
        for part in first["loc"]:
            where = where.at_path(part)
        raise located(where, first["msg"].removeprefix("Value error, ")) from None
    except dg.DagsterInvalidDefinitionError as error:
        if _IS_LOCATED.search(str(error)):
            raise
        raise located(context, str(error)) from None
    except (ValueError, TypeError, CheckError) as error:
        raise located(context, str(error)) from None


_IS_LOCATED = re.compile(r"^(.*:\d+ - )?attributes\.")
