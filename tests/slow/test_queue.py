"""Queued requests: one run of an asset and partition at a time, no request lost, and limits on the runs in flight."""

from __future__ import annotations

import threading
from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackProfilesRun, TestGenTestRun, build_cancel_job, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize, resources_at
from tests.sensors.driving import DaemonKilled, Driver, completion, deferred, materializations, reported

pytestmark = pytest.mark.usefixtures("clock")
PARTITIONS = dg.StaticPartitionsDefinition(["a", "b", "c", "d"])
MINUTES = 60.0
PAUSE = 30.0
"""Seconds between two ticks where many are needed."""
FINAL = ("completed", "error", "canceled", "cancelled", "finished", "failed", "succeeded")
OTHER = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)


@pytest.fixture(autouse=True)
def long_runs(sandbox: Sandbox) -> None:
    for run in (TESTS, PROFILES):
        sandbox.set_behavior(run.target, Behavior(running_seconds=10 * MINUTES))


def most_active(sandbox: Sandbox, driver: Driver, clock: SandboxClock, ticks: int) -> int:
    """Run ticks, and return the maximum number of active remote runs."""
    most = 0
    for _ in range(ticks):
        driver.ticks(clock, 1, every=PAUSE)
        most = max(most, len(active(sandbox)))
    return most


def active(sandbox: Sandbox) -> list[Any]:
    return [run for run in sandbox.runs() if run.state not in FINAL]


def launched(asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance, **fields: Any) -> None:
    """Materialize the asset with fields that the launch overrides."""
    config = {"ops": {asset.op.name: {"config": fields}}}
    assert materialize([asset], sandbox, instance, run_config=config).success


