"""Reading the event log for deferred runs: it stops at the deadline, even if the log has no new entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.registry import resolve_assets
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, materialize
from tests.sensors.driving import deferred


def slow_fetch(fetch: Callable[..., Any], clock: SandboxClock) -> Callable[..., Any]:
    """Return the same query, delayed by one second."""

    def fetch_slowly(*args: Any, **options: Any) -> Any:
        clock.sleep(1)
        return fetch(*args, **options)

    return fetch_slowly


@pytest.mark.parametrize("is_active", [False, True], ids=["no entries", "an active run each"])
def test_reading_stops_at_the_deadline_and_resumes_at_the_same_place(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    is_active: bool,
) -> None:
    assets = [deferred(PROFILES, f"asset_{number}") for number in range(6)]
    for asset in assets if is_active else []:
        sandbox.reset()
        materialize([asset], sandbox, instance)
    monkeypatch.setattr(instance, "fetch_observations", slow_fetch(instance.fetch_observations, clock))
    index = DeferredRunIndex(resolve_assets(assets, deferred=True), instance)
    calls = 0
    while not index.is_complete:
        started_at = clock.monotonic()
        index.catch_up(started_at + 2.5)
        assert clock.monotonic() - started_at < 3.9
        calls += 1
    assert calls > 1
    assert len(index) == (len(assets) if is_active else 0)
