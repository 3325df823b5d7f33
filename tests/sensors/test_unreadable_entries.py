"""An unreadable entry in a vendor's list does not stop the completion sensor or the observation sensor."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, RemoteRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Driver, deferred, observing, reported
from tests.vendors.test_unreadable_entries import ODD, WITH_AN_ID, odd

pytestmark = pytest.mark.usefixtures("clock")


def observed_run(sandbox: Sandbox, clock: SandboxClock, vendor: str) -> tuple[RemoteRun[Any], str, dict[str, Any]]:
    """Return the observed run, the target of another run at the same vendor, and the resources."""
    # The rate limit uses real time, which these tests do not wait for.
    resources = sandbox_resources(sandbox.url, requests_per_second=None)
    if vendor == "testgen":
        return TESTS, well_known.SUITE_ORDERS, resources
    sandbox.configure("amperity", requests_per_second=None)
    probe = sandbox.start_run(well_known.AMPERITY_COURIERS)
    name = resources["amperity"].get_workflow(probe.id, verbose=False).name  # type: ignore[attr-defined]
    clock.sleep(7200)
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS, workflow_name=name)
    return run, well_known.AMPERITY_SLOW, resources


@pytest.mark.fixes("6.7")
@pytest.mark.parametrize(("field", "value"), ODD[::2])
@pytest.mark.parametrize("vendor", ["testgen", "amperity"])
@pytest.mark.covers("observe.unreadable-entry")
def test_unreadable_entry_does_not_stop_the_observation_of_other_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, vendor: str, field: str, value: Any
) -> None:
    run, other, resources = observed_run(sandbox, clock, vendor)
    driver = observing([build_remote_run_asset(run, key="it")], sandbox, instance, resources=resources)
    external_run = sandbox.start_run(run.target, source="ui")
    sandbox.start_run(other, source="ui")  # the newest is listed first
    sandbox.add_fault(odd(vendor, field, value))
    driver.ticks(clock, 8, every=60)
    assert reported(instance, "it") == [external_run.id]
    assert all("tried again" not in str(message) and "answered" not in str(message) for message in driver.skipped)


@pytest.mark.parametrize("vendor", ["testgen", "amperity"])
def test_run_is_reported_when_its_entry_becomes_readable(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, vendor: str
) -> None:
    run, _, resources = observed_run(sandbox, clock, vendor)
    driver = observing([build_remote_run_asset(run, key="it")], sandbox, instance, resources=resources)
    external_run = sandbox.start_run(run.target, source="ui")
    sandbox.add_fault(odd(vendor, "state"))
    driver.ticks(clock, 5, every=60)
    assert reported(instance, "it") == []
    sandbox.clear_faults()
    driver.ticks(clock, 5, every=60)
    assert reported(instance, "it") == [external_run.id]


@pytest.mark.parametrize("vendor", ["testgen", "amperity"])
def test_run_whose_entry_stays_unreadable_is_dropped_after_an_hour(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, vendor: str
) -> None:
    # An unidentified run keeps the list being read from that run's creation.
    run, _, resources = observed_run(sandbox, clock, vendor)
    driver = observing([build_remote_run_asset(run, key="it")], sandbox, instance, resources=resources)
    sandbox.start_run(run.target, source="ui")
    sandbox.add_fault(odd(vendor, "state"))
    driver.ticks(clock, 3, every=600)
    assert "1 pending" in str(driver.skipped[-1])
    driver.ticks(clock, 6, every=600)
    assert "No new run to report" in str(driver.skipped[-1])


@pytest.mark.parametrize(("field", "value"), WITH_AN_ID[:2])
@pytest.mark.parametrize("vendor", ["testgen", "amperity"])
@pytest.mark.covers("observe.unreadable-entry")
def test_deferred_run_with_an_unreadable_entry_is_polled_individually(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, vendor: str, field: str, value: Any
) -> None:
    target = {"testgen": TESTS.target, "amperity": well_known.AMPERITY_COURIERS}[vendor]
    run = TESTS if vendor == "testgen" else AmperityWorkflowRun(config_id=target)
    sandbox.set_behavior(target, Behavior(running_seconds=100))
    resources = sandbox_resources(sandbox.url, requests_per_second=None)
    sandbox.configure("amperity", requests_per_second=None)
    assets = [deferred(run, key) for key in ("one", "two")]
    driver = Driver(build_completion_sensor(assets), assets, sandbox, instance, resources=resources)
    materialize(assets, sandbox, instance, resources=resources)
    sandbox.add_fault(odd(vendor, field, value))
    driver.ticks(clock, 10, every=30)
    assert len(reported(instance, "one")) == 1
    assert len(reported(instance, "two")) == 1