class TestOneAtATime:
    @pytest.mark.parametrize("run", [TESTS, PROFILES], ids=lambda run: run.vendor)
    @pytest.mark.covers("defer.queued")
    def test_equal_requests_get_one_more_run_after_the_one_in_flight(
        self, run: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(run)
        for _ in range(4):
            assert materialize([asset], sandbox, instance).success
        assert sandbox.starts(None) == 1
        driver = completion([asset], sandbox, instance)
        assert most_active(sandbox, driver, clock, 50) == 1
        assert sandbox.starts(None) == 2
        assert sorted(reported(instance, "it")) == sorted(one.id for one in sandbox.runs())
        assert "No deferred run is in flight" in str(driver.skipped[-1])
        assert "queued" not in str(driver.skipped[-1])

    def test_request_queued_while_the_next_run_is_in_flight_is_not_satisfied_by_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        driver = completion([asset], sandbox, instance)
        for _ in range(3):  # each is queued while the run of the last one is in flight
            assert materialize([asset], sandbox, instance).success
            assert materialize([asset], sandbox, instance).success
            driver.ticks(clock, 22, every=PAUSE)
        driver.ticks(clock, 27, every=PAUSE)
        assert sandbox.starts(None) == 4
        assert len(materializations(instance, "it")) == 4

    @pytest.mark.covers("defer.queued-other-fields")
    def test_requests_with_other_fields_are_started_apart_and_in_order(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES))
        driver = completion([asset], sandbox, instance)
        for model in ("one", "two", "three", "two"):
            launched(asset, sandbox, instance, model_refs=[f"models/{model}"])
        assert most_active(sandbox, driver, clock, 80) == 1
        models = [str(run.body).partition("models/")[2].partition("'")[0] for run in sandbox.runs()]
        assert models == ["one", "two", "three"]

    def test_requests_that_differ_only_in_a_sensitive_field_are_not_merged(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        from dagster_runs import SegmentflowJourneyRun

        run = SegmentflowJourneyRun(journey_id=well_known.SEGMENTFLOW_JOURNEY, recipient={"email": "ada@example.com"})
        sandbox.set_behavior(run.target.rpartition("/")[2], Behavior(running_seconds=300))
        asset = deferred(run)
        for name in ("ada", "bob", "eve", "bob"):
            launched(asset, sandbox, instance, recipient={"email": f"{name}@example.com"})
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 50, every=PAUSE)
        assert sandbox.starts(None) == 3

    @pytest.mark.parametrize("first", ["range", "partition"])
    def test_range_overlaps_with_each_of_its_partitions(
        self, first: str, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
        ends = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
        requests: list[dict[str, Any]] = [{"tags": ends}, {"partition_key": "b"}]
        for request in requests if first == "range" else requests[::-1]:
            assert materialize([asset], sandbox, instance, **request).success
        assert materialize([asset], sandbox, instance, partition_key="d").success
        assert len(active(sandbox)) == 2
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 50, every=PAUSE)
        assert sandbox.starts(None) == 3
        partitions = [record.partition_key for record in materializations(instance, "it")]
        assert sorted(partitions) == ["a", "b", "b", "c", "d"]

    @pytest.mark.covers("defer.queued-same-time")
    def test_steps_that_start_at_the_same_time_start_one_run(
        self, sandbox: Sandbox, clock: SandboxClock, tmp_path: Any
    ) -> None:
        asset = deferred(TESTS)
        barrier = threading.Barrier(4)
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            job = dg.Definitions(
                [asset], resources=sandbox_resources(sandbox.url)
            ).resolve_implicit_global_asset_job_def()

            def launch() -> None:
                barrier.wait()
                job.execute_in_process(instance=instance)

            threads = [threading.Thread(target=launch) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sandbox.starts(None) <= 1
            driver = completion([asset], sandbox, instance)
            assert most_active(sandbox, driver, clock, 50) == 1
            assert 1 <= sandbox.starts(None) <= 2

    def test_on_in_flight_start_starts_a_second_run_at_once(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        asset = deferred(TESTS, on_in_flight="start")
        for _ in range(2):
            materialize([asset], sandbox, instance)
        assert len(active(sandbox)) == 2

    def test_request_after_a_failed_run_is_started_once_the_failure_is_reported(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        outcomes = [Behavior(running_seconds=60, outcome="fail"), Behavior(running_seconds=60)]
        sandbox.set_behavior(TESTS.target, outcomes)
        asset = deferred(TESTS)
        for _ in range(2):
            materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 30)
        assert [run.success for run in driver.runs] == [False, True]
        assert [run.state for run in sandbox.runs()] == ["error", "completed"]

    def test_uncertain_start_does_not_keep_the_user_from_starting_again(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(PROFILES)
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert "unknown whether" in failure(materialize([asset], sandbox, instance))
        clock.sleep(11 * MINUTES)
        assert materialize([asset], sandbox, instance).success
        assert entries(instance, "it")[-1] == "started"


class TestNothingIsLost:
    @pytest.mark.parametrize("lost_after", [0, 1, 2])
    @pytest.mark.covers("defer.queue-lost-tick")
    def test_tick_that_is_lost_while_it_admits_a_request(
        self, lost_after: int, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(2):
            materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.tick()
        clock.sleep(11 * MINUTES)
        with pytest.raises(DaemonKilled):
            driver.tick(lost_after=lost_after)
        assert sandbox.starts(None) == 1
        driver.ticks(clock, 24, every=PAUSE)
        assert sandbox.starts(None) == 2
        assert len(materializations(instance, "it")) == 2

    @pytest.mark.covers("defer.queue-lost-tick")
    def test_new_process_starts_what_was_queued_before(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(3):
            materialize([asset], sandbox, instance)
        cursor = None
        for _ in range(50):
            driver = completion([asset], sandbox, instance)
            driver.cursor = cursor
            driver.tick()
            cursor = driver.cursor
            clock.sleep(PAUSE)
        assert sandbox.starts(None) == 2
        assert len(materializations(instance, "it")) == 2

    @pytest.mark.covers("defer.queue-never-began")
    def test_dagster_run_that_never_begins_is_requested_again(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(2):
            materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        clock.sleep(11 * MINUTES)
        for event in (data := driver.evaluate()).asset_events:
            instance.report_runless_asset_event(event)
        driver.cursor = data.cursor
        [request] = data.run_requests
        run = instance.create_run_for_job(driver.job(request.job_name), tags=dict(request.tags))
        instance.report_run_failed(run)
        driver.ticks(clock, 30, every=PAUSE)
        assert sandbox.starts(None) == 2
        assert len(materializations(instance, "it")) == 2

    @pytest.mark.covers("defer.queue-refused")
    def test_dagster_run_that_fails_ends_the_request_visibly(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(2):
            materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        sandbox.add_fault(Fault("expired_token", method="POST"))
        driver.ticks(clock, 25, every=PAUSE)
        assert [run.success for run in driver.runs] == [False]
        assert sandbox.starts(None) == 1
        assert "queued" not in str(driver.skipped[-1])

    def test_dagster_run_that_repeats_one_that_queued_makes_an_equal_request(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        materialize([asset], sandbox, instance)
        materialize([asset], sandbox, instance)
        tags = {"dagster_runs/deferred_by": instance.get_runs()[0].run_id}  # as in a re-execution from failure
        assert materialize([asset], sandbox, instance, tags=tags).success
        assert len(self.queued(instance)) == 2
        completion([asset], sandbox, instance).ticks(clock, 50, every=PAUSE)
        assert sandbox.starts(None) == 2

    @pytest.mark.covers("defer.queue-cancel")
    def test_canceled_request_is_not_started(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, partitions_def=PARTITIONS)
        for key in ("a", "a", "b", "b"):
            materialize([asset], sandbox, instance, partition_key=key)
        result = build_cancel_job([asset]).execute_in_process(
            run_config={
                "ops": {"cancel_remote_runs_op": {"config": {"asset": "it", "run_id": self.queued(instance)[0]}}}
            },
            resources=sandbox_resources(sandbox.url),
            instance=instance,
        )
        assert result.success
        assert len(active(sandbox)) == 2
        completion([asset], sandbox, instance).ticks(clock, 50, every=PAUSE)
        assert sandbox.starts(None) == 3
        assert [record.partition_key for record in materializations(instance, "it")].count("a") == 1

    @pytest.mark.covers("defer.queue-cancel")
    def test_cancel_job_without_an_id_cancels_the_requests_too(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(3):
            materialize([asset], sandbox, instance)
        assert (
            build_cancel_job([asset])
            .execute_in_process(
                run_config={"ops": {"cancel_remote_runs_op": {"config": {"asset": "it"}}}},
                resources=sandbox_resources(sandbox.url),
                instance=instance,
            )
            .success
        )
        completion([asset], sandbox, instance).ticks(clock, 20)
        assert sandbox.starts(None) == 1
        assert [run.state for run in sandbox.runs()] == ["canceled"]

    def test_request_of_a_wiped_asset_is_started_by_the_process_that_knows_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        for _ in range(2):
            materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.tick()
        instance.wipe_assets([dg.AssetKey("it")])
        driver.ticks(clock, 50, every=PAUSE)
        assert sandbox.starts(None) == 2
        assert len(materializations(instance, "it")) == 2

    def test_request_whose_dagster_run_was_deleted_is_dropped(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS)
        materialize([asset], sandbox, instance)
        queued = materialize([asset], sandbox, instance)
        driver = completion([asset], sandbox, instance)
        driver.tick()
        instance.delete_run(queued.run_id)
        driver.ticks(clock, 30, every=PAUSE)
        assert sandbox.starts(None) == 1
        assert "queued" not in str(driver.skipped[-1])

    @pytest.mark.covers("defer.queue-changed")
    def test_request_for_a_changed_definition_starts_what_it_says_now(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        for _ in range(2):
            materialize([deferred(TESTS)], sandbox, instance)
        sandbox.set_behavior(OTHER.target, Behavior(running_seconds=60))
        driver = completion([deferred(OTHER)], sandbox, instance)
        driver.ticks(clock, 30, every=PAUSE)
        assert [run.target_id for run in sandbox.runs()] == [TESTS.target, OTHER.target]
        assert len(materializations(instance, "it")) == 2

    @pytest.mark.covers("defer.queue-changed")
    def test_request_for_a_partition_that_no_longer_exists_is_dropped_with_an_error(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            materialize([deferred(TESTS, partitions_def=PARTITIONS)], sandbox, instance, partition_key="d")
        fewer = dg.StaticPartitionsDefinition(["a", "b"])
        driver = completion([deferred(TESTS, partitions_def=fewer)], sandbox, instance)
        driver.ticks(clock, 25, every=PAUSE)
        assert sandbox.starts(None) == 1
        assert "queued" not in str(driver.skipped[-1])

    @staticmethod
    def queued(instance: dg.DagsterInstance) -> list[str]:
        """Return the ids of the queued requests, oldest first."""
        records = instance.fetch_observations(dg.AssetKey("it"), limit=100, ascending=True).records
        found = [LedgerEntry.from_event(record) for record in records]
        return [entry.correlation_id for entry in found if entry is not None and entry.kind is EntryKind.QUEUED]


class TestLimits:
    @pytest.mark.parametrize("limit", [1, 3])
    @pytest.mark.covers("defer.limit")
    def test_asset_has_at_most_this_many_runs_in_flight(
        self, limit: int, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        partitions = dg.StaticPartitionsDefinition([f"p{number}" for number in range(7)])
        asset = deferred(TESTS, partitions_def=partitions, max_in_flight=limit)
        for key in partitions.get_partition_keys():
            assert materialize([asset], sandbox, instance, partition_key=key).success
        assert sandbox.starts(None) == 0
        driver = completion([asset], sandbox, instance)
        assert most_active(sandbox, driver, clock, 25 * 7 // limit + 25) == limit
        assert sandbox.starts(None) == 7
        order = [record.partition_key for record in materializations(instance, "it")]
        assert sorted(order) == partitions.get_partition_keys()
        if limit == 1:
            assert order == partitions.get_partition_keys()

    @pytest.mark.covers("defer.limit")
    def test_resource_has_at_most_this_many_runs_of_all_assets(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        resources = {**resources_at(sandbox.url)}
        testgen = sandbox_resources(sandbox.url, max_in_flight=2)["testgen"]
        resources["testgen"] = testgen
        suites = [TESTS, OTHER]
        for run in suites:
            sandbox.set_behavior(run.target, Behavior(running_seconds=5 * MINUTES))
        assets = [deferred(suites[number % 2], key=f"it{number}") for number in range(5)]
        free = deferred(PROFILES, key="free")
        for asset in [*assets, free]:
            materialize([asset], sandbox, instance, resources=resources)
        assert [run.vendor for run in active(sandbox)] == ["rudderstack"]
        sensor_driver = completion([*assets, free], sandbox, instance)
        driver = Driver(sensor_driver.sensor, [*assets, free], sandbox, instance, resources={"testgen": testgen})
        most = 0
        for _ in range(45):
            driver.ticks(clock, 1, every=PAUSE)
            most = max(most, sum(run.vendor == "testgen" for run in active(sandbox)))
        assert most == 2
        assert sandbox.starts("testgen") == 5

    @pytest.mark.covers("defer.limit-uncertain")
    def test_uncertain_start_takes_a_slot(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(PROFILES, partitions_def=PARTITIONS, max_in_flight=1, timeout=3600)
        driver = completion([asset], sandbox, instance)
        for key in ("a", "b"):
            materialize([asset], sandbox, instance, partition_key=key)
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        driver.ticks(clock, 3)
        assert sandbox.starts(None) == 1
        driver.ticks(clock, 24, every=PAUSE)
        assert sandbox.starts(None) == 1  # the run of "a" may be in flight
        clock.sleep(3600)
        driver.ticks(clock, 5)
        assert sandbox.starts(None) == 2

    @pytest.mark.covers("defer.limit-overlap")
    def test_of_two_overlapping_ticks_the_second_admits_nothing(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(TESTS, partitions_def=PARTITIONS, max_in_flight=2)
        materialize([asset], sandbox, instance, partition_key="a")
        one, other = (completion([asset], sandbox, instance) for _ in range(2))
        first = one.evaluate()
        for key in ("b", "c"):
            materialize([asset], sandbox, instance, partition_key=key)
        # As if the other one had read an earlier state of the event log: it does not know the first admission.
        second = other.evaluate()
        assert [len(tick.run_requests) for tick in (first, second)] == [1, 2]
        for tick, driver in ((first, one), (second, other)):
            for event in tick.asset_events:
                instance.report_runless_asset_event(event)
            driver.cursor = tick.cursor
        for tick, driver in ((first, one), (second, other)):
            for request in tick.run_requests:
                driver.launch(request)
        assert len(active(sandbox)) == 1
        assert most_active(sandbox, other, clock, 67) == 2
        assert sandbox.starts(None) == 3

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"max_in_flight": 2}, "set pool"),
            ({"on_in_flight": "queue"}, "set pool"),
            ({"backfill_wait": "defer"}, "only for wait='defer'"),
            ({"wait": "defer", "max_in_flight": 0}, "greater than 0"),
            ({"wait": "defer", "max_in_flight": True}, "greater than 0"),
            ({"wait": "defer", "on_in_flight": "skip"}, "'queue' or 'start'"),
        ],
    )
    def test_invalid_options_are_refused(self, options: dict[str, Any], hint: str) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=hint):
            build_remote_run_asset(TESTS, key="it", **options)


class TestConflict:
    @pytest.mark.covers("defer.conflict-own")
    def test_own_run_of_another_partition_is_waited_for_in_the_queue(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = deferred(PROFILES, partitions_def=PARTITIONS)
        for key in ("a", "b", "c"):
            assert materialize([asset], sandbox, instance, partition_key=key).success
        descriptions = [
            record.asset_observation.description
            for record in instance.fetch_observations(dg.AssetKey("it"), limit=100).records
        ]
        [first] = sandbox.runs()
        assert any(f"run {first.id}" in text and "partition a" in text for text in descriptions if "Queued" in text)
        driver = completion([asset], sandbox, instance)
        assert most_active(sandbox, driver, clock, 100) == 1
        assert sandbox.starts(None) == 3
        assert sorted(record.partition_key for record in materializations(instance, "it")) == ["a", "b", "c"]
        # Each refused start leaves three entries, so there must be few of them.
        assert len(entries(instance, "it")) < 30

    def test_run_that_dagster_did_not_start_leaves_few_observations(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=640))
        sandbox.start_run(PROFILES.target)
        assert materialize([deferred(PROFILES)], sandbox, instance).success
        assert len(entries(instance, "it")) <= 16
        assert entries(instance, "it")[-1] == "started"

    @pytest.mark.covers("defer.conflict-own")
    def test_own_polled_run_is_polled_instead_of_starting_again_and_again(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        polled = build_remote_run_asset(PROFILES, key="other")
        other = deferred(PROFILES, key="first")
        materialize([other], sandbox, instance)
        result = materialize([polled], sandbox, instance)
        assert result.success
        assert entries(instance, "other") == ["starting", "not_started", "starting", "started"]

    def test_message_names_our_own_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        started = materialize([deferred(PROFILES, key="first")], sandbox, instance)
        result = materialize([build_remote_run_asset(PROFILES, key="it", on_conflict="fail")], sandbox, instance)
        assert f"started by Dagster run {started.run_id} for first" in failure(result)
