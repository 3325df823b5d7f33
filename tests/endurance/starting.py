"""Workers that execute the Dagster runs whose steps only start remote runs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from tests.endurance.plan import Batch

_MAX_ENGINES = 8
"""One for all assets, and one for each of the newest Dagster runs."""
_context = multiprocessing.get_context("forkserver")


def start_all(batches: Sequence[Batch], *, workers: int, log: Path, progress: Callable[[int], None]) -> None:
    """Executes a Dagster run for each batch.

    Args:
        batches: The batches to start.
        workers: The number of parallel processes.
        log: The file of their output.
        progress: Is called with the number of started remote runs.

    Raises:
        RuntimeError: A Dagster run failed, although its steps only start remote runs.
    """
    _context.set_forkserver_preload(["dagster"])
    with ProcessPoolExecutor(workers, mp_context=_context, initializer=_prepare, initargs=(log,)) as pool:
        runs = {pool.submit(_start, batch): batch for batch in batches}
        done = 0
        for run in as_completed(runs):
            if not run.result():
                raise RuntimeError(f"not all runs of {runs[run]} could be started; see {log}")
            done += runs[run].size
            progress(done)


def _prepare(log: Path) -> None:
    _reuse_engines()
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _reuse_engines() -> None:
    """Reuses SQLAlchemy's engines, which Dagster creates for each query on SQLite, and so their compiled SQL.

    This saves a third of a start. Only these workers do so, because the test does not measure how fast
    Dagster stores their events; the daemon and the code server run as deployed.
    """
    make, engines = sqlite_event_log.create_engine, dict[str, Any]()

    def reused(url: str, **options: Any) -> Any:
        if url not in engines:
            while len(engines) >= _MAX_ENGINES:
                engines.pop(next(iter(engines)))
            engines[url] = make(url, **options)
        else:
            engines[url] = engines.pop(url)  # the newest is last
        return engines[url]

    sqlite_event_log.create_engine = reused


def _start(batch: Batch) -> bool:
    from tests.endurance import code_location

    job = dg.reconstructable(code_location.defer_days if batch.is_daily else code_location.defer)
    first, last = batch.partitions[0], batch.partitions[-1]
    tags = {"dagster/partition": first}
    if first != last:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.get() as instance, dg.execute_job(job, instance=instance, tags=tags) as result:
        return bool(result.success)
