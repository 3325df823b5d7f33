"""Measures what the ledger costs one materialization, with Dagster's event log on SQLite and on PostgreSQL."""

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
from dagster_runs.remote_run.execution.ledger import Ledger, LedgerState
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import fast_forward, sandbox_resources
from tests.chaos.storage import StorageKind, dagster_home

WARM_UP = 5
_RUN = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
_CALLS = ("record", "read", "was_reported_before")
"""The methods of the ledger that read or write the event log in an ordinary run."""


@dataclass
class Costs:
    """Milliseconds, one value for each run.

    Attributes:
        to_post: The time from the step's start to the vendor's POST.
        peer_to_post: The same for dagster-rudderstack, which has no ledger.
        in_ledger: The time of all reads and writes of the ledger.
        longer: The additional time compared with a run without a ledger, from the step's start to the poll that shows
            the end.
        bare: The time of one `log_event` with a small observation, for comparison.
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
    """Alternates runs with and without a ledger and single events, so that all are measured under the same load.

    Each run belongs to its own asset, because the entries that an asset has written in the last hour are read before
    each start, and most assets run less often.
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
    """Returns the time from the step's start to the POST, and to the poll that shows the end.

    The pause between them takes no real time.
    """
    asset = build_remote_run_asset(_RUN, key=key)
    result = dg.materialize([asset], resources=sandbox_resources(sandbox.url), instance=instance)
    to_post = _to_post(sandbox, instance, result.run_id)
    *_, post, poll = sandbox.requests("rudderstack")
    assert (post.method, poll.method) == ("POST", "GET")
    return to_post, to_post + 1000 * (poll.received_at - post.received_at)


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
    """Records how long each call of the ledger takes."""

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
    """Makes the ledger write nothing, and find nothing."""
    with patch.multiple(
        Ledger,
        record=lambda ledger, entry: None,
        read=_read_nothing,
        was_reported_before=lambda ledger, run_id: False,
    ):
        yield


def _read_nothing(ledger: Ledger) -> LedgerState:
    ledger._state = ledger._fold(())
    return ledger._state
