"""Faults of the queue that a review found."""

from __future__ import annotations

from secrets import token_hex
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_runs import QualityGate, RudderStackProfilesRun, TestGenTestRun, build_remote_run_asset
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.transport.errors import ConnectionFailedError
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize, resources_at
from tests.sensors.driving import completion, deferred, materializations

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def long_runs(sandbox: Sandbox) -> None:
    for run in (TESTS, PROFILES):
        sandbox.set_behavior(run.target, Behavior(running_seconds=600))


P = dg.StaticPartitionsDefinition(["a", "b", "c", "d"])


def nightly(sandbox, instance, **options):
    it = deferred(TESTS, deps=["upstream"], **options)

    @dg.asset(deps=[it])
    def downstream() -> None: ...

    @dg.asset
    def upstream() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    driver = completion([it], sandbox, instance, more_assets=[upstream, downstream], jobs=[job], continue_run=True)
    return (it, driver, driver.job("nightly"))


def logs(instance, run_id):
    return "\n".join(e.user_message for e in instance.all_logs(run_id))


def again(assets, sandbox, instance, parent, **tags):
    job = dg.Definitions(
        assets=assets, resources=resources_at(sandbox.url), executor=dg.in_process_executor
    ).resolve_implicit_global_asset_job_def()
    before = instance.get_run_by_id(parent)
    all_tags = {**before.tags, **tags}
    run = instance.create_run_for_job(
        job, run_config=before.run_config, parent_run_id=parent, root_run_id=parent, tags=all_tags
    )
    return execute_run(InMemoryJob(job), run, instance, raise_on_error=False)


def from_failure(parent):
    return {"dagster/parent_run_id": parent, "dagster/root_run_id": parent, "dagster/is_resume_retry": "true"}


BACKFILL = {"dagster/backfill": "abcdefgh"}


def mixed(sandbox, instance):
    it = deferred(TESTS)

    @dg.asset(deps=[it], partitions_def=P)
    def downstream() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all(), partitions_def=P)
    driver = completion([it], sandbox, instance, more_assets=[downstream], jobs=[job])
    return (it, driver, driver.job("nightly"))


def active(sandbox):
    return [
        r
        for r in sandbox.runs()
        if r.state not in ("completed", "error", "canceled", "cancelled", "finished", "failed", "succeeded")
    ]


def _end_finishing_run(driver, instance, clock):
    while True:
        data = driver.evaluate()
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        driver.cursor = data.cursor
        if data.run_requests:
            break
        clock.sleep(10)
    [request] = data.run_requests
    driver.run_keys.add(request.run_key)
    run = instance.create_run_for_job(
        driver.job(request.job_name), tags=dict(request.tags), asset_selection=frozenset(request.asset_selection)
    )
    instance.report_run_canceled(run)


def test_continuation_with_other_partitions_does_not_stop_the_sensor(sandbox, instance, clock):
    it = deferred(TESTS, partitions_def=P)
    other = deferred(TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS), key="other")

    @dg.asset(deps=[it])
    def downstream() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.assets("it", "downstream"), partitions_def=P)
    driver = completion([it, other], sandbox, instance, more_assets=[downstream], jobs=[job], continue_run=True)
    driver.job("nightly").execute_in_process(instance=instance, partition_key="b")
    materialize([other], sandbox, instance)
    clock.sleep(660)
    n = 0
    for _ in range(30):
        try:
            driver.tick()
        except BaseException:
            n += 1
        clock.sleep(30)
    materialize([other], sandbox, instance)
    clock.sleep(660)
    for _ in range(10):
        try:
            driver.tick()
        except BaseException:
            n += 1
        clock.sleep(30)
    assert n == 0


@pytest.mark.parametrize("limit", [None, 1])
def test_retry_of_the_step_that_starts_a_request_starts_it(limit, sandbox, instance, clock):
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=2), max_in_flight=limit)
    materialize([asset], sandbox, instance)
    if not limit:
        materialize([asset], sandbox, instance)
        clock.sleep(660)
    before = sandbox.starts(None)
    driver = completion([asset], sandbox, instance)
    original, n = (TestGenTestRun.start, [])

    def start(self, *args):
        n.append(1)
        if len(n) <= 6:
            raise ConnectionFailedError("the connection was refused", vendor="TestGen", method="POST", path="/x")
        return original(self, *args)

    with patch.object(TestGenTestRun, "start", start):
        driver.ticks(clock, 40, every=30)
    assert sandbox.starts(None) - before == 1


