"""A queue group: its requests, the process of its completion sensor, and the Dagster runs that the sensor requests."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.request_queue import REQUEST_TAG
from dagster_runs.sandbox import Fault, SandboxClient, SandboxRun
from tests.chaos import gather, queue_gather
from tests.chaos.attempts import MAX_ATTEMPT_SECONDS, Attempt, HarnessError, disturb, start_process
from tests.chaos.facts import Facts
from tests.chaos.plan import HELD_BACK, Disturbance
from tests.chaos.processes import end_group
from tests.chaos.queue_gather import UNKNOWN, Chain
from tests.chaos.queue_plan import Kill, Place, QueueGroup, QueueRequest
from tests.chaos.queue_ticker import REQUESTED_TAG, TickerOrder, lines, tick_for_ever
from tests.chaos.queue_worker import QueueOrder, work_on_queue
from tests.chaos.timing import Anchor
from tests.chaos.watch import Watch
from tests.reconciling.queue_facts import QueueFacts, unserved

_CALM_ATTEMPTS = 4
_AT_ONCE = 2
"""Dagster runs that a group launches at once. Waiting steps and those of the sensor are not counted."""
_FEW_TICKS = 3
"""Ticks without any change after which a group is done to which nothing is missing."""
_QUIET_TICKS = 14
"""Ticks without any change after which missing runs and reports count as lost. A refused start is repeated after 15
simulated seconds, which are two ticks, and again after 30 and 60."""
_MAX_SECONDS = 600.0
_ACTIVE = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


class QueueExecution:
    """The execution of a queue group.

    Args:
        group: The group.
        sabotages: What is broken in its processes.
        folder: The folder of the campaign.
        is_aborted: Whether the campaign ends at once.
    """

    def __init__(
        self,
        group: QueueGroup,
        instance: dg.DagsterInstance,
        sandbox: SandboxClient,
        anchor: Anchor,
        watch: Watch,
        folder: Path,
        is_aborted: Callable[[], bool],
        sabotages: tuple[str, ...] = (),
    ) -> None:
        self.group = group
        self.chains: list[Chain] = []
        self.failed: list[str] = []
        self.killed: Counter[str] = Counter()
        self.interrupted: Counter[str] = Counter()
        self._instance = instance
        self._sandbox = sandbox
        self._anchor = anchor
        self._watch = watch
        self._folder = folder
        self._is_aborted = is_aborted
        self._sabotages = sabotages
        self._attempts: list[Attempt] = []
        self._seen: set[str] = set()
        self._started = 0
        self._over = threading.Event()
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def _ticker_order(self) -> TickerOrder:
        return TickerOrder(self.group.number, self._folder / "logs", None, self._sabotages)

    @property
    def ticks(self) -> int:
        """Returns how many ticks ended."""
        return sum(1 for _ in lines(self._ticker_order.ticks))

    def run(self) -> None:
        """Makes all requests, and waits until nothing is left to do."""
        for place in self.group.places:
            kind = place.slot.kind
            self._sandbox.add_target(kind.vendor, kind.target_kind, place.target, self.group.behaviors[place.target])
        for fault in self.group.faults:
            self._sandbox.add_fault(fault)
        waiting = max(1, sum(request.is_backfill for request in self.group.requests))
        with (
            ThreadPoolExecutor(1) as ticking,
            ThreadPoolExecutor(1) as dispatching,
            ThreadPoolExecutor(_AT_ONCE) as requesting,
            ThreadPoolExecutor(waiting) as backfilling,
            ThreadPoolExecutor(_AT_ONCE) as starting,
        ):
            services = [ticking.submit(self._keep_ticking), dispatching.submit(self._dispatch, starting)]
            try:
                made = []
                for request in self.group.requests:
                    time.sleep(request.pause)
                    pool = backfilling if request.is_backfill else requesting
                    made.append(pool.submit(self._make, request))
                self._until_settled([*made])
            finally:
                self._over.set()
                for attempt in list(self._attempts):
                    attempt.kill_all()
            for future in [*services, *made]:
                future.result()

    def facts(self) -> tuple[Facts, QueueFacts]:
        """Returns what is known about the group."""
        facts = queue_gather.facts_of(self.group, self._instance, self.chains)
        facts.interrupted = {f"queue: {how}": times for how, times in self.interrupted.items()}
        facts.interrupted |= {f"sensor killed {point}": times for point, times in self.killed.items()}
        found = queue_gather.queue_facts_of(self.group, facts, self.chains, self._runs(), self._anchor)
        found.failed += self.failed
        return facts, found

    def _runs(self) -> list[SandboxRun]:
        return self._sandbox.runs()

    def _make(self, request: QueueRequest) -> None:
        chain = Chain(time.time(), request, request.place)
        name = f"queue {self.group.number} {request.number}"
        order = QueueOrder(
            self.group.number,
            name,
            self._log(name),
            self._sabotages,
            asset=request.place.asset,
            partition=request.place.partition,
            config=request.config,
            backfill=f"backfill{request.place.number}" if request.is_backfill else "",
        )
        with self._lock:
            self.chains.append(chain)
        self._carry_out(chain, order, request.disturbances)

    def _carry_out(self, chain: Chain, order: QueueOrder, disturbances: Sequence[Disturbance | None]) -> None:
        """Executes a Dagster run, and re-executes it from failure until it succeeds or cannot."""
        first = order
        for number, disturbance in enumerate([*disturbances, *[None] * _CALM_ATTEMPTS]):
            if self._over.is_set() or self._is_aborted():
                return
            run = self._attempt(order, disturbance, chain.place)
            if run is None:
                continue  # killed before the Dagster run was created
            chain.dagster_runs.append(run.run_id)
            chain.tags = chain.tags or run.tags
            chain.last_error = self._error(run)
            if run.status is dg.DagsterRunStatus.SUCCESS or chain.last_error == UNKNOWN:
                return
            if first.run_id is not None and chain.last_error == "never began":
                return  # the sensor requests another one
            if self._has_materialized(run, chain.place):
                return  # its gate has failed it
            name = f"{first.attempt} again {number}"
            order = QueueOrder(first.group, name, self._log(name), self._sabotages, parent=run.run_id)
        if not self._over.is_set():
            self.failed.append(
                f"{chain.place.target}: Dagster run {chain.dagster_runs[-1:]} ended by {chain.last_error}"
            )

    def _attempt(self, order: QueueOrder, disturbance: Disturbance | None, place: Place) -> dg.DagsterRun | None:
        before = self._watch.arrivals(place.target)
        if disturbance is not None and disturbance.at_start_of is not None:
            self._sandbox.add_fault(Fault("hang", method="POST", target=place.target, seconds=HELD_BACK, times=1))
        attempt = Attempt(order, self._instance, work_on_queue)
        self._attempts.append(attempt)
        if disturbance is not None and disturb(
            attempt, disturbance, lambda: self._watch.arrivals(place.target) > before
        ):
            self.interrupted[disturbance.how] += 1
        deadline = time.monotonic() + MAX_ATTEMPT_SECONDS
        while not attempt.wait(1):
            if self._over.is_set() or time.monotonic() > deadline:
                break
        run = attempt.close()
        self._attempts.remove(attempt)
        attempt.kill_all()
        return run

    def _error(self, run: dg.DagsterRun) -> str:
        if run.status is dg.DagsterRunStatus.SUCCESS:
            return ""
        records = self._instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
        if records[0].start_time is None and run.status is dg.DagsterRunStatus.FAILURE:
            return "never began"
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
            assert entry.dagster_event is not None
            return gather.step_error(entry.dagster_event, 0, 0.0, run.run_id).kind
        return run.status.value

    def _has_materialized(self, run: dg.DagsterRun, place: Place) -> bool:
        events = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return place.slot.has_gate and bool(events)

    def _keep_ticking(self) -> None:
        """Keeps a process that evaluates the sensor; it is killed, and another one continues."""
        kills: list[Kill | None] = list(self.group.kills)
        while not self._over.is_set():
            kill = kills.pop(0) if kills else None
            order = self._ticker_order
            process = start_process(tick_for_ever, TickerOrder(order.group, order.folder, kill, order.sabotages))
            while not self._over.is_set() and process.is_alive():
                process.join(0.2)
            was_alive = process.is_alive()
            end_group(process.pid)  # always, because a process whose starter is gone counts as ended
            if was_alive:
                process.kill()
            elif kill is not None and process.exitcode == -signal.SIGKILL:
                self.killed[kill.point] += 1
            elif not self._over.is_set():
                self.failed.append(f"the sensor's process ended with exit code {process.exitcode}")
                return
            process.join()

    def _dispatch(self, pool: ThreadPoolExecutor) -> None:
        """Launches the Dagster runs that the sensor's process has created, like Dagster's daemon."""
        wanted = dg.RunsFilter(tags={REQUESTED_TAG: str(self.group.number)}, statuses=[dg.DagsterRunStatus.NOT_STARTED])
        futures = []
        while not self._over.wait(0.3):
            for run in reversed(self._instance.get_runs(wanted)):
                if run.run_id not in self._seen and run.parent_run_id is None:
                    self._seen.add(run.run_id)
                    futures.append(pool.submit(self._launch, run))
        for future in futures:
            future.result()

    def _launch(self, run: dg.DagsterRun) -> None:
        disturbances: list[Disturbance | None] = []
        with self._lock:
            if REQUEST_TAG in run.tags and self._started < len(self.group.started_disturbances):
                disturbances.append(self.group.started_disturbances[self._started])
                self._started += 1
            [key] = run.asset_selection or [dg.AssetKey("")]
            partition = run.tags["dagster/partition"]
            [place] = [one for one in self.group.places if (one.asset, one.partition) == (key.path[-1], partition)]
            chain = Chain(time.time(), None, place, tags=run.tags)
            self.chains.append(chain)
        name = run.tags["chaos/attempt"]
        order = QueueOrder(self.group.number, name, self._log(name), self._sabotages, run_id=run.run_id)
        if REQUEST_TAG in run.tags:
            self._carry_out(chain, order, disturbances)
            return
        ended = self._attempt(order, None, place)  # it reports a failure, and is not executed again
        if ended is not None:
            chain.dagster_runs.append(ended.run_id)

    def _until_settled(self, made: Sequence[Any]) -> None:
        """Waits until each request is made and served, or nothing changes anymore."""
        wanted = dg.RunsFilter(tags={REQUESTED_TAG: str(self.group.number)}, statuses=list(_ACTIVE))
        last: object = None
        quiet_since = self.ticks
        deadline = time.monotonic() + _MAX_SECONDS
        while time.monotonic() < deadline and not self._is_aborted():
            time.sleep(0.7)
            is_made = all(future.done() for future in made)
            if any(future.done() and future.exception() is not None for future in made):
                return  # an error of the harness, which is raised later
            if self._instance.get_runs_count(wanted):
                quiet_since = self.ticks
            if self.ticks < quiet_since + _FEW_TICKS:
                continue
            facts, found = self.facts()
            state = (len(facts.materialized), len(facts.evaluated), len(facts.ledger_records), len(found.starts))
            if state != last or any(start.ended_at is None for start in found.starts):
                last, quiet_since = state, self.ticks
            # A step that waits for its turn in vain never ends.
            elif (is_made and not unserved(found)) or self.ticks >= quiet_since + _QUIET_TICKS:
                return
        if not self._is_aborted():
            raise HarnessError(f"queue group {self.group.number} did not settle within {_MAX_SECONDS:.0f} s")

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name.replace(' ', '-')}.log"
