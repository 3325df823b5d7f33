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
    """Execute a Dagster run for each batch.

    Args:
        batches: What to start.
        workers: Processes that do so side by side.
        log: What they print.
        progress: Gets the number of remote runs that are started.

    Raises:
        RuntimeError: A Dagster run failed: its steps had nothing to do but to start.
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
    """Keep SQLAlchemy's engines, which Dagster makes anew for each query on SQLite, and with them the compiled SQL.

    That is a third of what a start costs here. Only for these workers: what they start is what is tested, not how fast
    Dagster stores events; the daemon and the code server are as they are deployed.
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
