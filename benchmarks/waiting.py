"""Measures the cost of waiting runs, with real run workers and step processes that are launched through a web server.

Each Dagster run waits for one remote run that lasts for hours. By default, Dagster uses a process for each run, and
another one for each of its steps.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg

from benchmarks.processes import Cost, cost_of, family, sandbox_process
from dagster_runs.sandbox import Behavior, SandboxClient
from tests.dagster_ui import DagsterUI, dagster_ui

KINDS = ("poll", "defer", "peer")
_LASTS = 86_400.0
_PATIENCE = 300.0
_SETTLES = 5.0
_LOCATION = Path(__file__).with_name("waiting_location.py")


@dataclass(frozen=True)
class Waiting:
    """The costs of waiting runs.

    Attributes:
        costs: The cost of each run, by kind.
    """

    costs: Mapping[str, list[Cost]]


@cache
def measure(runs: int) -> Waiting:
    """Measures some runs of each kind, all at the same time."""
    with tempfile.TemporaryDirectory() as folder, sandbox_process(Path(folder)) as sandbox:
        for kind in KINDS:
            for number in range(runs):
                lasting = Behavior(running_seconds=_LASTS)
                sandbox.add_target("rudderstack", "profiles", f"{kind}_{number}", lasting)
        env = {"BENCHMARK_SANDBOX": sandbox.url, "BENCHMARK_RUNS": str(runs)}
        with dagster_ui(_LOCATION, Path(folder) / "home", env) as ui:
            return _waiting(ui, sandbox, runs)


def _waiting(ui: DagsterUI, sandbox: SandboxClient, runs: int) -> Waiting:
    launched = {
        "poll": [ui.launch(f"poll_{number}") for number in range(runs)],
        "defer": [ui.launch(f"defer_{number}") for number in range(runs)],
        "peer": [ui.launch_job(f"peer_{number}", []) for number in range(runs)],
    }
    try:
        _until(lambda: sandbox.starts("rudderstack") == runs * len(KINDS))
        for run_id in launched["defer"]:
            assert ui.wait_until_ended(run_id, _PATIENCE) is dg.DagsterRunStatus.SUCCESS, ui.log(run_id)
        _until(lambda: not any(family(ui.run_worker(run_id)) for run_id in launched["defer"]))
        time.sleep(_SETTLES)
        return Waiting(
            {kind: [cost_of(family(ui.run_worker(run_id))) for run_id in run_ids] for kind, run_ids in launched.items()}
        )
    finally:
        for run_id in [*launched["poll"], *launched["peer"]]:
            for process in family(ui.run_worker(run_id)):
                process.kill()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)
