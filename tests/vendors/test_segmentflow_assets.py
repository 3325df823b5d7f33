"""Segmentflow journeys as assets, from the trigger to the UI; each run has one recipient."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import SegmentflowJourneyRun, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.types import DAY
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from tests.remote_run.materializing import checks, entries, entry_of, failure, metadata
from tests.remote_run.reexecuting import KEY, at_pause, dies, execute, job_with, reexecute, terminate
from tests.vendors.segmentflow_assets import ANNA, BOTH, BY_ID, BY_KEY, JOURNEY, JOURNEY_KEY, keys_sent, sent, start

pytestmark = pytest.mark.usefixtures("clock")


class TestOutcome:
    @BOTH
    @pytest.mark.covers("segmentflow.field.run-journey-id", "segmentflow.field.run-profile-id")
    def test_successful_run_materializes_the_asset(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = start(run, sandbox, instance)
        assert result.success
        assert entries(instance, KEY) == ["starting", "started"]
        [remote] = sandbox.runs("segmentflow")
        shown = metadata(instance, KEY)
        assert shown["dagster_runs/run_id"] == remote.id
        assert shown["dagster_runs/state"] == "SUCCEEDED"
        assert shown["dagster_runs/vendor"] == "Segmentflow"
        assert shown["dagster_runs/duration_seconds"] == pytest.approx(10, abs=0.1)
        assert shown["segmentflow/journey_id"] == JOURNEY
        assert shown["segmentflow/workflow_id"].endswith(remote.id)
        assert "segmentflow/profile_id" in shown
        assert checks(result)["run_status"].passed
        # The recipient is stored only in the partition or in the code.
        assert "anna@example.com" not in repr(shown)

    @pytest.mark.parametrize(
        "named", [{"journey_id": well_known.SEGMENTFLOW_FAILING}, {"journey_key": well_known.SEGMENTFLOW_FAILING_KEY}]
    )
    @pytest.mark.covers("segmentflow.field.run-error", "segmentflow.state.failed")
    def test_failed_run_reports_the_vendor_error(
        self, named: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = start(SegmentflowJourneyRun(**named, recipient=ANNA), sandbox, instance)
        assert not result.success
        assert (
            "ended with status failed after 12 s: Step 2 (Send email): template 'welcome-back' has no sender profile"
            in failure(result)
        )
        status = checks(result)["run_status"]
        assert not status.passed
        assert "no sender profile" in status.metadata["error"].value
        assert entries(instance, KEY)[-1] == "ended"

    @pytest.mark.covers("segmentflow.state.exited", "end.exited")
    def test_exited_run_fails_by_default(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = SegmentflowJourneyRun(journey_key=well_known.SEGMENTFLOW_EXITING_KEY, recipient=ANNA)
        result = start(run, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=3))
        assert not result.success
        assert "ended with status exited after 12 s: the recipient left the journey before its end" in failure(result)
        # A recipient who left the journey is not sent through it again.
        assert sandbox.starts("segmentflow") == 1
        assert checks(result)["run_status"].metadata["vendor_status"].value == "exited"

    @pytest.mark.covers("segmentflow.state.exited", "end.exited")
    def test_exited_run_succeeds_with_on_exited_succeed(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        key = well_known.SEGMENTFLOW_EXITING_KEY
        run = SegmentflowJourneyRun(journey_key=key, recipient=ANNA, on_exited="succeed")
        result = start(run, sandbox, instance)
        assert result.success
        assert checks(result)["run_status"].metadata["vendor_status"].value == "exited"

    @pytest.mark.covers("segmentflow.state.any-other-word")
    def test_unknown_status_is_polled_until_the_end(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("unknown_state", state="dozing", method="GET", times=3))
        assert start(BY_KEY, sandbox, instance).success

    @pytest.mark.covers("segmentflow.state.any-other-word")
    def test_unknown_status_of_an_ended_run_is_quoted(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("unknown_state", state="Evaporated", ended=True, method="GET"))
        assert "'Evaporated'" in failure(start(BY_KEY, sandbox, instance))

    def test_end_time_of_an_active_run_is_ignored(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(JOURNEY, Behavior(shape="A", completed_at="present"))
        assert start(BY_ID, sandbox, instance).success
        assert sandbox.runs("segmentflow")[0].ended_at is not None

    def test_run_not_found_right_after_the_start_is_polled_again(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("not_found", method="GET", times=3))
        assert start(BY_KEY, sandbox, instance).success
        assert sandbox.starts("segmentflow") == 1


class TestLongRuns:
    @pytest.mark.covers("segmentflow.state.running")
    def test_run_of_hours_needs_few_polls_and_few_observations(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(JOURNEY, Behavior(running_seconds=4 * 3600))
        assert start(BY_KEY, sandbox, instance).success
        status_requests = [request for request in sandbox.requests("segmentflow") if request.method == "GET"]
        assert len(status_requests) < 4 * 3600 / 10 / 3  # a third of the requests of a fixed interval
        observed = instance.fetch_observations(dg.AssetKey(KEY), limit=1000).records
        assert len(observed) <= 4
        assert metadata(instance, KEY)["dagster_runs/duration_seconds"] == pytest.approx(4 * 3600, rel=0.01)

    @pytest.mark.covers("segmentflow.state.running")
    def test_timeout_defaults_to_thirty_days(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        for options, seconds in (({}, 30 * DAY), ({"timeout": 3600}, 3600)):
            assert start(BY_KEY, sandbox, instance, **options).success
            observed = instance.fetch_observations(dg.AssetKey(KEY), limit=10).records
            started = next(entry for entry in map(entry_of, observed) if entry.kind is EntryKind.STARTED)
            assert (started.deadline or 0.0) - started.at == pytest.approx(seconds)

    @pytest.mark.covers("wait.timeout-cannot-cancel")
    def test_on_timeout_cancel_is_rejected(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="no way to cancel a journey run"):
            build_remote_run_asset(BY_KEY, key=KEY, on_timeout="cancel")


class TestTermination:
    @pytest.mark.covers("segmentflow.endpoint.cancel-run", "cancel.cannot-cancel")
    def test_reports_that_the_run_is_still_active(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(JOURNEY, Behavior(running_seconds=DAY))
        with at_pause(sandbox, lambda: terminate(instance)):
            result = start(BY_KEY, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        [remote] = sandbox.runs("segmentflow")
        message = failure(result)
        assert f"Segmentflow cannot cancel journey run {remote.id}" in message
        assert "stop the journey at https://dashboard.segmentflow.ai" in message
        assert remote.ended_at is None
        assert sandbox.starts("segmentflow") == 1


class TestAttaching:
    @BOTH
    def test_step_retry_attaches(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        with at_pause(sandbox, dies, pause=1):
            assert start(run, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
        assert sandbox.starts("segmentflow") == 1
        assert metadata(instance, KEY)["dagster_runs/attached"] is True

    @BOTH
    def test_reexecution_from_failure_reports_the_result(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        job = job_with(run, sandbox, timeout=5)
        first = execute(job, instance)
        assert "did not finish within" in failure(first)
        sandbox.advance(60)
        assert reexecute(job, instance, first.run_id).success
        assert sandbox.starts("segmentflow") == 1

    def test_failed_run_is_started_again_with_a_new_key(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(JOURNEY, [Behavior(outcome="fail"), Behavior()])
        assert start(BY_KEY, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
        assert sandbox.starts("segmentflow") == 2
        assert len(set(keys_sent(sandbox))) == 2

    def test_new_materialization_starts_a_run_with_a_new_key(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        for _ in range(2):
            assert start(BY_KEY, sandbox, instance).success
        assert sandbox.starts("segmentflow") == 2
        assert len(set(keys_sent(sandbox))) == 2


class TestRejectedStarts:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"scopes": []}, r"[insufficient_scope]: The API key lacks a required scope. {'required': ['journeys:tr"),
            ({"allow_sends": False}, "[send_not_allowed]: The API key lacks the allowSends flag"),
        ],
    )
    def test_rejected_start_reports_the_reason_and_is_not_retried(
        self, settings: Any, message: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.configure("segmentflow", **settings)
        result = start(BY_KEY, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        assert message in failure(result)
        assert entries(instance, KEY) == ["starting", "not_started"]
        assert len(sandbox.requests("segmentflow")) == 1

    @BOTH
    def test_rate_limited_start_is_sent_again(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=2))
        assert start(run, sandbox, instance).success
        assert sandbox.starts("segmentflow") == 1


class TestPartitionPerRecipient:
    @BOTH
    def test_static_partition_selects_the_recipient(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        people = dg.StaticPartitionsDefinition(["anna@example.com", "ben+x@example.com"])
        each = run.with_fields({"recipient": {"email": "{partition_key}"}})
        for person in people.get_partition_keys():
            assert start(each, sandbox, instance, partitions_def=people, partition_key=person).success
            assert next(iter(sent(sandbox).values())) == {"email": person}
        assert sandbox.starts("segmentflow") == 2
        assert instance.get_materialized_partitions(dg.AssetKey(KEY)) == set(people.get_partition_keys())

    def test_dynamic_partition_selects_the_recipient(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        people = dg.DynamicPartitionsDefinition(name="people")
        each = BY_KEY.with_fields(
            {
                "recipient": {"externalId": "crm-{partition_key}", "properties": {"tags": ["vip", "{partition_key}"]}},
                "variables": {"link": "https://example.com/?for={partition_key}", "number": 7},
            }
        )
        instance.add_dynamic_partitions("people", ["7", "8"])
        for person in ("7", "8"):
            assert start(each, sandbox, instance, partitions_def=people, partition_key=person).success
        assert sent(sandbox) == {
            "profile": {"externalId": "crm-8", "properties": {"tags": ["vip", "8"]}},
            "variables": {"link": "https://example.com/?for=8", "number": 7},
        }

    def test_dimension_of_a_multi_partition_selects_the_recipient(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
        both = dg.MultiPartitionsDefinition({"day": days, "who": dg.StaticPartitionsDefinition(["anna@example.com"])})
        each = BY_KEY.with_fields(
            {
                "recipient": {"email": "{partition_key.who}"},
                "variables": {"day": "{partition_key.day}", "from": "{window_start}", "both": "{partition_key}"},
            }
        )
        key = dg.MultiPartitionKey({"day": "2026-11-03", "who": "anna@example.com"})
        assert start(each, sandbox, instance, partitions_def=both, partition_key=key).success
        assert sent(sandbox) == {
            "profile": ANNA,
            "variables": {"day": "2026-11-03", "from": "2026-11-03T00:00:00Z", "both": "2026-11-03|anna@example.com"},
        }

    @pytest.mark.parametrize("dimensions", [1, 2])
    def test_unknown_dimension_raises(self, dimensions: int, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        people = dg.StaticPartitionsDefinition(["a"])
        both = dg.MultiPartitionsDefinition({"who": people, "where": people})
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key.whom}"}})
        partitions = {"partitions_def": both, "partition_key": dg.MultiPartitionKey({"who": "a", "where": "a"})}
        if dimensions == 1:
            partitions = {"partitions_def": people, "partition_key": "a"}
        assert "no dimension whom" in failure(start(each, sandbox, instance, **partitions))
        assert not sandbox.requests("segmentflow")

    def test_failure_for_one_recipient_does_not_affect_others(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(JOURNEY, [Behavior(outcome="fail"), Behavior()])
        people = dg.StaticPartitionsDefinition(["a", "b"])
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key}"}})
        ended = [start(each, sandbox, instance, partitions_def=people, partition_key=person).success for person in "ab"]
        assert ended == [False, True]
        assert instance.get_materialized_partitions(dg.AssetKey(KEY)) == {"b"}

    def test_partitions_do_not_attach_to_runs_of_other_recipients(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        people = dg.StaticPartitionsDefinition(["a", "b"])
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key}"}})
        for person in "ab":
            short = start(each, sandbox, instance, partitions_def=people, partition_key=person, timeout=2)
            assert "did not finish within" in failure(short)
        assert [run.body["profile"]["userId"] for run in sandbox.runs("segmentflow")] == ["a", "b"]

    def test_partition_range_in_one_run_raises(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        people = dg.StaticPartitionsDefinition(["a", "b", "c"])
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key}"}})
        tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
        policy = dg.BackfillPolicy.single_run()
        result = start(each, sandbox, instance, partitions_def=people, backfill_policy=policy, tags=tags)
        assert "no single partition" in failure(result)
        assert not sandbox.requests("segmentflow")

    def test_range_of_one_partition_selects_its_recipient(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        # Single-run backfills and backfills with one partition per run set these tags.
        people = dg.StaticPartitionsDefinition(["a", "b"])
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key}"}})
        tags = {"dagster/asset_partition_range_start": "b", "dagster/asset_partition_range_end": "b"}
        options = {"partitions_def": people, "backfill_policy": dg.BackfillPolicy.single_run(), "tags": tags}
        with at_pause(sandbox, dies, pause=1):
            policy = dg.RetryPolicy(max_retries=1)
            assert start(each, sandbox, instance, retry_policy=policy, **options).success
        assert sandbox.starts("segmentflow") == 1
        assert sent(sandbox) == {"profile": {"userId": "b"}}
        assert instance.get_materialized_partitions(dg.AssetKey(KEY)) == {"b"}

    @pytest.mark.parametrize("as_range", [False, True])
    def test_dimension_names_may_contain_any_characters(
        self, as_range: bool, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        people, weeks = dg.StaticPartitionsDefinition(["a"]), dg.StaticPartitionsDefinition(["w1"])
        both = dg.MultiPartitionsDefinition({"e-mail list": people, "week": weeks})
        each = BY_KEY.with_fields({"recipient": {"userId": "{partition_key.e-mail list}{not_ours}"}})
        key = dg.MultiPartitionKey({"e-mail list": "a", "week": "w1"})
        options: dict[str, Any] = {"partition_key": key}
        if as_range:
            tags = {"dagster/asset_partition_range_start": str(key), "dagster/asset_partition_range_end": str(key)}
            options = {"tags": tags, "backfill_policy": dg.BackfillPolicy.single_run()}
        assert start(each, sandbox, instance, partitions_def=both, **options).success
        assert sent(sandbox) == {"profile": {"userId": "a{not_ours}"}}

    def test_window_start_and_end_can_be_variables(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
        run = BY_KEY.with_fields({"variables": {"from": "{window_start}", "to": "{window_end}"}})
        assert start(run, sandbox, instance, partitions_def=days, partition_key="2026-11-03").success
        assert sent(sandbox)["variables"] == {"from": "2026-11-03T00:00:00Z", "to": "2026-11-04T00:00:00Z"}


class TestLaunchpad:
    def launch(
        self, run: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance, **config: Any
    ) -> dg.ExecuteInProcessResult:
        return start(run, sandbox, instance, run_config={"ops": {KEY: {"config": config}}})

    def test_overrides_recipient_and_variables(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        given = {"recipient": {"userId": "ben"}, "variables": {"offer": {"percent": 5}}}
        assert self.launch(BY_KEY, sandbox, instance, **given).success
        assert sent(sandbox) == {"profile": {"userId": "ben"}, "variables": {"offer": {"percent": 5}}}

    def test_overrides_on_exited(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = BY_KEY.with_fields({"journey_key": well_known.SEGMENTFLOW_EXITING_KEY})
        assert self.launch(run, sandbox, instance, on_exited="succeed").success

    def test_switches_to_the_other_trigger(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        assert self.launch(BY_ID, sandbox, instance, journey_id=None, journey_key=JOURNEY_KEY).success
        assert len(keys_sent(sandbox)) == 1

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"recipient": {"user_id": "7"}}, "recipient has no field 'user_id'"),
            ({"recipient": {"userId": 7}}, "recipient.userId must be a string, not an int"),
            ({"journey_id": JOURNEY}, "exactly one of journey_id and journey_key"),
        ],
    )
    def test_rejects_invalid_fields_before_the_start(
        self, config: Any, message: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = self.launch(BY_KEY, sandbox, instance, **config)
        assert message in failure(result)
        assert "Nothing was started" in failure(result)
        assert not sandbox.requests("segmentflow")
