"""Makes the requests that have to queue, while the rest of the campaign continues."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from dagster_runs.sandbox import SandboxClient
from tests.endurance.queue_plan import QueuePlan, QueueRequest
from tests.endurance.starting import _context, _prepare
from tests.reconciling.queue_facts import Requested


class Requesting:
    """Makes all requests, one after the other, and those of backfills beside them.

    Args:
        plan: The requests.
        sandbox: Its time is the time of a request.
        log: The file of the processes' output.
        pause: Real seconds between two requests.
    """

    def __init__(self, plan: QueuePlan, sandbox: SandboxClient, log: Path, pause: float) -> None:
        self.made: list[Requested] = []
        self.failed: list[str] = []
        self._plan = plan
        self._sandbox = sandbox
        self._log = log
        self._pause = pause
        self._stopped = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether all requests are made."""
        return len(self.made) + len(self.failed) >= len(self._plan.requests)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Makes the requests during the block. What is not made then is left out."""
        with (
            ProcessPoolExecutor(1, mp_context=_context, initializer=_prepare, initargs=(self._log,)) as pool,
            ProcessPoolExecutor(2, mp_context=_context, initializer=_prepare, initargs=(self._log,)) as waiting,
        ):
            thread = threading.Thread(target=self._make_all, args=(pool, waiting), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._stopped.set()
                thread.join(120)

    def _make_all(self, pool: ProcessPoolExecutor, waiting: ProcessPoolExecutor) -> None:
        for request in self._plan.requests:
            if self._stopped.wait(self._pause):
                return
            executor = waiting if request.is_backfill else pool
            future = executor.submit(_request, request)
            future.add_done_callback(self._recorder(request, self._sandbox.now()))
            if not request.is_backfill:
                while not future.done() and not self._stopped.is_set():
                    time.sleep(0.2)

    def _recorder(self, request: QueueRequest, at: float) -> Callable[[Future[bool]], None]:
        def record(done: Future[bool]) -> None:
            error = done.exception()
            if error is None and done.result():
                slot = request.slot
                self.made.append(Requested(request.number, slot.asset, request.partition, request.variant, at))
            else:
                self.failed.append(f"request {request.number}: {error or 'its Dagster run failed'}")

        return record


def _request(request: QueueRequest) -> bool:
    from tests.endurance import code_location

    job = dg.reconstructable(getattr(code_location, f"request_{request.slot.asset}"))
    tags = {"dagster/partition": request.partition}
    if request.is_backfill:
        tags["dagster/backfill"] = f"backfill{request.number}"
    key = request.slot.asset
    config = {"ops": {key: {"config": {"parameters": {"variant": request.variant}}}}}
    with (
        dg.DagsterInstance.get() as instance,
        dg.execute_job(job, instance=instance, tags=tags, run_config=config) as result,
    ):
        return bool(result.success)
