"""Formats the outcomes as a table."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from demo.outcome import Outcome

# Wide enough for ids and asset keys on one line. A pipe or a CI log has no width.
_WIDE = 160
_MIN_TABLE = 120


def console() -> Console:
    """Returns the console to print to."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDE)


def report(outcomes: Sequence[Outcome], *, width: int) -> Group:
    """Returns a row per asset, or a paragraph if there is no room for a table, followed by the errors."""
    errors = [
        # Texts from vendors are inserted literally, never as markup.
        Text.assemble(("✗ ", "red"), (outcome.key.to_user_string(), "bold"), f": {outcome.error}")
        for outcome in outcomes
        if outcome.error
    ]
    if width < _MIN_TABLE:
        return Group(*(_paragraph(outcome) for outcome in outcomes), *errors)
    table = Table(show_lines=True)
    for name in ("asset", "remote run"):
        table.add_column(name, overflow="fold", no_wrap=width >= _WIDE)
    table.add_column("state", overflow="fold", min_width=12, max_width=24)
    for name in ("seconds", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("checks", overflow="fold")
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    return Group(table, *errors)


def _paragraph(outcome: Outcome) -> Group:
    asset, run, state, seconds, score, checks = _row(outcome)
    facts = Text.assemble("run ", run, ", ", seconds, " seconds, score ", score)
    shown = [facts, checks] if outcome.checks else []
    return Group(Text.assemble((asset.plain, "bold"), "  ", state), *(Padding(one, (0, 0, 0, 2)) for one in shown), "")


def _row(outcome: Outcome) -> list[Text]:
    metadata = outcome.metadata
    seconds, score = metadata.get("dagster_runs/duration_seconds"), metadata.get("testgen/score")
    return [
        Text(outcome.key.to_user_string()),
        Text(str(metadata.get("dagster_runs/run_id", "–"))),
        _state(outcome),
        Text("–" if seconds is None else f"{seconds:.1f}"),
        Text("–" if score is None else f"{score:.4f}"),
        Text("\n").join(_check(check) for check in outcome.checks) if outcome.checks else Text("–"),
    ]


def _state(outcome: Outcome) -> Text:
    if outcome.materialized:
        return Text(str(outcome.metadata.get("dagster_runs/state", "materialized")), "green")
    if outcome.is_external:
        return Text("checked")
    if outcome.blocked_by:
        return Text(f"blocked by {', '.join(key.to_user_string() for key in outcome.blocked_by)}", "yellow")
    return Text("failed" if outcome.error else "not run", "red")


def _check(check: dg.AssetCheckEvaluation) -> Text:
    description = f": {check.description}" if check.description and check.check_name != "run_status" else ""
    if check.passed:
        return Text.assemble(("✓ ", "green"), check.check_name, (description, "dim"))
    is_error = check.severity is dg.AssetCheckSeverity.ERROR
    mark, style = ("✗ ", "red") if is_error else ("! ", "yellow")
    blocking = ", blocking" if is_error and check.blocking else ""
    return Text.assemble((mark, style), f"{check.check_name} ({check.severity.value}{blocking})", (description, "dim"))
