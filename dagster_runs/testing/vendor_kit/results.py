"""What the kit found: one row for each scenario."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Conclusion(str, Enum):
    """Whether the vendor's code does what a scenario expects."""

    HOLDS = "holds"
    FAILS = "FAILS"
    NOT_OFFERED = "not offered"


class ScenarioFailedError(Exception):
    """The vendor's code does not do what a scenario expects. The message says what was seen."""


class NotOfferedError(Exception):
    """The vendor, or the class of the run, does not support what a scenario is about. The message says why."""


def expect(condition: object, seen: str) -> None:
    """Fails the scenario unless the condition is true.

    Raises:
        ScenarioFailedError: It is not.
    """
    if not condition:
        raise ScenarioFailedError(seen)


@dataclass(frozen=True)
class Row:
    """The result of one scenario.

    Attributes:
        scenario: The name of the scenario.
        conclusion: Whether it holds.
        seen: What was seen: starts that were counted, messages.
        expected: What the scenario expects.
    """

    scenario: str
    conclusion: Conclusion
    seen: str
    expected: str = ""

    def __str__(self) -> str:
        return f"{self.scenario}: {self.conclusion.value}: {self.seen}"

    def check(self) -> None:
        """Checks that the scenario does not fail.

        Raises:
            AssertionError: It does.
        """
        if self.conclusion is Conclusion.FAILS:
            raise AssertionError(f"{self}\nExpected: {self.expected}")


@dataclass(frozen=True)
class Report:
    """The results of all scenarios for one kind of run. Printed, it is a table.

    Attributes:
        title: The kind of run.
        rows: The results, in the order of `scenarios`.
    """

    title: str
    rows: Sequence[Row]

    @property
    def failed(self) -> list[Row]:
        """The rows that fail."""
        return [row for row in self.rows if row.conclusion is Conclusion.FAILS]

    def row(self, scenario: str) -> Row:
        """Returns the row of a scenario."""
        [row] = [row for row in self.rows if row.scenario == scenario]
        return row

    def check(self) -> None:
        """Checks that no scenario fails.

        Raises:
            AssertionError: At least one does. The message has the rows that fail.
        """
        if self.failed:
            rows = "\n".join(f"{row}\n  expected: {row.expected}" for row in self.failed)
            raise AssertionError(f"{self.title}: {len(self.failed)} of {len(self.rows)} scenarios fail\n{rows}")

    def __str__(self) -> str:
        widths = [max(len(row.scenario) for row in self.rows), max(len(conclusion.value) for conclusion in Conclusion)]
        lines = [
            f"{row.scenario:<{widths[0]}} | {row.conclusion.value:<{widths[1]}} | {' '.join(row.seen.split())}"
            for row in self.rows
        ]
        header = f"{'scenario':<{widths[0]}} | {'':<{widths[1]}} | seen"
        counts = [
            f"{sum(row.conclusion is conclusion for row in self.rows)} {conclusion.value}" for conclusion in Conclusion
        ]
        return "\n".join([f"{self.title}: {', '.join(counts)}", header, "-" * len(header), *lines])