def test_reexecution_of_a_failed_start_starts_the_request(sandbox, instance, clock):
    state = {"broken": False}

    def run(context) -> TestGenTestRun:
        if state["broken"]:
            raise MemoryError("evicted")
        return TESTS

    asset = build_remote_run_asset(run, key="it", wait="defer")
    materialize([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(660)
    state["broken"] = True
    driver.ticks(clock, 4, every=30)
    assert [r.success for r in driver.runs] == [False]
    state["broken"] = False
    parent = driver.runs[0].run_id
    assert again([asset], sandbox, instance, parent, **from_failure(parent)).success
    driver.ticks(clock, 40, every=30)
    assert sandbox.starts(None) == 2


def test_repeating_a_dagster_run_that_queued_is_a_new_request(sandbox, instance, clock):
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    second = materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 50, every=30)
    assert sandbox.starts(None) == 2
    assert len(materializations(instance, "it")) == 2
    assert again([asset], sandbox, instance, second.run_id).success
    driver.ticks(clock, 30, every=30)
    assert sandbox.starts(None) == 3


def test_resumed_step_of_a_backfill_makes_a_new_request(sandbox, instance, clock):
    asset = deferred(TESTS, timeout=1000)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    with patch.object(RemoteRunExecution, "sleep", side_effect=MemoryError("worker dies")):
        first = materialize([asset], sandbox, instance, tags=BACKFILL)
    assert not first.success
    driver.ticks(clock, 30, every=30)
    assert len(materializations(instance, "it")) == 1
    waited = []

    def sleep(self, seconds, **kw):
        waited.append(seconds)
        clock.sleep(seconds)
        if len(waited) % 6 == 0:
            driver.tick()

    with patch.object(RemoteRunExecution, "sleep", sleep):
        result = again([asset], sandbox, instance, first.run_id, **from_failure(first.run_id))
    assert result.success


def test_range_of_dynamic_partitions_does_not_break_other_steps(sandbox, clock, tmp_path):
    """A single partition is materialized while the single-run backfill of a range is in flight."""
    dyn = dg.DynamicPartitionsDefinition(name="dyn")
    asset = deferred(TESTS, partitions_def=dyn, backfill_policy=dg.BackfillPolicy.single_run())
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("dyn", ["a", "b", "c"])
        ends = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}

        seen = []

        def sleep(self, seconds, **kw):
            clock.sleep(seconds)
            if not seen:
                seen.append(1)
                r = materialize([asset], sandbox, instance, partition_key="c")
                seen.append(r.success)

        with patch.object(RemoteRunExecution, "sleep", sleep):
            materialize([asset], sandbox, instance, tags={**ends, **BACKFILL})
    assert seen[1]


def test_uncertain_start_of_a_dynamic_range_does_not_break_ticks(sandbox, clock, tmp_path):
    dyn = dg.DynamicPartitionsDefinition(name="dyn")
    asset = deferred(PROFILES, partitions_def=dyn, backfill_policy=dg.BackfillPolicy.single_run(), max_in_flight=2)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("dyn", ["a", "b", "c"])
        ends = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
        driver = completion([asset], sandbox, instance)
        materialize([asset], sandbox, instance, tags=ends)
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        driver.ticks(clock, 3, every=30)
        r = materialize([asset], sandbox, instance, partition_key="c")
        assert r.success, failure(r)
        driver.ticks(clock, 3, every=30)


def test_request_of_an_unpartitioned_asset_in_a_partitioned_job_is_started(sandbox, instance, clock):
    _it, driver, job = mixed(sandbox, instance)
    for key in ("b", "b"):
        assert job.execute_in_process(instance=instance, partition_key=key).success
    driver.ticks(clock, 50, every=30)
    assert sandbox.starts(None) == 2


def test_unpartitioned_asset_in_a_partitioned_job_runs_once_at_a_time(sandbox, instance, clock):
    _it, _driver, job = mixed(sandbox, instance)
    for key in ("a", "b"):
        assert job.execute_in_process(instance=instance, partition_key=key).success
    assert len(active(sandbox)) == 1


def test_start_during_the_polls_takes_a_slot(sandbox, instance, clock):
    asset = deferred(TESTS, partitions_def=P, max_in_flight=1)
    for key in ("a", "b"):
        materialize([asset], sandbox, instance, partition_key=key)
    driver = completion([asset], sandbox, instance)
    data = driver.evaluate()
    for event in data.asset_events:
        instance.report_runless_asset_event(event)
    driver.cursor = data.cursor
    [request] = data.run_requests
    clock.sleep(10)
    from dagster_runs.sensors.completion.polling import Polling

    original = Polling.poll

    def poll(self, *args):
        driver.launch(request)
        return original(self, *args)

    with patch.object(Polling, "poll", poll):
        driver.tick()
    driver.ticks(clock, 3)
    assert len(active(sandbox)) == 1


