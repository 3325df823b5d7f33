"""Measures how late Dagster detects the end of a run, and how many status calls that takes.

Dagster is real, but its pauses advance the sandbox's time instead of being waited for: in this package with
`dagster_runs.testing.fast_forward`, in dagster-rudderstack by replacing its `time.sleep`. The time that Dagster and
HTTP need is real.
"""

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache

import dagster as dg

from benchmarks import peer
from dagster_runs import RudderStackProfilesRun, build_remote_run_asset
from dagster_runs.remote_run.execution.event_log import EARLIER_RUNS
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, fast_forward, sandbox_resources
from tests.sensors.driving import Driver, completion

MINUTES, SPREAD = 10, 0.04
"""The mean duration of the remote runs, and the standard deviation as a share of it. Durations vary normally."""
INTERVAL = 10.0
"""Seconds between two ticks of the completion sensor: the default."""


@dataclass
class Ends:
    """The values of one kind of runs, one for each run.

    Attributes:
        delays: Seconds from the end of the remote run to Dagster's event.
        calls: The number of status calls.
    """

    delays: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


@cache
def measure(runs: int) -> Mapping[str, Ends]:
    """Measures some runs of each kind: polled, deferred, and of dagster-rudderstack."""
    chance = random.Random(5)
    durations = [chance.gauss(60 * MINUTES, 60 * MINUTES * SPREAD) for _ in range(runs)]
    earlier = [chance.gauss(60 * MINUTES, 60 * MINUTES * SPREAD) for _ in range(EARLIER_RUNS)]
    return {kind: _ends(does, durations, earlier) for kind, does in _KINDS.items()}


def _ends(does: "_Kind", durations: list[float], earlier: list[float]) -> Ends:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        instance = stack.enter_context(dg.DagsterInstance.local_temp(home))
        sandbox = stack.enter_context(Sandbox())
        for number, duration in enumerate(durations):
            sandbox.add_target("rudderstack", "profiles", f"it_{number}", Behavior(running_seconds=duration))
        for seconds in earlier:
            metadata = {"dagster_runs/duration_seconds": dg.MetadataValue.float(seconds)}
            instance.report_runless_asset_event(dg.AssetMaterialization("it", metadata=metadata))
        seen = does(sandbox, instance, len(durations))
        ended = {run.target_id: (run.id, run.ended_at or 0.0) for run in sandbox.runs("rudderstack")}
        polled = [request.path.split("/")[-2] for request in sandbox.requests("rudderstack") if request.method == "GET"]
    ends = Ends()
    for target, at in seen.items():
        run_id, ended_at = ended[target]
        ends.delays.append(at - ended_at)
        ends.calls.append(float(polled.count(run_id)))
    return ends


_Kind = Callable[[Sandbox, dg.DagsterInstance, int], dict[str, float]]
"""Executes the runs. Returns when Dagster detected the end of each one, in the sandbox's time."""


def _polled(sandbox: Sandbox, instance: dg.DagsterInstance, runs: int) -> dict[str, float]:
    seen = {}
    with fast_forward(sandbox):
        for number in range(runs):
            asset = build_remote_run_asset(RudderStackProfilesRun(profiles_id=f"it_{number}"), key="it")
            assert dg.materialize([asset], resources=sandbox_resources(sandbox.url), instance=instance).success
            seen[f"it_{number}"] = _newest(instance) + _ahead(sandbox)
    return seen


def _peers(sandbox: Sandbox, instance: dg.DagsterInstance, runs: int) -> dict[str, float]:
    seen = {}
    with peer.fast_forward(sandbox):
        for number in range(runs):
            result = peer.job(sandbox.url, f"it_{number}", "peer").execute_in_process(instance=instance)
            [event] = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT)
            seen[f"it_{number}"] = event.timestamp + _ahead(sandbox)
    return seen


def _deferred(sandbox: Sandbox, instance: dg.DagsterInstance, runs: int) -> dict[str, float]:
    seen: dict[str, float] = {}
    with fast_forward(sandbox) as clock:
        for number in range(runs):
            run = RudderStackProfilesRun(profiles_id=f"it_{number}")
            asset = build_remote_run_asset(run, key="it", wait="defer")
            resources = sandbox_resources(sandbox.url)
            assert dg.materialize([asset], resources=resources, instance=instance).success
            seen[f"it_{number}"] = _ticked(completion([asset], sandbox, instance), clock, sandbox)
    return seen


def _ticked(driver: Driver, clock: SandboxClock, sandbox: Sandbox) -> float:
    # The start of a run does not depend on the daemon's ticks.
    clock.sleep(random.uniform(0, INTERVAL))
    while not driver.tick().asset_events:
        clock.sleep(INTERVAL)
    return time.time() + _ahead(sandbox)


def _newest(instance: dg.DagsterInstance) -> float:
    [event] = instance.fetch_materializations(dg.AssetKey("it"), limit=1).records
    return event.timestamp


def _ahead(sandbox: Sandbox) -> float:
    return sandbox.now() - time.time()


_KINDS: Mapping[str, _Kind] = {"poll": _polled, "defer": _deferred, "peer": _peers}
