"""Measures the memory of the code server and the daemon every second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.endurance.repeating import repeated


@dataclass
class Memory:
    """Memory of several processes in bytes.

    Attributes:
        idle: The memory without work, as (RSS, PSS).
        most: The maximum of each so far.
    """

    processes: Callable[[], Sequence[int]]
    idle: tuple[int, int] = (0, 0)
    most: tuple[int, int] = (0, 0)

    def read(self) -> None:
        """Measures once."""
        taken = [_taken(pid) for pid in self.processes()]
        rss, pss = (sum(one[which] for one in taken) for which in (0, 1))
        self.most = (max(self.most[0], rss), max(self.most[1], pss))

    def set_idle(self) -> None:
        """Uses the current maximum as the memory without work."""
        self.read()
        self.idle = self.most

    @property
    def grown(self) -> tuple[int, int]:
        """Returns the growth, as (RSS, PSS)."""
        return self.most[0] - self.idle[0], self.most[1] - self.idle[1]

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        """Measures every second during the block."""
        with repeated(self.read, every=1, name="memory"):
            yield self


def _taken(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0, 0
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return kilobytes.get("Rss:", 0) * 1024, kilobytes.get("Pss:", 0) * 1024