def test_terminated_report_does_not_block_the_next_request(sandbox, instance, clock):
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=60, outcome="fail"), Behavior(running_seconds=60)])
    asset = deferred(TESTS, timeout=12 * 3600)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    _end_finishing_run(driver, instance, clock)
    driver.ticks(clock, 3)
    materialize([asset], sandbox, instance)
    driver.ticks(clock, 120, every=60)
    assert sandbox.starts(None) == 2


def test_subset_of_a_definition_waits_for_a_run_of_the_rest(sandbox, instance, clock):
    """sensor says b may start while a's run is in flight; what happens in the step?"""
    asset = build_remote_run_asset(TESTS, specs=[dg.AssetSpec("a"), dg.AssetSpec("b")], wait="defer")
    completion([asset], sandbox, instance)
    materialize([asset], sandbox, instance, selection=["a"])
    materialize([asset], sandbox, instance, selection=["b"])
    materialize([asset], sandbox, instance)
    assert len(active(sandbox)) == 1


def test_run_is_continued_if_another_start_satisfied_its_request(sandbox, instance, clock):
    it, driver, job = nightly(sandbox, instance)
    materialize([it], sandbox, instance)
    job.execute_in_process(instance=instance)
    clock.sleep(660)
    request = None
    while not request:
        data = driver.evaluate()
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        driver.cursor = data.cursor
        request = next((r for r in data.run_requests if "dagster_runs/starts" in r.tags), None)
        clock.sleep(10)
    materialize([it], sandbox, instance)
    driver.launch(request)
    driver.ticks(clock, 100, every=30)
    assert len(materializations(instance, "downstream")) == 1


def test_run_is_continued_if_its_request_was_queued_again(sandbox, instance, clock):
    other = deferred(PROFILES, key="other")
    it = deferred(PROFILES)

    @dg.asset(deps=[it])
    def downstream() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.assets("it", "downstream"))
    driver = completion([it, other], sandbox, instance, more_assets=[downstream], jobs=[job], continue_run=True)
    materialize([it], sandbox, instance)
    driver.job("nightly").execute_in_process(instance=instance)
    clock.sleep(660)
    request = None
    while not request:
        data = driver.evaluate()
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        driver.cursor = data.cursor
        request = next((r for r in data.run_requests if "dagster_runs/starts" in r.tags), None)
        clock.sleep(10)
    materialize([other], sandbox, instance)
    driver.launch(request)
    driver.ticks(clock, 100, every=30)
    assert len(materializations(instance, "it")) == 2
    assert len(materializations(instance, "downstream")) == 1


def test_run_is_continued_once_after_a_retry(sandbox, instance, clock):
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=60, outcome="fail"), Behavior(running_seconds=60)])
    _it, driver, job = nightly(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1))
    assert job.execute_in_process(instance=instance).success
    driver.ticks(clock, 40)
    assert len(materializations(instance, "it")) == 1
    assert len(materializations(instance, "downstream")) == 1


def test_run_is_not_continued_before_a_step_has_reported_the_gate(sandbox, instance, clock):
    """The result cannot be fetched, so a Dagster run has to report it: the downstream is continued at once."""
    from dagster_runs.transport.errors import PermissionDeniedError

    FAILING = TestGenTestRun(test_suite_id=well_known.SUITE_DEFAULT)
    sandbox.set_behavior(FAILING.target, Behavior(running_seconds=60))
    it = deferred(FAILING, gate=QualityGate(min_score=0.99, blocking=True))

    @dg.asset(deps=[it])
    def downstream() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    driver = completion([it], sandbox, instance, more_assets=[downstream], jobs=[job], continue_run=True)
    assert driver.job("nightly").execute_in_process(instance=instance).success
    original = TestGenTestRun.fetch_result
    n = []

    def fetch(self, *args):
        n.append(1)
        if len(n) < 2:
            raise PermissionDeniedError("no access", vendor="TestGen", method="GET", path="/x", status=403)
        return original(self, *args)

    with patch.object(TestGenTestRun, "fetch_result", fetch):
        driver.ticks(clock, 20)
    assert not materializations(instance, "downstream")


