"""After a restart any run may have been reported already: what that question costs, and that its answer is fresh."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Lost, completion, deferred, materializations, reported

pytestmark = pytest.mark.usefixtures("clock")
RUNS = 6


@pytest.mark.parametrize("partitioned", [False, True], ids=["one place", "a partition each"])
def test_an_assets_reports_are_read_once_however_many_runs_of_it_have_ended(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    partitioned: bool,
) -> None:
    monkeypatch.setattr(limits, "PARTITIONS_PER_QUERY", RUNS // 2)
    keys = [f"p{number}" for number in range(RUNS)] if partitioned else [None] * RUNS
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(keys) if partitioned else None)
    for key in keys:
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(120)
    with pytest.raises(Lost):
        completion([asset], sandbox, instance).tick(lost_after=RUNS // 2)
    assert len(reported(instance, "it")) == (RUNS // 2 if partitioned else 1)
    fetch, calls = instance.fetch_materializations, []

    def counted(*args: Any, **options: Any) -> dg.EventRecordsResult:
        calls.append(args)
        return fetch(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_materializations", counted)
        driver = completion([asset], sandbox, instance)
        driver.tick()
    # Which runs are going, how long earlier ones took; what was reported, as far as one query asks of it; and what is
    # to be evaluated: once to see what is missing, once to report it.
    assert len(calls) == 2 + (2 if partitioned else 1) + 2
    driver.ticks(clock, 1 if partitioned else RUNS)
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())
    assert {record.partition_key for record in materializations(instance, "it")} == set(keys)


def test_what_somebody_else_reports_between_two_ticks_is_not_reported_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    for _ in range(2):
        materialize([asset], sandbox, instance)
    [one, other] = [run.id for run in sandbox.runs()]
    driver = completion([asset], sandbox, instance)
    driver.tick()  # which has read all reports that there were
    told = dg.AssetMaterialization("it", metadata={"dagster_runs/run_id": one})
    instance.report_runless_asset_event(told)
    clock.sleep(120)
    driver.ticks(clock, 2)
    assert sorted(reported(instance, "it")) == sorted([one, other])
