"""Lists of runs that are read in several time windows."""

import pytest

from dagster_runs import AmperityResource, RemoteRunResource, TestGenResource
from dagster_runs.remote_run.types import MAX_VENDOR_CLOCK_SKEW
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import use_clock
from tests.remote_run.reexecuting import ClockOff
from tests.vendors.conftest import AmperityMaker


def listed(resource: RemoteRunResource, since: float, until: float | None = None) -> list[str]:
    return [run.run_id for run in resource.list_runs(since, until) or ()]


@pytest.mark.parametrize("others", [0, 99, 100, 101, 730], ids=str)
def test_testgen_skips_jobs_newer_than_the_window(
    others: int, sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
) -> None:
    times, runs = [], []
    for _ in range(5):
        times.append(clock.wall())
        clock.sleep(60)
        runs.append(sandbox.start_run(well_known.SUITE_CLEAN).id)
        clock.sleep(60)
    for _ in range(others):
        sandbox.start_run(well_known.SUITE_ORDERS)
    assert listed(testgen, times[1], times[4]) == runs[3:0:-1]
    assert listed(testgen, times[0], times[1]) == runs[:1]
    assert listed(testgen, times[0] - 60, times[0]) == []
    before = len(sandbox.requests("testgen"))
    listed(testgen, times[1], times[4])
    assert len(sandbox.requests("testgen")) - before <= 8


@pytest.mark.parametrize("ahead", [-7200, 0, 7200])
@pytest.mark.covers("amperity.parameter.created-from")
def test_amperity_windows_leave_no_gap_despite_a_wrong_local_clock(
    ahead: float, sandbox: Sandbox, amperity_at: AmperityMaker
) -> None:
    with use_clock(ClockOff(sandbox, ahead)) as clock:
        begin, runs = clock.wall(), []
        for _ in range(10):
            clock.sleep(60)
            runs.append(sandbox.start_run(well_known.AMPERITY_COURIERS).id)
        clock.sleep(7200)
        resource: AmperityResource = amperity_at()  # which does not know the vendor's clock yet
        found = [
            listed(resource, at, at + 120 + MAX_VENDOR_CLOCK_SKEW) for at in range(int(begin), int(begin) + 700, 120)
        ]
    assert sorted({run for part in found for run in part}) == sorted(runs)
    assert max(len(part) for part in found) <= 3


@pytest.mark.parametrize("ahead", [-7200, 0, 7200])
def test_amperity_list_up_to_now_is_complete_despite_a_wrong_local_clock(
    ahead: float, sandbox: Sandbox, amperity_at: AmperityMaker
) -> None:
    with use_clock(ClockOff(sandbox, ahead)) as clock:
        begin = clock.wall()
        clock.sleep(60)
        run = sandbox.start_run(well_known.AMPERITY_COURIERS).id
        clock.sleep(7200)
        # Dagster creates a resource for each tick, which does not know the vendor's clock yet.
        assert listed(amperity_at(), begin) == [run]
        assert listed(amperity_at(), begin + 3600) == []
        ended = amperity_at().list_finished(begin)
        assert [one.run_id for one in ended or ()] == [run]


def test_testgen_job_without_a_creation_time_is_listed_without_one(
    sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
) -> None:
    sandbox.start_run(well_known.SUITE_CLEAN)
    clock.sleep(3600)
    sandbox.add_fault(Fault("missing_field", method="GET", path="/jobs$", field="items.0.created_at"))
    [one] = testgen.list_runs(clock.wall() - 60) or ()
    assert one.created_at is None
