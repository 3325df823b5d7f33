"""A run that an earlier attempt began is ours only if it does what is wanted now."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    RemoteRun,
    RudderStackProfilesRun,
    RudderStackResource,
    SegmentflowJourneyRun,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize, metadata
from tests.remote_run.reexecuting import at_pause, dies, execute, features_job, leave_going, reexecute

pytestmark = pytest.mark.usefixtures("clock")

JOURNEY = SegmentflowJourneyRun(journey_id=well_known.SEGMENTFLOW_JOURNEY, recipient={"email": "a@example.com"})
WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)


@pytest.mark.covers("start.other-fields")
def test_a_run_with_other_fields_is_not_taken(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The definition is mended, and the failed run re-executed from failure: what it began did something else.
    _, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    mended = features_job(sandbox, PROFILES.with_fields({"rebase_incremental": True}))
    again = reexecute(mended, instance, parent)
    assert again.success
    assert [run.body for run in sandbox.runs("rudderstack")] == [None, {"parameters": ["--rebase_incremental"]}]
    assert metadata(instance, "features")["dagster_runs/attached"] is False
    assert [record for record in instance.all_logs(again.run_id) if "has different fields" in record.user_message]


@pytest.mark.covers("lost-start.definition-changed")
def test_a_lost_start_with_other_fields_is_not_taken(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # Our mark is in what was started then; but that is not what is wanted now.
    sandbox.add_fault(Fault("lost_response", method="POST"))
    sandbox.add_fault(Fault("status", path="/projects/"))
    first = execute(features_job(sandbox, TESTS), instance)
    sandbox.clear_faults()
    other = features_job(sandbox, TESTS.with_fields({"match_schema_name": "staging"}))
    assert "unknown whether" in failure(reexecute(other, instance, first.run_id))
    assert sandbox.starts("testgen") == 1


@pytest.mark.parametrize(
    ("run", "changed"),
    [
        pytest.param(JOURNEY, {"on_exited": "succeed"}, id="how an end is judged"),
        pytest.param(WORKFLOW, {"workflow_name": "Nightly"}, id="what observing needs"),
        pytest.param(PROFILES, {"rebase_incremental": False}, id="the default"),
    ],
)
@pytest.mark.covers("start.local-fields")
def test_a_change_that_the_vendor_is_not_told_makes_no_other_run(
    run: RemoteRun[Any], changed: dict[str, Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(run.target, Behavior(running_seconds=60))
    _, parent = leave_going(sandbox, instance, run=run)
    sandbox.advance(3600)
    assert reexecute(features_job(sandbox, run.with_fields(changed)), instance, parent).success
    assert len(sandbox.runs()) == 1


class TestFieldsThatUserCodeMakesAnew:
    """They may hold the time of day, so that they tell nothing of whether somebody has changed the definition."""

    @pytest.fixture
    def since_now(self) -> Callable[[dg.AssetExecutionContext], RudderStackProfilesRun]:
        hours = count()

        def choose(_context: dg.AssetExecutionContext) -> RudderStackProfilesRun:
            return PROFILES.with_fields({"begin_time": f"2026-11-01T{next(hours):02}:00:00Z"})

        return choose

    @pytest.mark.covers("start.run-function")
    def test_do_not_keep_a_retry_from_attaching(
        self, since_now: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        with at_pause(sandbox, dies):
            retries = dg.RetryPolicy(max_retries=1)
            assert execute(features_job(sandbox, since_now, retry_policy=retries), instance).success
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("start.run-function")
    def test_do_not_keep_a_reexecution_from_attaching(
        self, since_now: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        job, parent = leave_going(sandbox, instance, run=since_now)
        sandbox.advance(3600)
        assert reexecute(job, instance, parent).success
        assert sandbox.starts("rudderstack") == 1

    def test_nor_do_those_of_an_asset_of_ones_own(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        hours = count()

        @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
        def mine(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
            begin = f"2026-11-01T{next(hours):02}:00:00Z"
            yield from rudderstack.run(context, PROFILES.with_fields({"begin_time": begin}))

        with at_pause(sandbox, dies):
            assert materialize([mine], sandbox, instance).success
        assert sandbox.starts("rudderstack") == 1
