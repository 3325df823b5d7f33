"""`python -m tests.regressions --base COMMIT`: checks that each reported fault existed, and is fixed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.regressions.account import Line, account, is_good
from tests.regressions.items import ITEMS
from tests.regressions.running import marked_files, run_marked
from tests.regressions.trees import ROOT, build_base, check_package


@click.command()
@click.option("--base", required=True, help="The commit whose package has the faults.")
@click.option("--file", "only", multiple=True, type=click.Path(path_type=Path), help="Only this test module.")
@click.option("--at-once", default=2, show_default=True, help="Processes that run tests in parallel.")
@click.option("--keep", is_flag=True, help="Keep the folder with the earlier package and pytest's reports.")
def main(base: str, only: tuple[Path, ...], at_once: int, keep: bool) -> None:
    """Run the tests that are marked `fixes` against the package of an earlier commit, and against the current one."""
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    files = [path for path in marked_files(ROOT) if not only or (ROOT / path) in [one.resolve() for one in only]]
    folder = Path(tempfile.mkdtemp(prefix="regressions-"))
    try:
        tree = folder / "base"
        build_base(base, tree)
        for one in (tree, ROOT):
            check_package(one)
        here = run_marked(ROOT, folder / "reports-here", files=files, at_once=at_once)
        before = run_marked(tree, folder / "reports-base", files=files, at_once=at_once)
        lines = account(ITEMS, before, here)
        _show(lines, console, base)
    finally:
        if keep:
            console.print(f"kept: {folder}", markup=False)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if is_good(lines, ITEMS) else 1)


def _show(lines: list[Line], console: Console, base: str) -> None:
    table = Table(title=f"Tests marked `fixes`, against the package of {base} and against this one")
    for column in ("item", "fault", "tests", f"red at {base}", "cannot import there", "green there", "green here", ""):
        table.add_column(column)
    for line in lines:
        counts = (line.tests, line.red, line.cannot_import, len(line.green_at_base), line.green)
        style = "green" if line.is_proved else "bold red"
        table.add_row(
            line.item, line.description, *map(str, counts), "ok" if line.is_proved else "NOT PROVED", style=style
        )
    console.print(table)
    for line in lines:
        for outcome in line.not_green:
            console.print(
                f"{line.item}: not green here: {outcome.test}: {outcome.result} {outcome.message[:200]}", markup=False
            )
        for test in line.green_at_base:
            console.print(f"{line.item}: not red at {base}: {test}", markup=False)


if __name__ == "__main__":
    main()
