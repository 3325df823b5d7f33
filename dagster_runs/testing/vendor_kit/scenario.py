"""A scenario: a function that does something to a vendor, and raises if the vendor's code does not do what it must."""

from collections.abc import Callable
from dataclasses import dataclass

from dagster_runs.testing.vendor_kit.case import Case


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        function: Does it. Returns what was seen. Its docstring says what is expected.
    """

    function: Callable[[Case], str]

    @property
    def name(self) -> str:
        """The name."""
        return self.function.__name__

    @property
    def expected(self) -> str:
        """What is expected of the vendor's code."""
        return " ".join((self.function.__doc__ or "").split())

    def __str__(self) -> str:
        return self.name