def test_asset_with_two_deferred_inputs_is_continued_once(sandbox, instance, clock):
    other = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60))
    sandbox.set_behavior(other.target, Behavior(running_seconds=600))
    one, two = (deferred(TESTS, key="one"), deferred(other, key="two"))
    seen = []

    @dg.asset(deps=[one, two])
    def downstream() -> None:
        seen.append((len(materializations(instance, "one")), len(materializations(instance, "two"))))

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    driver = completion([one, two], sandbox, instance, more_assets=[downstream], jobs=[job], continue_run=True)
    assert driver.job("nightly").execute_in_process(instance=instance).success
    driver.ticks(clock, 50, every=30)
    assert seen == [(1, 1)]


def test_failed_start_stands_for_all_equal_requests(sandbox, instance, clock):
    state = {"broken": False}

    def run(context) -> TestGenTestRun:
        if state["broken"]:
            raise MemoryError("broken resource")
        return TESTS

    asset = build_remote_run_asset(run, key="it", wait="defer")
    for _ in range(6):
        materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(660)
    state["broken"] = True
    driver.ticks(clock, 30, every=30)
    assert len(driver.runs) == 1


def test_request_that_is_too_large_is_refused_at_once(sandbox, instance, clock):
    keys = [token_hex(8) for _ in range(1000)]
    definition = dg.MultiPartitionsDefinition(
        {"a": dg.StaticPartitionsDefinition(["x"]), "b": dg.StaticPartitionsDefinition(keys)}
    )
    single_run = dg.BackfillPolicy.single_run()
    asset = deferred(TESTS, partitions_def=definition, backfill_policy=single_run, max_in_flight=1)
    first, *_, last = definition.get_partition_keys()
    ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    assert "cannot be recorded in Dagster's event log" in failure(materialize([asset], sandbox, instance, tags=ends))
    assert entries(instance, "it") == []


def test_dropped_request_does_not_block_others(sandbox, instance, clock):
    """A dropped request still makes later launches queue."""
    state = {"broken": False}

    def run(context) -> RudderStackProfilesRun:
        if state["broken"]:
            raise MemoryError("broken")
        return PROFILES

    asset = build_remote_run_asset(run, key="it", wait="defer", timeout=86400)
    materialize([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(660)
    state["broken"] = True
    driver.ticks(clock, 6, every=30)
    state["broken"] = False
    materialize([asset], sandbox, instance, run_config={"ops": {"it": {"config": {"model_refs": ["models/x"]}}}})
    assert sandbox.starts(None) == 2


def test_dagster_run_of_a_whole_job_covers_an_update(sandbox, instance, clock):
    """A job without asset selection that is in Dagster's run queue covers the update."""
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60))

    @dg.asset
    def orders(): ...

    it = deferred(TESTS, deps=[orders], automation_condition=dg.AutomationCondition.eager())
    job = dg.define_asset_job("hourly", selection=dg.AssetSelection.assets("it"))
    driver = completion([it], sandbox, instance, more_assets=[orders], jobs=[job])
    materialize([orders], sandbox, instance)
    materialize([it], sandbox, instance)
    driver.ticks(clock, 2)
    materialize([orders], sandbox, instance)
    instance.create_run_for_job(driver.job("hourly"), status=dg.DagsterRunStatus.STARTED)
    driver.ticks(clock, 15)
    assert not driver.runs


def test_no_further_run_is_requested_for_bad_input(sandbox, instance, clock):
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60))
    state = {"good": True}

    @dg.asset(check_specs=[dg.AssetCheckSpec("ok", asset="orders", blocking=True)])
    def orders():
        yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=state["good"])])

    asset = deferred(
        TESTS,
        deps=[orders],
        automation_condition=dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    )
    materialize([orders], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, more_assets=[orders])
    driver.ticks(clock, 2)
    state["good"] = False
    materialize([orders], sandbox, instance)
    driver.ticks(clock, 25)
    assert sandbox.starts(None) == 1


def test_run_retries_are_counted_through_the_queue(sandbox, instance, clock, monkeypatch):
    monkeypatch.setattr(type(instance), "run_retries_enabled", True)
    monkeypatch.setattr(type(instance), "run_retries_max_retries", 2)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60, outcome="fail"))
    asset = deferred(TESTS, max_in_flight=1)
    materialize([asset], sandbox, instance, tags={"dagster/max_retries": "2", "dagster/retry_number": "2"})
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 20)
    assert driver.runs[-1].dagster_run.tags["dagster/max_retries"] == "0"
