"""What the commands print. Results go to the standard output, progress and errors to the standard error."""

import json
import logging
import math
import shlex
from collections.abc import Sequence
from typing import Any

import click

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class NegativeResult(click.ClickException):
    """The vendor, or the state of the runs, does not allow what the user wants."""

    exit_code = 1


class Unusable(click.ClickException):
    """The command cannot do its work, because its options or its surroundings are wrong."""

    exit_code = 2


def progress(message: str) -> None:
    """Prints what a command is doing."""
    click.echo(message, err=True)


def print_json(value: Any) -> None:
    """Prints a result as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows with aligned columns. The last column is not padded."""
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    for *cells, last in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join([*padded, last]).rstrip())


def age(seconds: float) -> str:
    """Returns a duration with its two largest units: ``2 h 5 min``."""
    whole = max(0, math.floor(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def one_line(text: str) -> str:
    """Returns a text without line breaks, so that it stays one row of a table, and without control characters."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def command_for(*arguments: str) -> str:
    """Returns a command to copy into a shell."""
    return shlex.join(["dagster-runs", *arguments])


class EchoHandler(logging.Handler):
    """Shows the warnings of the code that steps and jobs use."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the message."""
        progress(one_line(record.getMessage()))


def command_log() -> logging.Logger:
    """Returns a logger whose warnings are shown. Its other lines repeat what the command prints."""
    log = logging.Logger("dagster_runs.cli", logging.WARNING)
    log.addHandler(EchoHandler())
    return log
