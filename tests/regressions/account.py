"""Summarizes what the tests prove for each item. Pure functions: outcomes in, an account out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.regressions.running import Outcome


@dataclass
class Line:
    """The account of one item.

    Attributes:
        red: Tests that fail with the earlier package.
        cannot_import: Tests that cannot import a name there. They prove less.
        green_at_base: Tests that pass or are skipped there. They do not prove that there was a fault.
        not_green: Tests that do not pass today.
    """

    item: str
    description: str
    tests: int = 0
    green: int = 0
    red: int = 0
    cannot_import: int = 0
    green_at_base: list[str] = field(default_factory=list)
    not_green: list[Outcome] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """Whether the fault existed and is fixed."""
        return self.red > 0 and not self.not_green


def account(items: Mapping[str, str], base: Mapping[str, Outcome], here: Mapping[str, Outcome]) -> list[Line]:
    """Returns a line for each item, and for each number in a marker that is not an item."""
    lines = {item: Line(item, description) for item, description in items.items()}
    for outcome in here.values():
        for item in outcome.items:
            line = lines.setdefault(item, Line(item, "?"))
            line.tests += 1
            if outcome.result == "passed":
                line.green += 1
            else:
                line.not_green.append(outcome)
            before = base.get(outcome.test)
            if before is None or before.result == "cannot import":
                line.cannot_import += 1
            elif before.result == "failed":
                line.red += 1
            else:
                line.green_at_base.append(outcome.test)
    return list(lines.values())


def is_good(lines: list[Line], items: Mapping[str, str]) -> bool:
    """Whether every item is proved, and every marker names an item."""
    return all(line.is_proved and line.item in items for line in lines)
