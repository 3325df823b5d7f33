"""Prints the figures of a campaign with their limits."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.endurance.campaign import Outcome
from tests.endurance.reconcile import CATEGORIES, Finding
from tests.reconciling import queue_facts

MAX_GROWTH = 300e6
MAX_TICK = 40.0
PER_SECOND = {"amperity": 10}
"""Maximum requests per second of vendors with a documented limit."""


def show(outcome: Outcome, findings: list[Finding], console: Console, *, title: str) -> bool:
    """Prints the figures, and returns whether all are within their limits."""
    table = Table(title=title)
    for column in ("", "measured", "limit"):
        table.add_column(column)
    is_good = True

    def add(name: str, value: float, limit: float | None = None, form: str = "{:.0f}") -> None:
        nonlocal is_good
        within = limit is None or value <= limit
        is_good = is_good and within
        shown = "" if limit is None else form.format(limit)
        table.add_row(name, form.format(value), shown, style="bold red" if not within else None)

    facts, ticks = outcome.facts, outcome.ticks
    add("deferred runs", len(facts.planned))
    add("in flight after the last start", outcome.in_flight)
    add("ended before the last start", len(facts.planned) - outcome.in_flight, 0)
    add("seconds until all were started", outcome.seconds[0])
    add("seconds until all were reported", outcome.seconds[1])
    add("kills of code server and daemon", outcome.kills.done)
    add("materializations", len(facts.materialized))
    add("check evaluations", len(facts.evaluated))
    add("failed Dagster runs", sum(one.failed and one.began for one in facts.publishing))
    add("Dagster runs that never started", sum(not one.began for one in facts.publishing))
    add("alerts", len(facts.alerts))
    table.add_section()
    count = Counter(finding.category for finding in findings)
    for category in CATEGORIES:
        add(category, count[category], 0)
    table.add_section()
    add("requests that had to queue", len(outcome.queue.requested))
    add("runs for them", len(outcome.queue.starts))
    queued = list(queue_facts.findings(outcome.queue))
    for category in queue_facts.CATEGORIES:
        add(category, queue_facts.total(queued)[category], 0)
    table.add_section()
    for name, grown, idle in zip(("RSS", "PSS"), outcome.memory.grown, outcome.memory.idle, strict=True):
        add(f"{name}, MB, code server and daemon: idle", idle / 1e6)
        add(f"{name}, MB, code server and daemon: growth", grown / 1e6, MAX_GROWTH / 1e6)
    seconds = sorted(tick.seconds for tick in ticks)
    add("ticks", len(seconds))
    add("ticks that failed", sum(tick.failed for tick in ticks))
    add("tick, s: median", seconds[len(seconds) // 2], form="{:.1f}")
    add("tick, s: longest", seconds[-1], MAX_TICK, form="{:.1f}")
    table.add_section()
    for vendor in sorted(outcome.calls.status_calls):
        add(f"{vendor}: status calls", outcome.calls.status_calls[vendor])
        at_most = "within one second, maximum"
        add(f"{vendor}: status calls {at_most}", outcome.calls.max_status_calls[vendor], PER_SECOND.get(vendor))
        add(f"{vendor}: all requests {at_most}", outcome.calls.busiest[vendor])
    console.print(table)
    for finding in findings[:50]:
        console.print(f"{finding.category}: {finding.text}", style="red", markup=False)
    for category, text in queued[:50]:
        console.print(f"{category}: {text}", style="red", markup=False)
    for tick in ticks:
        if tick.failed:
            console.print(f"a tick failed: {tick.message[:300]}", markup=False)
    return is_good
