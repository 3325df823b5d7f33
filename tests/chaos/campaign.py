"""A campaign: runs all groups in parallel, interrupts them, re-executes them until they end, and reconciles."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg

from dagster_runs.sandbox import Fault, SandboxClient
from tests.chaos import gather, leaks
from tests.chaos.attempts import MAX_ATTEMPT_SECONDS, AnyAttempt, Attempt, HarnessError, disturb, prepare_processes
from tests.chaos.beside import in_background
from tests.chaos.checks import RUN_STATUS
from tests.chaos.facts import Facts, RequestedMaterialization
from tests.chaos.kinds import BRIEF
from tests.chaos.plan import FOR_EVER, Disturbance, Group, Materialization, finds_bad_data
from tests.chaos.processes import sandbox_process
from tests.chaos.queue_group import QueueExecution
from tests.chaos.queue_plan import QueueGroup
from tests.chaos.storage import StorageKind, dagster_home
from tests.chaos.timing import SPEED, VARIABLE, Anchor
from tests.chaos.watch import Watch
from tests.chaos.web import WebAttempt
from tests.chaos.worker import Order
from tests.dagster_ui import DagsterUI, dagster_ui
from tests.reconciling.queue_facts import QueueFacts

_CALM_ATTEMPTS = 4
"""After the disturbed ones; whatever can end well has ended then."""


@dataclass
class Campaign:
    """An active campaign.

    Attributes:
        problems_text: Errors of the harness itself.
        queues: What is known about the queue groups, by number.
        ticks: The ticks of all completion sensors.
    """

    instance: dg.DagsterInstance
    sandbox: SandboxClient
    anchor: Anchor
    watch: Watch
    folder: Path
    web_server: DagsterUI | None = None
    until: float = float("inf")
    facts: Facts = field(default_factory=Facts)
    queues: dict[int, QueueFacts] = field(default_factory=dict)
    ticks: int = 0
    problems_text: list[str] = field(default_factory=list)
    done: int = 0
    aborted: bool = False
    under_way: set[AnyAttempt] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ui(self) -> DagsterUI:
        assert self.web_server is not None
        return self.web_server

    def execute(self, group: Group) -> None:
        """Executes a group, from its first attempt to its last."""
        if self.aborted or time.time() > self.until:
            return
        execution = _Execution(self, group)
        try:
            execution.run()
        except Exception:
            self.problems_text.append(f"group {group.number}: {traceback.format_exc()}")
        facts = execution.facts()
        with self._lock:
            gather.merge(self.facts, facts)
            self.done += len(group.materializations)

    def execute_queue(self, group: QueueGroup, sabotages: tuple[str, ...] = ()) -> None:
        """Executes a queue group."""
        if self.aborted or time.time() > self.until:
            return
        execution = QueueExecution(
            group,
            self.instance,
            self.sandbox,
            self.anchor,
            self.watch,
            self.folder,
            lambda: self.aborted,
            sabotages,
        )
        try:
            execution.run()
        except Exception:
            self.problems_text.append(f"queue group {group.number}: {traceback.format_exc()}")
        facts, queue_facts = execution.facts()
        with self._lock:
            gather.merge(self.facts, facts)
            self.queues[group.number] = queue_facts
            self.ticks += execution.ticks
            self.done += len(group.requests)

    def abort(self) -> None:
        """Ends everything immediately."""
        self.aborted = True
        for attempt in list(self.under_way):
            attempt.kill_all()


class _Execution:
    """The attempts of a group."""

    def __init__(self, campaign: Campaign, group: Group) -> None:
        self._campaign = campaign
        self._group = group
        self._attempts: list[AnyAttempt] = []
        self._dagster_runs: list[str] = []
        self._chains: list[float] = []
        self._interrupted: dict[str, int] = {}

    def run(self) -> None:
        for one in self._group.materializations:
            _set_up(one, self._campaign.sandbox, self._campaign.watch)
        try:
            self._run_to_completion(list(self._group.disturbances))
            if self._group.rerun_all_steps:
                self._run_to_completion([None], rerun_all_steps=True)
        finally:
            for attempt in self._attempts:
                attempt.kill_all()

    def facts(self) -> Facts:
        """Returns what Dagster knows about the group."""
        facts = gather.from_dagster(self._campaign.instance, self._group, self._dagster_runs)
        facts.interrupted = self._interrupted
        drilled = {one.at_start_of for one in self._group.disturbances if one and one.how.startswith("kill")}
        facts.requested = [
            RequestedMaterialization(
                one.number,
                one.slot.kind.name,
                one.target,
                tuple(self._chains) or (0.0,),
                BRIEF / SPEED if one.slot.on_timeout == "cancel" else None,
                one.slot.number in drilled,
                tuple((name, one.slot.has_gate and name != RUN_STATUS) for name in (RUN_STATUS, *_data_checks(one))),
                one.slot.kind.judged_by if one.slot.has_gate else "",
                tuple(finds_bad_data(behavior, one.slot) for behavior in one.behaviors),
                self._group.partitions,
            )
            for one in self._group.materializations
        ]
        return facts

    def _run_to_completion(self, disturbances: Sequence[Disturbance | None], *, rerun_all_steps: bool = False) -> None:
        self._chains.append(time.time())
        plan = [*disturbances, *[None] * _CALM_ATTEMPTS]
        parent = self._dagster_runs[-1] if self._dagster_runs else None
        for index, disturbance in enumerate(plan):
            run = self._attempt(disturbance, parent, from_failure=not (rerun_all_steps and index == 0))
            if run is None:
                continue  # killed before the Dagster run was created
            parent = run.run_id
            calm = index >= len(disturbances)
            if run.status is dg.DagsterRunStatus.SUCCESS or (calm and self._is_final(run)):
                return

    def _attempt(
        self, disturbance: Disturbance | None, parent: str | None, *, from_failure: bool
    ) -> dg.DagsterRun | None:
        campaign, group = self._campaign, self._group
        name = f"{group.number}-{len(self._attempts)}"
        order = Order(
            job=f"days_{group.executor}" if group.days else group.executor,
            partitions=group.partitions,
            assets=tuple(one.slot.asset for one in group.materializations),
            attempt=name,
            log=campaign.folder / "logs" / f"{name}.log",
            parent=parent,
            from_failure=from_failure,
            by_python=group.by_python,
        )
        if campaign.aborted:
            raise HarnessError("the campaign was ended")
        attempt = self._begin(order)
        campaign.under_way.add(attempt)
        self._attempts.append(attempt)
        if disturbance is not None and self._disturb(attempt, disturbance):
            self._interrupted[disturbance.how] = self._interrupted.get(disturbance.how, 0) + 1
        in_time = attempt.wait(MAX_ATTEMPT_SECONDS)
        run = attempt.close()
        campaign.under_way.discard(attempt)
        if run is not None:
            self._dagster_runs.append(run.run_id)
        if not in_time:
            raise HarnessError(f"attempt {name} did not end within {MAX_ATTEMPT_SECONDS:.0f} s")
        return run

    def _disturb(self, attempt: AnyAttempt, disturbance: Disturbance) -> bool:
        slot = disturbance.at_start_of
        meant = [one for one in self._group.materializations if slot in (None, one.slot.number)]
        target = meant[0].target if slot is not None else ""
        step_pids = [step_pid(one.number) for one in meant]
        return disturb(attempt, disturbance, lambda: self._campaign.watch.has_arrived(target), step_pids)

    def _begin(self, order: Order) -> AnyAttempt:
        if self._group.executor == "web":
            return WebAttempt(order, self._campaign.ui())
        return Attempt(order, self._campaign.instance)

    def _is_final(self, run: dg.DagsterRun) -> bool:
        """Whether another attempt would end the same way."""
        facts = gather.from_dagster(self._campaign.instance, self._group, [run.run_id])
        last = {step_error.number: step_error.kind for step_error in facts.step_errors}
        wanted = {one.number: one for one in self._group.materializations}
        reported = {materialized.number for materialized in facts.materialized}
        return bool(last) and all(
            # A step that materialized and failed was blocked by its gate.
            finds_bad_data(wanted[number].behaviors[-1], wanted[number].slot)
            if number in reported
            else _recurs(kind, wanted[number])
            for number, kind in last.items()
        )


def _data_checks(one: Materialization) -> Iterable[str]:
    return one.slot.kind.run_class.data_checks


def _recurs(error: str, one: Materialization) -> bool:
    """Whether another re-execution from failure ends in the same error."""
    if error == "RunTimedOut":
        never_ends = any(behavior.core.get("running_seconds") == FOR_EVER for behavior in one.behaviors)
        return one.slot.on_timeout == "leave" and never_ends
    return error == "StartOutcomeUnknown" or (error == "RunFailed" and one.behaviors[-1].core.get("outcome") == "fail")


def step_pid(number: int) -> Path:
    return Path(os.environ["CHAOS_STEPS"]) / f"{number}.pid"


def _set_up(one: Materialization, sandbox: SandboxClient, watch: Watch) -> None:
    kind = one.slot.kind
    sandbox.add_target(kind.vendor, kind.target_kind, one.target, one.behaviors)
    for fault in one.faults:
        sandbox.add_fault(fault)
    if one.forgotten_after is not None:
        watch.forget_first_run(one.target, one.forgotten_after)


def _vendor_faults(
    forecast: Iterator[tuple[float, Fault]] | None, sandbox: SandboxClient
) -> AbstractContextManager[None]:
    """Applies faults to whole vendors during the block."""

    def make(over: threading.Event) -> None:
        for pause, fault in forecast or ():
            if over.wait(pause):
                return
            sandbox.add_fault(fault)

    return in_background(make, name="weather")


def conduct(
    groups: Sequence[Group],
    *,
    queue_groups: Sequence[QueueGroup] = (),
    queue_sabotages: Mapping[int, tuple[str, ...]] = {},
    storage: StorageKind,
    folder: Path,
    at_once: int,
    forecast: Iterator[tuple[float, Fault]] | None = None,
    seconds: float = float("inf"),
    progress: Callable[[Campaign], None] = lambda campaign: None,
) -> Campaign:
    """Executes the groups and collects the facts.

    Args:
        groups: The groups of materializations whose steps wait.
        queue_groups: The groups of deferred materializations.
        queue_sabotages: What is broken in the processes of a queue group, by its number.
        storage: The storage of Dagster.
        folder: The folder for all files.
        at_once: Groups that run in parallel.
        forecast: Faults of whole vendors, each with the real seconds to wait before it.
        seconds: Real seconds after which no group is started.
        progress: Is called after each group.
    """
    (folder / "logs").mkdir(parents=True)
    (folder / "steps").mkdir()
    with (
        dagster_home(storage, folder / "home") as kept,
        sandbox_process(folder / "sandbox.log") as (sandbox, anchor),
    ):
        _tell_workers(groups, kept.home, folder, sandbox, anchor)
        watch = Watch(sandbox)
        with dg.DagsterInstance.from_config(str(kept.home)) as instance, ExitStack() as stack:
            server = None
            if any(group.executor == "web" for group in groups):
                location = Path(__file__).with_name("web_location.py")
                server = stack.enter_context(dagster_ui(location, kept.home, {}))
            campaign = Campaign(instance, sandbox, anchor, watch, folder, server, time.time() + seconds)
            with watch.going(), _vendor_faults(forecast, sandbox), ThreadPoolExecutor(at_once) as pool:
                try:
                    queues = [
                        partial(campaign.execute_queue, group, queue_sabotages.get(group.number, ()))
                        for group in queue_groups
                    ]
                    tasks = _spread(queues, [partial(campaign.execute, group) for group in groups])
                    for _ in pool.map(lambda task: task(), tasks):
                        progress(campaign)
                except BaseException:
                    campaign.abort()
                    raise
        watch.read()
        runs = sandbox.runs()
        targets = {requested.target for requested in campaign.facts.requested}
        done = gather.from_sandbox(runs, watch.requests, watch.forgotten, anchor, targets)
        gather.merge(campaign.facts, done)
        campaign.facts.leaks += [*leaks.in_files(kept.home), *leaks.in_files(folder / "logs")]
        campaign.facts.leaks += leaks.in_rows(kept.rows())
    return campaign


def _spread(few: Sequence[Callable[[], None]], many: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
    """Returns all tasks, the few of them spread evenly over the many, because they need more processes."""
    every = len(many) // len(few) + 1 if few else 1
    tasks = list(many)
    for number, task in enumerate(few):
        tasks.insert(number * (every + 1), task)
    return tasks


def _tell_workers(groups: Sequence[Group], home: Path, folder: Path, sandbox: SandboxClient, anchor: Anchor) -> None:
    os.environ.update(
        {
            "DAGSTER_HOME": str(home),
            "CHAOS_GROUPS": str(max((group.number for group in groups), default=0) + 1),
            "CHAOS_SANDBOX": sandbox.url,
            "CHAOS_STEPS": str(folder / "steps"),
            VARIABLE: anchor.as_text(),
        }
    )
    prepare_processes()
