"""Processes of a benchmark: a sandbox of its own, and what processes cost in memory."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from dagster_runs.sandbox import SandboxClient
from tests.chaos.processes import address_of

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1e6
_PATIENCE = 60.0


@contextmanager
def sandbox_process(folder: Path) -> Iterator[SandboxClient]:
    """A sandbox that shares no interpreter with what is measured."""
    log = folder / "sandbox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "dagster_runs.sandbox", "--port", "0"],
            cwd=ROOT,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield SandboxClient(address_of(process, log))
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def environment(**more: str) -> dict[str, str]:
    """For a process that imports this repository."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@dataclass(frozen=True)
class Cost:
    """What some processes take.

    Attributes:
        processes: How many there are.
        rss: Bytes of memory that they see, shared ones counted for each.
        pss: Bytes of memory with shared ones divided among those that share them.
    """

    processes: int
    rss: float
    pss: float


def cost_of(processes: Iterable[psutil.Process]) -> Cost:
    """Their cost just now; those that have ended cost nothing."""
    count, rss, pss = 0, 0.0, 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_full_info()
            count, rss, pss = count + 1, rss + memory.rss, pss + memory.pss
    return Cost(count, rss, pss)


def family(pid: int | None) -> list[psutil.Process]:
    """A process and all that come from it; none if it has ended."""
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [] if process.status() == psutil.STATUS_ZOMBIE else [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
