"""Deferred runs during a vendor outage, after their timeout, or when the vendor does not find them."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize
from tests.sensors.driving import completion, deferred, reported
from tests.vendors.prophecy_runs import pipeline

pytestmark = pytest.mark.usefixtures("clock")
STATUS_PATH = "/runs/.*/status"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", method="GET", path=STATUS_PATH, status=503, times=20),
        Fault("status", method="GET", path=STATUS_PATH, status=401, times=8),
        Fault("html", method="GET", path=STATUS_PATH, times=8),
        Fault("reset", method="GET", path=STATUS_PATH, times=16),
        Fault("missing_field", method="GET", path=STATUS_PATH, field="status", times=8),
        Fault("not_found", method="GET", path=STATUS_PATH, times=3),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status or ''}",
)
@pytest.mark.covers("defer.outage")
def test_failed_status_check_does_not_fail_a_deferred_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, fault: Fault
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    sandbox.add_fault(fault)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 18)
    assert len(reported(instance, "it")) == 1
    assert not driver.runs
    assert sandbox.starts(None) == 1


def test_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 2)
    sandbox.add_fault(Fault("status", method="GET", path=STATUS_PATH, status=503, times=30))
    capfd.readouterr()
    driver.ticks(clock, 30)
    output = capfd.readouterr().err
    assert output.count("Status checks of rudderstack fail") == 1
    assert output.count("Status checks of rudderstack work again") == 1
    assert any("Status checks of rudderstack fail" in str(skipped) for skipped in driver.skipped)


@pytest.mark.covers("defer.outage")
def test_outage_of_one_vendor_delays_only_its_own_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    ill, well = deferred(PROFILES, key="ill"), deferred(TESTS, key="well")
    materialize([ill, well], sandbox, instance)
    sandbox.add_fault(Fault("status", method="GET", path="^/rudderstack/", status=503, times=1000))
    driver = completion([ill, well], sandbox, instance)
    driver.ticks(clock, 9)
    assert len(reported(instance, "well")) == 1
    assert reported(instance, "ill") == []


def test_polling_of_a_vendor_that_is_down_pauses_until_the_next_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    partitions = dg.StaticPartitionsDefinition([f"p{number}" for number in range(16)])
    asset = deferred(pipeline(), partitions_def=partitions)
    for key in partitions.get_partition_keys():
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(60)
    sandbox.add_fault(Fault("status", method="GET", path="^/prophecy/", status=503, times=1000))
    requests_before = len(sandbox.requests("prophecy"))
    driver = completion([asset], sandbox, instance)
    driver.tick()
    # Three failures in a row, each tried twice, and the polls that ran at the same time.
    assert len(sandbox.requests("prophecy")) - requests_before <= 2 * (3 + 8)


@pytest.mark.covers("defer.run-lost")
def test_run_that_the_vendor_does_not_find_for_long_is_reported_as_lost(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    sandbox.add_fault(Fault("not_found", method="GET", path=STATUS_PATH, times=10_000))
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    assert "no longer known" in failure(driver.runs[0])


def test_unknown_status_counts_as_active_until_it_has_an_end_time(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=60))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    sandbox.add_fault(Fault("unknown_state", method="GET", path=STATUS_PATH, state="hibernating", times=10_000))
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    assert not driver.runs
    sandbox.clear_faults()
    sandbox.add_fault(
        Fault("unknown_state", method="GET", path=STATUS_PATH, state="hibernating", ended=True, times=10_000)
    )
    driver.ticks(clock, 3)
    assert "hibernating" in failure(driver.runs[0])


class TestTimeout:
    @pytest.fixture(autouse=True)
    def long_run(self, sandbox: Sandbox) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=100_000))

    @pytest.mark.covers("defer.timeout")
    def test_leaves_the_remote_run_active_by_default(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, timeout=100)
        materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 9)
        assert not driver.runs
        driver.ticks(clock, 3)
        assert "did not finish within" in failure(driver.runs[0])
        assert sandbox.runs()[0].state == "running"

    def test_stays_final_after_a_restart_when_the_run_succeeds_later(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=300))
        asset = deferred(TESTS, timeout=100)
        materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 13)
        assert "did not finish within" in failure(driver.runs[0])
        clock.sleep(300)
        restarted = completion([asset], sandbox, instance)
        restarted.ticks(clock, 3)
        assert reported(instance, "it") == []
        assert restarted.runs == []

    @pytest.mark.covers("defer.timeout")
    def test_cancels_the_remote_run_with_on_timeout_cancel(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, timeout=100, on_timeout="cancel")
        materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 13)
        assert "did not finish within" in failure(driver.runs[0])
        assert sandbox.runs()[0].state == "canceled"

    @pytest.mark.covers("defer.timeout-outage")
    def test_is_reported_during_a_vendor_outage(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, timeout=100)
        materialize([asset], sandbox, instance)
        sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=503, times=100_000))
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 20, every=50)
        assert "did not finish within" in failure(driver.runs[0])
        assert driver.skipped[-1] == "No deferred run is in flight", "no run is in flight, so no outage is shown"

    @pytest.mark.covers("defer.timeout-outage")
    def test_waits_for_the_end_of_a_short_vendor_outage(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        """The run succeeded before its timeout, but the outage hid that."""
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=50))
        asset = deferred(TESTS, timeout=100)
        materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.tick()
        sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=503, times=100_000))
        driver.ticks(clock, 10, every=40)
        sandbox.clear_faults()
        driver.ticks(clock, 4)
        assert len(reported(instance, "it")) == 1
        assert driver.runs == []


def test_runs_beyond_the_event_limit_are_reported_by_later_ticks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 1)
    partitions = dg.StaticPartitionsDefinition(["a", "b", "c"])
    asset = deferred(TESTS, partitions_def=partitions)
    for key in partitions.get_partition_keys():
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(120)
    driver = completion([asset], sandbox, instance)
    reported_counts = []
    for _ in range(4):
        driver.tick()
        reported_counts.append(len(reported(instance, "it")))
    assert reported_counts == [1, 2, 3, 3]
    assert len(set(reported(instance, "it"))) == 3
