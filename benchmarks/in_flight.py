"""Measures how long the completion sensor's ticks take, and how much memory it needs, with many runs in flight."""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks import event_log
from benchmarks.in_flight_location import deferred_assets, partition_key, run_of
from benchmarks.processes import ROOT, environment, sandbox_process
from benchmarks.ticking import Tick
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Behavior, SandboxClient, well_known
from dagster_runs.testing import sandbox_resources
from tests.chaos.storage import StorageKind, dagster_home

ASSETS = 10
_TARGETS = {"testgen": well_known.SUITE_CLEAN, "prophecy": well_known.PROPHECY_PIPELINE}
_LASTS = 7200.0


@dataclass(frozen=True)
class Case:
    """A number of runs in flight at a vendor, spread over assets. Each run has its own partition of its asset."""

    vendor: str
    runs: int
    assets: int = ASSETS

    @property
    def group(self) -> str:
        """The first part of its assets' keys."""
        return f"{self.vendor}_{self.runs}_of_{self.assets}"

    @property
    def partitions(self) -> int:
        """The number of partitions of each asset; 1 if the assets have none."""
        return math.ceil(self.runs / self.assets)


@dataclass(frozen=True)
class InFlight:
    """The measured ticks with these runs in flight.

    Attributes:
        storage: The storage of the event log.
        case: What is in flight.
        cold: The first ticks of a new process, until all runs are known.
        soon: The next tick. Entries are read again for a minute.
        warm: A later tick with nothing to do.
        reporting: The ticks after all runs have ended, until all are reported or the time is up.
        rss: The memory of the process after the warm tick, in bytes (RSS).
        pss: The same as PSS.
    """

    storage: StorageKind
    case: Case
    cold: list[Tick]
    soon: Tick
    warm: Tick
    reporting: list[Tick]
    rss: float
    pss: float


def measure(storage: StorageKind, cases: Sequence[Case]) -> Iterator[InFlight]:
    """Measures the cases one after another, in the same event log.

    Args:
        storage: The storage of the event log.
        cases: What is in flight.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(dagster_home(storage, folder / "home"))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(folder / "home")))
        for case in cases:
            with sandbox_process(folder) as sandbox:
                lasting = Behavior(queued_seconds=0, running_seconds=_LASTS)
                sandbox.set_behavior(_TARGETS[case.vendor], lasting, vendor=case.vendor)
                _start(sandbox, instance, folder / "home", case)
                yield _ticked(sandbox, folder, storage, case)


def _start(sandbox: SandboxClient, instance: dg.DagsterInstance, home: Path, case: Case) -> None:
    """Starts one run with a real step, and the others directly at the sandbox, with copies of the step's entries."""
    resources = sandbox_resources(sandbox.url)
    definitions = deferred_assets(case.vendor, case.assets, case.partitions, case.group)
    result = dg.materialize(
        definitions[:1],
        instance=instance,
        resources=resources,
        partition_key=partition_key(0) if case.partitions > 1 else None,
    )
    assert result.success
    [first] = sandbox.runs(case.vendor)
    run, resource = run_of(case.vendor), resources[case.vendor]
    attempt = StartAttempt(correlation_id="", starting_at=time.time(), dagster_run_id="", dagster_url=None)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: run.start(resource, attempt), range(case.runs - 1)))
    # The real step has the first place.
    places = [(run_id, number % case.assets, number // case.assets) for number, run_id in enumerate(ids, start=1)]
    event_log.copy_entries(home, result.run_id, of=(first.id, 0, 0), to=places)


def _ticked(sandbox: SandboxClient, folder: Path, storage: StorageKind, case: Case) -> InFlight:
    with _sensor_process(sandbox, folder, case) as process:
        begun = _reply(process, folder)
        sandbox.advance(_LASTS)
        assert process.stdin is not None
        process.stdin.write("ended\n")
        process.stdin.flush()
        ended = _reply(process, folder)
    return InFlight(
        storage,
        case,
        cold=[Tick(**tick) for tick in begun["cold"]],
        soon=Tick(**begun["soon"]),
        warm=Tick(**begun["warm"]),
        reporting=[Tick(**tick) for tick in ended["reporting"]],
        rss=begun["rss"],
        pss=begun["pss"],
    )


@contextmanager
def _sensor_process(sandbox: SandboxClient, folder: Path, case: Case) -> Iterator[subprocess.Popen[str]]:
    arguments = [case.vendor, str(case.assets), str(case.partitions), case.group]
    with (folder / "ticking.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ticking", sandbox.url, *arguments],
            cwd=ROOT,
            env=environment(DAGSTER_HOME=str(folder / "home")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _reply(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"The sensor's process ended unexpectedly:\n{(folder / 'ticking.log').read_text()[-4000:]}")
    reply: dict[str, Any] = json.loads(line)
    return reply
