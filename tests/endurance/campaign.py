"""A campaign: defers all runs, then accelerates time until all have ended and are reported, despite kills."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from tests.chaos import kinds
from tests.chaos.processes import sandbox_process
from tests.chaos.storage import StorageKind, dagster_home
from tests.endurance import names, timing
from tests.endurance.calls import Calls
from tests.endurance.dagster_processes import Dagster
from tests.endurance.facts import Facts
from tests.endurance.gather import gather, gather_queue
from tests.endurance.kills import Kills
from tests.endurance.memory import Memory
from tests.endurance.plan import TIMEOUT, Plan
from tests.endurance.progress import Progress
from tests.endurance.queue_plan import QueuePlan
from tests.endurance.reconcile import MISSING, reconcile
from tests.endurance.repeating import repeated
from tests.endurance.requesting import Requesting
from tests.endurance.starting import start_all
from tests.endurance.ticks import Tick, ticks
from tests.reconciling.queue_facts import QueueFacts, unserved

_SETTINGS = """\
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 4
python_logs:
  python_log_level: WARNING
run_monitoring:
  enabled: true
  start_timeout_seconds: 120
  poll_interval_seconds: 10
"""
_PATIENCE = 300.0
"""Real seconds without any progress after which missing reports count as lost."""
REQUEST_PAUSE = 6.0
"""Real seconds between two requests that have to queue."""
_TICKS_WITHOUT_CHECKS = 6
"""Ticks of the sensor without any check evaluation after which missing evaluations count as lost."""
_WHILE_STARTING = 0.02
"""The speed of time until all runs are started: so slow that even the shortest are still active then."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a campaign.

    Attributes:
        in_flight: Deferred runs that were still active when the last one was started.
        seconds: Real seconds of the starts, and of the rest.
    """

    facts: Facts
    queue: QueueFacts
    memory: Memory
    calls: Calls
    ticks: Sequence[Tick]
    kills: Kills
    in_flight: int
    seconds: tuple[float, float]


def conduct(
    plan: Plan,
    *,
    storage: StorageKind,
    folder: Path,
    kills: int,
    ends_per_second: float,
    say: Callable[[str], None],
    haste: float = 1.0,
) -> Outcome:
    """Defers all runs and waits until all are reported.

    Args:
        plan: The runs to defer.
        storage: The storage of Dagster.
        folder: The folder for all files.
        kills: How often the code server and the daemon are killed.
        ends_per_second: Remote runs that end per real second, on average, once all are started. For 10,000 runs, 6 lets
            time run 13 times as fast: a tick of 40 s, or a killed code server, then takes less than the ten minutes
            for which the sensor waits for the status of a run beyond its deadline.
        say: Is called with progress messages.
        haste: A factor for the pauses around kills.
    """
    folder.mkdir(parents=True)
    with (
        dagster_home(storage, folder / "home", _SETTINGS) as kept,
        sandbox_process(folder / "sandbox.log", speed=_WHILE_STARTING) as (sandbox, anchor),
    ):
        # The rate limit is measured and not enforced, because several processes share the limit of one.
        time_file, alerts = folder / "time.json", folder / "alerts"
        time_file.write_text(anchor.as_text())
        os.environ.update(
            {
                "DAGSTER_HOME": str(kept.home),
                names.PLAN: json.dumps([plan.seed, plan.runs]),
                names.SANDBOX: sandbox.url,
                names.ALERTS: str(alerts),
                timing.VARIABLE: str(time_file),
            }
        )
        say(f"{len(plan.deferred_runs)} runs of {len(plan.slots)} assets, by {len(plan.batches)} Dagster runs")
        with (
            dg.DagsterInstance.from_config(str(kept.home)) as instance,
            Dagster(folder) as dagster,
            Memory(lambda: dagster.pids).watched() as memory,
            Calls(sandbox).counted() as calls,
        ):
            progress = Progress(plan, instance, alerts)
            killing = Kills(plan.seed, kills, haste=haste)
            speed = max(1.0, TIMEOUT * ends_per_second / len(plan.deferred_runs))
            queue_plan = QueuePlan(plan.seed, plan.queued, speed)
            for target, behavior in queue_plan.behaviors.items():
                sandbox.add_target(kinds.PIPELINE.vendor, kinds.PIPELINE.target_kind, target, behavior)
            requesting = Requesting(queue_plan, sandbox, folder / "requests.log", pause=REQUEST_PAUSE * haste)
            for deferred_run in plan.deferred_runs.values():  # while Dagster's processes start
                kind = deferred_run.slot.kind
                sandbox.add_target(kind.vendor, kind.target_kind, deferred_run.target, deferred_run.behavior)
            _until_first_tick(instance)
            memory.set_idle()
            began = time.monotonic()
            with repeated(lambda: killing.consider(progress.share, dagster), every=0.5, name="kills"):
                start_all(plan.batches, workers=2, log=folder / "starts.log", progress=progress.set_started)
                started = time.monotonic()
                in_flight = sum(run.ended_at is None for run in sandbox.runs())
                say(f"all started after {started - began:.0f} s; {in_flight} in flight")
                timing.set_speed(sandbox, speed, time_file)
                say(f"time runs {speed:.0f} times as fast")
                with requesting.going():
                    # Some runs never end. They are reported after their timeout, long after all others.
                    _until_reported(progress, say, not_before=started + TIMEOUT / speed)
                    facts = _until_judged(lambda: gather(plan, instance, sandbox, alerts), instance, say)
                    queue = _until_served(lambda: gather_queue(requesting, instance, sandbox), requesting, say)
            seconds = (started - began, time.monotonic() - started)
            facts.kills = killing.at
            finished_ticks = list(ticks(instance, names.COMPLETION))
    return Outcome(facts, queue, memory, calls, finished_ticks, killing, in_flight, seconds)


def _until_first_tick(instance: dg.DagsterInstance) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not any(ticks(instance, names.COMPLETION)):
        if time.monotonic() > deadline:
            raise RuntimeError("the completion sensor does not tick; see the daemon's log")
        time.sleep(0.5)


def _until_reported(progress: Progress, say: Callable[[str], None], *, not_before: float) -> None:
    """Waits until everything is reported, or reports stop after the last run must have timed out.

    Args:
        progress: The progress of the campaign.
        say: Prints a line.
        not_before: Monotonic seconds at which the last run times out.
    """
    last, moved = -1, time.monotonic()
    while not progress.is_over:
        time.sleep(3)
        reported = progress.read()
        if reported != last:
            last, moved = reported, time.monotonic()
        elif time.monotonic() > max(moved, not_before) + _PATIENCE:
            say(f"no more reports; {progress}")
            return
    say(f"done; {progress}")


def _until_served(known: Callable[[], QueueFacts], requesting: Requesting, say: Callable[[str], None]) -> QueueFacts:
    """Waits until each request is made and served, or nothing changes anymore."""
    last, moved = -1, time.monotonic()
    while True:
        facts = known()
        missing = unserved(facts) + (0 if requesting.is_over else 1)
        if not missing:
            say(f"all {len(facts.requested)} requests are served, by {len(facts.starts)} runs")
            return facts
        state = len(facts.requested) + len(facts.starts) + len(facts.reported)
        if state != last:
            last, moved = state, time.monotonic()
        elif time.monotonic() > moved + _PATIENCE:
            say(f"no more requests are served; {missing} are missing")
            return facts
        time.sleep(5)


def _until_judged(known: Callable[[], Facts], instance: dg.DagsterInstance, say: Callable[[str], None]) -> Facts:
    """Waits until each check is reported, which happens after the materialization, or until several ticks report none.

    Returns:
        The facts at that time.
    """
    last, ticked = -1, 0
    while True:
        facts = known()
        missing = sum(finding.category == MISSING for finding in reconcile(facts))
        if not missing:
            return facts
        done = sum(1 for _ in ticks(instance, names.COMPLETION))
        if len(facts.evaluated) != last:
            last, ticked = len(facts.evaluated), done
        elif done >= ticked + _TICKS_WITHOUT_CHECKS:
            say(f"no more checks are reported; {missing} are missing")
            return facts
        time.sleep(5)
