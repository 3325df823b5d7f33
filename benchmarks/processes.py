"""Starts the sandbox as a separate process, and measures the memory of processes."""

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
    """Runs a sandbox in its own process, so that it does not affect what is measured."""
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
    """Returns the environment of a process that imports this repository."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@dataclass(frozen=True)
class Cost:
    """The cost of some processes.

    Attributes:
        processes: The number of processes.
        rss: Their memory in bytes. Shared memory counts for each process.
        pss: Their memory in bytes. Shared memory is divided among the processes that share it.
    """

    processes: int
    rss: float
    pss: float


def cost_of(processes: Iterable[psutil.Process]) -> Cost:
    """Returns the current cost of processes. Processes that have ended cost nothing."""
    count, rss, pss = 0, 0.0, 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_full_info()
            count, rss, pss = count + 1, rss + memory.rss, pss + memory.pss
    return Cost(count, rss, pss)


def family(pid: int | None) -> list[psutil.Process]:
    """Returns a process and its descendants; an empty list if it has ended."""
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [] if process.status() == psutil.STATUS_ZOMBIE else [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
