"""`dagster-runs runs`: what is in flight, queued, uncertain or orphaned."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackResource, build_remote_run_asset, build_testgen_checks
from dagster_runs.cli.find_remote import find_remote_run
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.cli.runs import RunRow, find_runs, list_runs
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.cli.locating import location, printed_json
from tests.remote_run.materializing import PROFILES, TESTS, materialize, resources_at
from tests.remote_run.reexecuting import at_pause, dies, execute, job_with, leave_going, mark_as_failed, reexecute
from tests.sensors.driving import completion, deferred

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def long_runs(sandbox: Sandbox) -> None:
    for run in (TESTS, PROFILES):
        sandbox.set_behavior(run.target, Behavior(running_seconds=3600))


def rows(assets: list[Any], sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> list[RunRow]:
    with location(assets, sandbox, instance) as place:
        return find_runs([place], **options)


def test_nothing_is_listed_when_nothing_is_in_flight(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior())
    asset = build_remote_run_asset(PROFILES, key="it")
    assert materialize([asset], sandbox, instance).success
    capsys.readouterr()
    with location([asset], sandbox, instance) as place:
        list_runs([place], None, None, with_status=False, as_json=False)
        assert capsys.readouterr().err == "Nothing is in flight, queued, uncertain or orphaned.\n"
        list_runs([place], None, None, with_status=False, as_json=True)
    assert printed_json(capsys) == []


def test_deferred_runs_and_queued_requests_are_listed_by_partition(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))
    for partition in ("x", "y"):
        materialize([asset], sandbox, instance, partition_key=partition)
        clock.sleep(60)
    second = materialize([asset], sandbox, instance, partition_key="x")
    first, other, queued = rows([asset], sandbox, instance)
    assert [(row.state, row.partition, row.waited_for_by) for row in (first, other, queued)] == [
        ("in flight", "x", "completion sensor"),
        ("in flight", "y", "completion sensor"),
        ("queued", "x", None),
    ]
    assert [first.run_id, other.run_id] == [run.id for run in sandbox.runs()]
    assert first.url == f"{sandbox.url}/testgen/ui/test-runs:results?project_code=DEFAULT&run_id={first.run_id}"
    assert 119 < first.age_seconds < 130
    assert queued.request_id is not None
    assert queued.dagster_run_id == second.run_id
    assert [row.partition for row in rows([asset], sandbox, instance, partition="y")] == ["y"]


def test_reported_run_is_no_longer_listed(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(4000)
    driver.ticks(clock, 3)
    assert rows([asset], sandbox, instance) == []


def test_run_that_a_step_waits_for_is_in_flight(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=30))
    asset = build_remote_run_asset(PROFILES, key="it")
    found: list[RunRow] = []
    with at_pause(sandbox, lambda: found.extend(rows([asset], sandbox, instance))):
        materialize([asset], sandbox, instance)
    [row] = found
    assert (row.state, row.waited_for_by) == ("in flight", "step")


@pytest.mark.parametrize("is_settled", [False, True])
def test_orphan_is_listed_until_a_reexecution_attaches(
    is_settled: bool, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, parent = leave_going(sandbox, instance)
    asset = build_remote_run_asset(PROFILES, key="features", timeout=5)
    [row] = rows([asset], sandbox, instance)
    assert (row.state, row.dagster_run_id, row.run_id) == ("orphaned", parent, sandbox.runs()[0].id)
    assert row.hint == "Its Dagster run has ended. Re-execute it from failure to attach to the run", "it cannot cancel"
    if is_settled:
        sandbox.advance(4000)
        assert reexecute(job, instance, parent).success
        assert rows([asset], sandbox, instance) == []


def test_run_of_a_killed_worker_is_an_orphan(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(TESTS, key="it")

    def kill() -> None:
        mark_as_failed(instance)
        dies()

    with at_pause(sandbox, kill):
        materialize([asset], sandbox, instance)
    [row] = rows([asset], sandbox, instance)
    assert row.state == "orphaned"
    assert f"or cancel it: dagster-runs cancel it --run-id {row.run_id}" in (row.hint or "")


def test_uncertain_start_is_listed_with_the_command_that_settles_it(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    asset = build_remote_run_asset(PROFILES, key=["shop", "it"], partitions_def=dg.StaticPartitionsDefinition(["a b"]))
    parent = materialize([asset], sandbox, instance, partition_key="a b").run_id
    [row] = rows([asset], sandbox, instance)
    assert (row.state, row.dagster_run_id, row.run_id) == ("uncertain", parent, None)
    assert "dagster-runs adopt shop/it --partition 'a b' RUN_ID, or" in (row.hint or "")
    sandbox.set_behavior(PROFILES.target, Behavior())
    sandbox.advance(4000)
    assert materialize([asset], sandbox, instance, partition_key="a b").success
    assert rows([asset], sandbox, instance) == [], "a later run has followed"


def test_start_in_progress_is_listed(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=30))
    asset = build_remote_run_asset(TESTS, key="it")
    found: list[RunRow] = []
    sandbox.add_fault(Fault("status_after", method="POST", times=1))
    with at_pause(sandbox, lambda: found.extend(rows([asset], sandbox, instance)), pause=1):
        materialize([asset], sandbox, instance)
    assert [row.state for row in found] == ["starting"]


def test_checks_of_a_suite_are_listed_under_the_asset_of_the_suite(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    table = dg.AssetSpec("orders")
    checks = build_testgen_checks(TESTS, tables={"orders": "orders"}, name="nightly", unmapped="ignore", wait="defer")
    defs = dg.Definitions(
        assets=[table, checks.suite],
        asset_checks=[checks.checks],
        resources=resources_at(sandbox.url),
        executor=dg.in_process_executor,
    )
    job = dg.define_asset_job("check", selection=dg.AssetSelection.checks(*checks.checks.check_keys))
    defs = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    assert execute(defs.resolve_job_def("check"), instance).success
    with location([table, checks.suite], sandbox, instance, checks=[checks.checks]) as place:
        [row] = find_runs([place])
    assert (row.state, row.asset, row.run_id) == ("in flight", "testgen/nightly", sandbox.runs()[0].id)


def test_status_and_dagster_link_are_shown(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(PROFILES)
    parent = materialize([asset], sandbox, instance).run_id
    settings = {"dagster_url": "https://dagster.example.com", "run_url_template": "https://rs.example.com/{run_id}"}
    resource = RudderStackResource(
        access_token="sandbox-rudderstack-token", base_url=f"{sandbox.url}/rudderstack", **settings
    )
    with location([asset], None, instance, resources={"rudderstack": resource}) as place:
        list_runs([place], None, None, with_status=True, as_json=False)
    run_id = sandbox.runs()[0].id
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"in flight  it: RudderStackProfilesRun {PROFILES.target} {run_id}, ")
    assert lines[0].endswith(", status running")
    assert [line.strip() for line in lines[1:]] == [
        f"Dagster run {parent}, the completion sensor waits for it",
        f"https://rs.example.com/{run_id}",
        f"https://dagster.example.com/runs/{parent}",
    ]


def test_unusable_resource_costs_only_the_links(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    resource = RudderStackResource(access_token=dg.EnvVar("NOT_SET"), base_url=dg.EnvVar("NOT_SET_EITHER"))
    with location([asset], None, instance, resources={"rudderstack": resource}) as place:
        [row] = find_runs([place], with_status=True)
    assert (row.state, row.url, row.vendor_status) == ("in flight", None, None)


def test_unknown_asset_is_refused(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    with pytest.raises(Unusable, match="There is no asset 'that' with remote runs; these assets have: it"):
        rows([deferred(PROFILES)], sandbox, instance, name="that")


def test_remote_id_finds_the_dagster_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capsys: pytest.CaptureFixture[str]
) -> None:
    job, parent = leave_going(sandbox, instance)
    run_id = sandbox.runs()[0].id
    sandbox.advance(4000)
    second = reexecute(job, instance, parent)
    find_remote_run(instance, run_id, None, 30, as_json=True)
    found = printed_json(capsys)
    assert [(one["dagster_run_id"], one["what"]) for one in found] == [
        (parent, "started it, or attached to it"),
        (second.run_id, "started it, or attached to it"),
        (second.run_id, "reported its result"),
    ]
    assert {one["asset"] for one in found} == {"features"}
    find_remote_run(instance, run_id, "features", 30, as_json=False)
    assert f"Dagster run {second.run_id} reported its result" in capsys.readouterr().out
    with pytest.raises(NegativeResult, match="No Dagster run has started or reported run other in the last 30 days"):
        find_remote_run(instance, "other", None, 30, as_json=False)
    with pytest.raises(Unusable, match="The event log has no asset 'that'"):
        find_remote_run(instance, run_id, "that", 30, as_json=False)


def test_remote_id_finds_what_the_completion_sensor_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(TESTS)
    parent = materialize([asset], sandbox, instance).run_id
    clock.sleep(4000)
    completion([asset], sandbox, instance).ticks(clock, 3)
    find_remote_run(instance, sandbox.runs()[0].id, None, 30, as_json=False)
    out = capsys.readouterr().out
    assert f"Dagster run {parent} started it" in out
    assert "The completion sensor, or a command, reported its result" in out
    assert f"{sandbox.url}/testgen/ui/test-runs:results" in out


def test_jobs_of_other_assets_do_not_matter(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def plain() -> None: ...

    assert materialize([plain], sandbox, instance).success
    assert rows([plain, deferred(PROFILES)], sandbox, instance) == []
    assert execute(job_with(PROFILES, sandbox, wait="defer"), instance).success
