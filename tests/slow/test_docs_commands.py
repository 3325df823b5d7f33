"""The commands on all pages exist: programs, subcommands, options, make targets, modules and extras.

`make test-docs` runs those of three pages. These tests only check that none is misspelled or was removed.
"""

import ast
import re
import shlex
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

import click
import pytest

from tests.doc_blocks import ROOT, Block, all_blocks

COMMANDS = [block for block in all_blocks("") if not block.path]
SHELL = {"cd", "curl", "export", "mkdir"}
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def problem_with(line: str) -> str | None:
    """Returns what is wrong with a command, or ``None``."""
    program, *arguments = shlex.split(line, comments=True)
    program = program.removeprefix(".venv/bin/")
    if program in SHELL:
        return None
    if program == "make":
        target = next(one for one in arguments if "=" not in one)
        return None if f"\n{target}: " in MAKEFILE else f"there is no target {target}"
    if program == "pip":
        extras = {extra for extra in re.findall(r"dagster-runs\[([\w,]+)\]", line) for extra in extra.split(",")}
        unknown = [extra for extra in extras if not re.search(rf"^{extra} = \[", PYPROJECT, re.MULTILINE)]
        return f"there is no extra {unknown}" if unknown else None
    if program == "python":
        return _problem_with_python(*arguments)
    command = _command(program)
    return _problem_with_click(command, arguments) if command is not None else f"there is no program {program}"


def _problem_with_python(option: str, what: str, *_: str) -> str | None:
    if option == "-m":
        return None if find_spec(what) else f"there is no module {what}"
    for node in ast.walk(ast.parse(what)):
        if isinstance(node, ast.ImportFrom):
            names = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "dagster_runs":
            names = [("dagster_runs", node.attr)]
        else:
            continue
        missing = [f"{module}.{name}" for module, name in names if not hasattr(import_module(module), name)]
        if missing:
            return f"there is no {missing}"
    return None


@cache
def _command(program: str) -> click.Command | None:
    """Returns the click command of a program, which may be one of this package that is not installed yet."""
    own = re.search(rf'^{re.escape(program)} = "([\w.]+:\w+)"$', PYPROJECT, re.MULTILINE)
    found = [EntryPoint(program, own[1], "")] if own else entry_points(group="console_scripts", name=program)
    if program in ("pre-commit", "git"):
        return click.Command(program, context_settings={"ignore_unknown_options": True})
    for entry in found:
        loaded = import_module(entry.module)
        command = getattr(loaded, entry.attr)
        return command if isinstance(command, click.Command) else getattr(loaded, "cli", None)
    return None


def _problem_with_click(command: click.Command, arguments: list[str]) -> str | None:
    options = list(command.params)
    while arguments and isinstance(command, click.Group):
        name, *arguments = arguments
        if name.startswith("-"):
            break
        if name.startswith("dagster_runs."):  # a component
            component = name.partition(".")[2]
            return None if hasattr(import_module("dagster_runs"), component) else f"there is no {name}"
        context = click.Context(command)
        child = command.get_command(context, name)
        if child is None:
            return f"{command.name} has no command {name}; it has {command.list_commands(context)}"
        command = child
        options += command.params
    if command.context_settings.get("ignore_unknown_options"):
        return None
    known = {option for parameter in options for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [one for one in arguments if one.startswith("--") and one.partition("=")[0] not in known]
    return f"{command.name} has no options {unknown}" if unknown else None


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_exist(block: Block) -> None:
    problems = [problem_with(line) for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
    assert [problem for problem in problems if problem is not None] == []


@pytest.mark.parametrize(
    "line",
    [
        "make nothing",
        "dg chek defs",
        "dg check defs --no-such-option",
        "pip install 'dagster-runs[sandpit]'",
        "python -m dagster_runs.sandpit",
        "python -c 'from dagster_runs.sandbox import Sandpit'",
        "dg scaffold defs dagster_runs.SandpitComponent sandpit",
        "dagsterr dev",
    ],
)
def test_mistake_in_a_command_is_found(line: str) -> None:
    assert problem_with(line) is not None
