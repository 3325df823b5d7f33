"""How late Dagster knows of a run's end, and how many status calls that takes: real Dagster, in the sandbox's time.

The sandbox's time goes forward by each pause instead of being waited for: ours by `dagster_runs.testing.fast_forward`,
the peer's by the same in the place of its `time.sleep`. What Dagster and HTTP need is waited for.
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
"""The remote runs take so many minutes, normally distributed with this share as standard deviation."""
INTERVAL = 10.0
"""Seconds between two ticks of the completion sensor: its default."""


@dataclass
class Ends:
    """One value for each run.

    Attributes:
        delays: Seconds from the remote end to Dagster's event.
        calls: Status calls.
    """

    delays: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


@cache
def measure(runs: int) -> Mapping[str, Ends]:
    """So many runs of each kind: ours polled, deferred, and the peer's."""
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
        looks = [request.path.split("/")[-2] for request in sandbox.requests("rudderstack") if request.method == "GET"]
    ends = Ends()
    for target, at in seen.items():
        run_id, ended_at = ended[target]
        ends.delays.append(at - ended_at)
        ends.calls.append(float(looks.count(run_id)))
    return ends


_Kind = Callable[[Sandbox, dg.DagsterInstance, int], dict[str, float]]
"""Does the runs; when Dagster knew of the end of each, in the sandbox's time."""


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
    # The daemon's ticks have nothing to do with when a run starts.
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
