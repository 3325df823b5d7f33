"""The options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from dagster_shared.cli import generate_python_pointer_options

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def definitions_options(function: FunctionT) -> FunctionT:
    """Adds the options that name the definitions, with the spelling and the environment variables of `dagster`."""
    options = [
        click.option(
            "--workspace",
            "-w",
            multiple=True,
            type=click.Path(exists=True, dir_okay=False),
            help="The workspace file. Can be given several times.",
        ),
        *generate_python_pointer_options(allow_multiple=True, hide_legacy_options=False),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def json_option(function: FunctionT) -> FunctionT:
    """Adds the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(function)
