"""Prints the account."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.chaos.findings import CATEGORIES
from tests.chaos.kinds import MAX_SLOTS
from tests.chaos.queue_plan import FIRST_NUMBER
from tests.chaos.reconcile import Account
from tests.reconciling import queue_facts

_MAX_SHOWN = 100


def show(account: Account, console: Console, *, title: str, replay: str, ticks: int = 0) -> None:
    """Prints the account.

    Args:
        account: The account.
        console: Where to print.
        title: The title of the table.
        replay: The command that replays one group, without the number of the group.
        ticks: The ticks of the completion sensors.
    """
    table = Table(title=title, show_header=False)
    table.add_row("materializations asked for", str(account.requested))
    table.add_row("remote runs started", str(account.remote_runs))
    table.add_row("Dagster runs", str(account.dagster_runs))
    if account.queued:
        table.add_row("requests of queue groups", str(account.queued))
        table.add_row("remote runs of queue groups", str(account.queued_runs))
        table.add_row("ticks of completion sensors", str(ticks))
    for how, times in sorted(account.interrupted.items()):
        table.add_row(f"interrupted: {how}", str(times))
    table.add_section()
    for category in (*CATEGORIES, *(queue_facts.CATEGORIES if account.queued else ())):
        count = account.count(category)
        table.add_row(category, str(count), style="bold red" if count else "green")
    table.add_section()
    for name, count in sorted(account.endings.items()):
        table.add_row(name, str(count))
    table.add_section()
    for name, count in sorted(account.uncertain.items()):
        table.add_row(f"uncertain start: {name}", str(count))
    console.print(table)

    drills = Table(title="Killed between the start and its record")
    for column in ("kind of run", "times", "one run", "StartOutcomeUnknown"):
        drills.add_column(column)
    for kind, drill in sorted(account.drills.items()):
        drills.add_row(kind, str(drill.starts), str(drill.one_run), str(drill.unknown))
    console.print(drills)

    for finding in account.findings[:_MAX_SHOWN]:
        where = f"materialization {finding.number}: " if finding.number is not None else ""
        console.print(f"{finding.category}: {where}{finding.text}", style="red", markup=False)
        if finding.number is not None:
            console.print(f"    {replay} {_option(finding.number)}", markup=False)
    if len(account.findings) > _MAX_SHOWN:
        console.print(f"and {len(account.findings) - _MAX_SHOWN} more", style="red", markup=False)


def _option(number: int) -> str:
    """Returns the option that replays the group of a materialization."""
    if number >= FIRST_NUMBER:
        return f"--queue-group {(number - FIRST_NUMBER) // MAX_SLOTS}"
    return f"--group {number // MAX_SLOTS}"
