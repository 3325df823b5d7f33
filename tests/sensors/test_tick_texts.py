"""What the ticks of the completion and the observation sensor say."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import RemoteRun
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.sensors.tick_summary import asset_names, listed, tick_summary
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import completion, deferred, observing


def test_success_is_named_with_its_asset_and_its_end(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=25))
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    materialize([asset], sandbox, instance)
    [run] = sandbox.runs("testgen")
    driver.ticks(clock, 12)
    name = f"it: TestGen test run {run.id}"
    texts = list(dict.fromkeys(map(str, driver.skipped)))
    assert texts[0] == "First tick: this sensor reports how deferred runs of it end. No deferred run is in flight"
    assert any(text.startswith(f"1 in flight. In flight: {name} for ") for text in texts)
    materialized, checked, idle = texts[-3:]
    end = "ended with status completed after 25 s"
    assert materialized == f"1 in flight. This tick: {name} {end}, materialized"
    assert checked == f"1 reported, 0 in flight. This tick: {name} {end}, checks reported"
    assert idle == "No deferred run is in flight"


def test_failure_is_logged_with_the_job_that_reports_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", running_seconds=5))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 6)
    [run] = sandbox.runs("rudderstack")
    # Dagster accepts no text from a tick that requests a run.
    name = f"it: RudderStack Profiles run {run.id} ended with status failed after 5 s"
    assert f"{name}, a Dagster run of remote_run_completion_ends reports it" in capfd.readouterr().err
    assert [text for text in driver.skipped if text and f"{name}, reported by a Dagster run" in text]


@pytest.mark.parametrize("vendor", [TESTS, PROFILES])
def test_timeout_is_named(
    vendor: RemoteRun[Any], sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(vendor.target, Behavior(running_seconds=3600))
    asset = deferred(vendor, timeout=30)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 8)
    assert [text for text in driver.skipped if text and "exceeded its deadline, reported by a Dagster run" in text]


def test_queued_requests_are_named(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600))
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver.ticks(clock, 2)
    text = str(driver.skipped[-1])
    assert text.startswith("1 in flight, 1 queued, 0 admitted. In flight: it: TestGen test run ")
    assert ". Queued: it: request " in text


def test_observed_run_is_named(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=90))
    run = sandbox.start_run(TESTS.target)
    driver.ticks(clock, 6, every=60)
    first, *texts = map(str, driver.skipped)
    assert first.startswith(
        "First tick: this sensor reports runs of it that are started elsewhere. No new run to report"
    )
    assert f"1 pending. Pending: it: run {run.id}" in texts
    name = f"it: TestGen test run {run.id} ended with status completed"
    assert [text for text in texts if text.startswith(f"1 reported, 1 pending. This tick: {name}")]


def test_texts_are_bounded_and_problems_are_shown_in_full() -> None:
    done = listed([f"run {number} " + "x" * 900 for number in range(40)])
    assert done.endswith(" and 35 more")
    problem = "y" * 3_000
    text = tick_summary("40 reported", {"This tick": done, "Queued": ""}, [problem])
    assert text.startswith("40 reported. This tick: run 0 ")
    assert "Queued" not in text
    assert text.endswith(f"…. {problem}")
    assert len(text) < limits.MAX_SUMMARY + len(problem) + 50


def test_partitions_are_named_by_their_ends() -> None:
    keys = [dg.AssetKey(name) for name in "abcdefg"]
    assert asset_names(keys[:1], ["2026-11-01", "2026-11-02", "2026-11-03"]) == "a [2026-11-01...2026-11-03]"
    assert asset_names(keys, ["north"]) == "a, b, c, d, e and 2 more [north]"
