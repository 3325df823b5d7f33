"""Prints the account."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.chaos.findings import CATEGORIES
from tests.chaos.kinds import MAX_SLOTS
from tests.chaos.reconcile import Account

_MAX_SHOWN = 100


def show(account: Account, console: Console, *, title: str, replay: str) -> None:
    """Prints the account; `replay` is the command that replays one group, without the number of the group."""
    table = Table(title=title, show_header=False)
    table.add_row("materializations asked for", str(account.requested))
    table.add_row("remote runs started", str(account.remote_runs))
    table.add_row("Dagster runs", str(account.dagster_runs))
    for how, times in sorted(account.interrupted.items()):
        table.add_row(f"interrupted: {how}", str(times))
    table.add_section()
    for category in CATEGORIES:
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
            console.print(f"    {replay} --group {finding.number // MAX_SLOTS}", markup=False)
    if len(account.findings) > _MAX_SHOWN:
        console.print(f"and {len(account.findings) - _MAX_SHOWN} more", style="red", markup=False)
