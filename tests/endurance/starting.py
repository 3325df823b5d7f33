"""Workers that execute the Dagster runs whose steps only start remote runs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import dagster as dg

_context = multiprocessing.get_context("forkserver")


def start_all(partitions: Sequence[str], *, workers: int, log: Path, progress: Callable[[int], None]) -> None:
    """Execute a Dagster run for each partition.

    Args:
        partitions: The partitions.
        workers: Processes that do so side by side.
        log: What they print.
        progress: Is told the number of those that are done.

    Raises:
        RuntimeError: A Dagster run failed: its steps had nothing to do but to start.
    """
    _context.set_forkserver_preload(["dagster"])
    with ProcessPoolExecutor(workers, mp_context=_context, initializer=_print_to, initargs=(log,)) as pool:
        runs = {pool.submit(_start, partition): partition for partition in partitions}
        for done, run in enumerate(as_completed(runs), 1):
            if not run.result():
                raise RuntimeError(f"not all runs of partition {runs[run]} could be started; see {log}")
            progress(done)


def _print_to(log: Path) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _start(partition: str) -> bool:
    from tests.endurance import code_location

    job = dg.reconstructable(code_location.defer)
    tags = {"dagster/partition": partition}
    with dg.DagsterInstance.get() as instance, dg.execute_job(job, instance=instance, tags=tags) as result:
        return bool(result.success)
