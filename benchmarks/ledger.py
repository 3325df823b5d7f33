"""What the ledger costs one materialization, with Dagster's event log on SQLite and on PostgreSQL, beside the peer."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

from benchmarks import peer
from dagster_runs import RudderStackProfilesRun, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger import Ledger
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import fast_forward, sandbox_resources
from tests.chaos.storage import StorageKind, dagster_home

WARM_UP = 5
_RUN = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
_CALLS = ("write", "last", "known_run_ids", "was_published_before")
"""All of the ledger that reads or writes the event log in an ordinary run."""


@dataclass
class Costs:
    """Milliseconds, one value for each run.

    Attributes:
        to_post: From the step's start to the vendor's POST.
        peer_to_post: The same of the peer, which keeps no ledger.
        in_ledger: In all writes and reads of the ledger.
        longer: That the run takes longer than one without a ledger, from the step's start to the look that shows its
            end.
        bare: In one `log_event` of a small observation, for comparison.
    """

    to_post: list[float] = field(default_factory=list)
    peer_to_post: list[float] = field(default_factory=list)
    in_ledger: list[float] = field(default_factory=list)
    longer: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def to_post(kind: StorageKind, runs: int) -> list[float]:
    return _costs(kind, runs).to_post


def peer_to_post(kind: StorageKind, runs: int) -> list[float]:
    return _costs(kind, runs).peer_to_post


def in_ledger(kind: StorageKind, runs: int) -> list[float]:
    return _costs(kind, runs).in_ledger


def longer(kind: StorageKind, runs: int) -> list[float]:
    return _costs(kind, runs).longer


def bare(kind: StorageKind, runs: int) -> list[float]:
    return _costs(kind, runs).bare


@cache
def _costs(kind: StorageKind, runs: int) -> Costs:
    """Runs in turn with bare events, so that both meet the same load of the machine.

    Each run is of an asset of its own: what an asset has noted in the last hour is read before each start, and most
    assets run less often.
    """
    costs = Costs()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        stack.enter_context(dagster_home(kind, home))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        sandbox = stack.enter_context(Sandbox())
        stack.enter_context(fast_forward(sandbox))
        sandbox.set_behavior(well_known.PROFILES_FEATURES, Behavior(running_seconds=1))
        for number in range(WARM_UP + runs):
            one = _one_run(sandbox, instance, f"features_{number}", ledger_first=number % 2 == 0)
            if number >= WARM_UP:
                for name, value in one.items():
                    getattr(costs, name).append(value)
    return costs


def _one_run(sandbox: Sandbox, instance: dg.DagsterInstance, key: str, *, ledger_first: bool) -> dict[str, float]:
    spent: list[float] = []
    to_end_without = 0.0
    for has_ledger in (ledger_first, not ledger_first):
        if has_ledger:
            with _timed(spent):
                to_post, to_end = _ours(sandbox, instance, key)
        else:
            with _no_ledger():
                _, to_end_without = _ours(sandbox, instance, f"{key}_without")
    bare = dg.materialize([_bare], instance=instance).output_for_node("bare")
    with peer.fast_forward(sandbox):
        result = peer.job(sandbox.url, _RUN.profiles_id, "peer").execute_in_process(instance=instance)
    return {
        "to_post": to_post,
        "peer_to_post": _to_post(sandbox, instance, result.run_id),
        "in_ledger": 1000 * sum(spent),
        "longer": to_end - to_end_without,
        "bare": 1000 * bare,
    }


def _ours(sandbox: Sandbox, instance: dg.DagsterInstance, key: str) -> tuple[float, float]:
    """From the step's start to the POST, and to the look that shows the end; the pause is the sandbox's time."""
    asset = build_remote_run_asset(_RUN, key=key)
    result = dg.materialize([asset], resources=sandbox_resources(sandbox.url), instance=instance)
    to_post = _to_post(sandbox, instance, result.run_id)
    *_, post, look = sandbox.requests("rudderstack")
    assert (post.method, look.method) == ("POST", "GET")
    return to_post, to_post + 1000 * (look.received_at - post.received_at)


def _to_post(sandbox: Sandbox, instance: dg.DagsterInstance, dagster_run_id: str) -> float:
    [start] = instance.all_logs(dagster_run_id, of_type=dg.DagsterEventType.STEP_START)
    post = next(request for request in reversed(sandbox.requests("rudderstack")) if request.method == "POST")
    return 1000 * (post.wall_received_at - start.timestamp)


@dg.asset(name="bare")
def _bare(context: dg.AssetExecutionContext) -> float:
    return _seconds(lambda: context.log_event(dg.AssetObservation(asset_key="bare", metadata={"number": 1})))


def _seconds(does: Callable[[], object]) -> float:
    begun = time.perf_counter()
    does()
    return time.perf_counter() - begun


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    """Note how long each call of the ledger takes."""

    def timing(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def timed(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                spent.append(time.perf_counter() - begun)

        return timed

    with patch.multiple(Ledger, **{name: timing(getattr(Ledger, name)) for name in _CALLS}):
        yield


@contextmanager
def _no_ledger() -> Iterator[None]:
    """As if nobody kept one."""
    found = {"last": None, "known_run_ids": set[str](), "was_published_before": False}
    with ExitStack() as stack:
        stack.enter_context(patch.object(Ledger, "write", lambda ledger, *args, **options: None))
        for name, value in found.items():
            stack.enter_context(patch.object(Ledger, name, return_value=value))
        yield
