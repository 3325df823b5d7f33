"""Vendors' lists that always fail while single calls work, in both sensors."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, TestGenResource
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Driver, completion, deferred, observing, reported

pytestmark = pytest.mark.usefixtures("clock")
COURIERS = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
PARTITIONS = dg.StaticPartitionsDefinition(["x", "y", "z"])
TESTGEN_LIST, AMPERITY_LIST = "/projects/.*/jobs", "/workflow/runs$"
FAULTS = [
    Fault("html", method="GET", path=TESTGEN_LIST),
    Fault("status", method="GET", path=TESTGEN_LIST, status=422),
    Fault("status", method="GET", path=TESTGEN_LIST, status=403),
    Fault("status", method="GET", path=TESTGEN_LIST, status=503),
]


def defer_runs(run: Any, sandbox: Sandbox, instance: dg.DagsterInstance) -> Driver:
    sandbox.set_behavior(run.target.rpartition("/")[2], Behavior(running_seconds=900))
    asset = deferred(run, partitions_def=PARTITIONS)
    for key in PARTITIONS.get_partition_keys():
        materialize([asset], sandbox, instance, partition_key=key)
    return completion([asset], sandbox, instance)


@pytest.mark.fixes("6.8")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}{fault.status or ''}")
@pytest.mark.covers("defer.list-fails")
def test_failing_list_is_logged_when_it_begins_to_fail_and_when_it_works_again(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    fault: Fault,
) -> None:
    driver = defer_runs(TESTS, sandbox, instance)
    sandbox.add_fault(fault)
    capfd.readouterr()
    driver.ticks(clock, 12)
    output = capfd.readouterr().err
    assert output.count("The runs of testgen cannot be listed, so each run is polled individually") == 1
    assert "Status checks of" not in output
    assert "cannot be listed" in str(driver.skipped[-1])
    sandbox.clear_faults()
    driver.ticks(clock, 12)
    output = capfd.readouterr().err
    assert output.count("The runs of testgen can be listed again") == 1
    assert "cannot be listed" not in str(driver.skipped[-1])
    driver.ticks(clock, 80)
    assert len(reported(instance, "it")) == 3


@pytest.mark.fixes("6.8")
@pytest.mark.covers("defer.list-fails")
def test_code_error_in_the_list_is_logged_once_with_its_traceback(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = defer_runs(TESTS, sandbox, instance)

    def list_runs(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug in the list")

    monkeypatch.setattr(TestGenResource, "list_runs", list_runs)
    capfd.readouterr()
    driver.ticks(clock, 12)
    output = capfd.readouterr().err
    assert output.count("Traceback") == 1
    assert output.count("in list_runs") == 1
    assert "a bug in the list" in str(driver.skipped[-1])


@pytest.mark.fixes("6.8")
def test_html_response_for_the_finished_list_is_logged_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    driver = defer_runs(COURIERS, sandbox, instance)
    sandbox.add_fault(Fault("html", method="GET", path=AMPERITY_LIST))
    capfd.readouterr()
    driver.ticks(clock, 12)
    assert capfd.readouterr().err.count("The finished runs of amperity cannot be listed") == 1


@pytest.mark.fixes("6.8")
def test_server_that_refuses_the_finished_filter_is_not_an_error_and_is_not_retried_soon(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    list_times: list[float] = []
    list_workflows = AmperityResource.list_workflows

    def filtered(resource: AmperityResource, **filters: str) -> Any:
        if "ended_from" in filters:
            list_times.append(clock.wall())
            sandbox.add_fault(Fault("status", method="GET", path=AMPERITY_LIST, status=422, times=1))
        return list_workflows(resource, **filters)

    monkeypatch.setattr(AmperityResource, "list_workflows", filtered)
    driver = defer_runs(COURIERS, sandbox, instance)
    capfd.readouterr()
    driver.ticks(clock, 20)
    output = capfd.readouterr().err
    assert output.count("The finished runs of amperity are not listed by the vendor") == 1
    assert "cannot be listed" not in output
    assert len(list_times) == 1


@pytest.mark.fixes("6.8")
@pytest.mark.covers("observe.list-fails")
def test_observation_logs_a_failing_list_once_and_shows_it_in_each_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    sandbox.add_fault(Fault("html", method="GET", path=TESTGEN_LIST))
    capfd.readouterr()
    driver.ticks(clock, 5, every=60)
    assert capfd.readouterr().err.count("The runs of testgen cannot be listed") == 1
    assert all("testgen:" in str(skipped) for skipped in driver.skipped[-4:])
    sandbox.clear_faults()
    driver.ticks(clock, 2, every=60)
    assert capfd.readouterr().err.count("The runs of testgen can be listed again") == 1
