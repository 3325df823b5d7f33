"""Prepares docstrings for the reference: signatures, links to the source and to public names, and blocks of code."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import griffe

from website import settings

_BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n((?:\1 +.*\n?|\n)+)", re.MULTILINE)
_NAME = re.compile(r"(?<![`\w])`(\w+)`(?![`\w])")
_ARGUMENTS = re.compile(r"^Args:\n((?: {4}.*\n?|\n)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^ {4}(\w+):", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Changes the objects of the package when they have been loaded."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Gives a pydantic model the signature that its docstring describes: the fields, with types and defaults."""
        documented = _ARGUMENTS.search(cls.docstring.value) if cls.docstring else None
        parameters = [_parameter(cls, name) for name in _ARGUMENT.findall(documented[1] if documented else "")]
        if parameters and all(parameters):
            # Fields without a default come first, as in every signature.
            parameters.sort(key=lambda one: one is not None and one.default is not None)
            cls.set_member(
                "__init__", griffe.Function("__init__", parameters=griffe.Parameters(*filter(None, parameters)))
            )

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Adds a link to the source of a class or function, and converts its docstring."""
        if obj.docstring is None or not isinstance(obj, (griffe.Class, griffe.Function)):
            return
        text = as_markdown(obj.docstring.value, own_name=obj.name)
        if isinstance(obj.filepath, Path) and obj.lineno:
            path = obj.filepath.resolve().relative_to(settings.ROOT).as_posix()
            lines = f"#L{obj.lineno}-L{obj.endlineno}"
            text += f"\n\n[Source: `{path}`]({settings.repository_file(path)}{lines})"
        obj.docstring.value = text


def as_markdown(text: str, own_name: str = "") -> str:
    """Returns a docstring with fenced blocks of code, and with links to other public names in backticks."""

    def fenced(block: re.Match[str]) -> str:
        code = dedent(block[3]).strip("\n")
        return "\n".join(f"{block[1]}{line}".rstrip() for line in (f"```{block[2]}", *code.split("\n"), "```")) + "\n"

    def linked(name: re.Match[str]) -> str:
        known = name[1] in settings.public_names() and name[1] != own_name
        return f"[`{name[1]}`][dagster_runs.{name[1]}]" if known else name[0]

    return _NAME.sub(linked, _BLOCK.sub(fenced, text))


def _parameter(cls: griffe.Class, name: str) -> griffe.Parameter | None:
    """Returns a field of a class, or of one of its bases, as a parameter; ``None`` if the class has no such field."""
    field = cls.all_members.get(name)
    if field is None or not field.is_attribute or field.annotation is None:
        return None
    return griffe.Parameter(
        name,
        annotation=field.annotation,
        kind=griffe.ParameterKind.keyword_only,
        default=_default(field.value),
    )


def _default(value: Any) -> Any:
    """Returns the default of a field, which may be written as ``Field(default=...)``."""
    if not isinstance(value, griffe.ExprCall) or str(value.function) != "Field":
        return value
    for argument in value.arguments:
        if isinstance(argument, griffe.ExprKeyword) and argument.name in ("default", "default_factory"):
            return argument.value if argument.name == "default" else f"{argument.value}()"
    return None
