"""An attempt attaches to an earlier attempt's run only if the fields of the run have not changed."""

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
def test_run_with_different_fields_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The definition is fixed, and the failed run is re-executed from failure. Its remote run had other fields.
    _, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    fixed = features_job(sandbox, PROFILES.with_fields({"rebase_incremental": True}))
    again = reexecute(fixed, instance, parent)
    assert again.success
    assert [run.body for run in sandbox.runs("rudderstack")] == [None, {"parameters": ["--rebase_incremental"]}]
    assert "dagster_runs/attached" not in metadata(instance, "features")
    assert [record for record in instance.all_logs(again.run_id) if "has different fields" in record.user_message]


@pytest.mark.covers("lost-start.definition-changed")
def test_lost_start_with_different_fields_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The lost run has our correlation id, but its fields differ from the current definition.
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
        pytest.param(JOURNEY, {"on_exited": "succeed"}, id="how the outcome is judged"),
        pytest.param(WORKFLOW, {"workflow_name": "Nightly"}, id="needed for observation"),
        pytest.param(PROFILES, {"rebase_incremental": False}, id="default value"),
    ],
)
@pytest.mark.covers("start.local-fields")
def test_changing_a_local_field_attaches_to_the_existing_run(
    run: RemoteRun[Any], changed: dict[str, Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(run.target, Behavior(running_seconds=60))
    _, parent = leave_going(sandbox, instance, run=run)
    sandbox.advance(3600)
    assert reexecute(features_job(sandbox, run.with_fields(changed)), instance, parent).success
    assert len(sandbox.runs()) == 1


class TestFieldsComputedByUserCode:
    """Such fields may contain the current time, so a difference does not mean that the definition changed."""

    @pytest.fixture
    def run_function(self) -> Callable[[dg.AssetExecutionContext], RudderStackProfilesRun]:
        hours = count()

        def choose(_context: dg.AssetExecutionContext) -> RudderStackProfilesRun:
            return PROFILES.with_fields({"begin_time": f"2026-11-01T{next(hours):02}:00:00Z"})

        return choose

    @pytest.mark.covers("start.run-function")
    def test_step_retry_attaches_when_a_run_function_returns_other_fields(
        self, run_function: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        with at_pause(sandbox, dies):
            retries = dg.RetryPolicy(max_retries=1)
            assert execute(features_job(sandbox, run_function, retry_policy=retries), instance).success
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("start.run-function")
    def test_reexecution_attaches_when_a_run_function_returns_other_fields(
        self, run_function: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        job, parent = leave_going(sandbox, instance, run=run_function)
        sandbox.advance(3600)
        assert reexecute(job, instance, parent).success
        assert sandbox.starts("rudderstack") == 1

    def test_step_retry_attaches_when_a_user_defined_asset_changes_fields(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        hours = count()

        @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
        def mine(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
            begin = f"2026-11-01T{next(hours):02}:00:00Z"
            yield from rudderstack.run(context, PROFILES.with_fields({"begin_time": begin}))

        with at_pause(sandbox, dies):
            assert materialize([mine], sandbox, instance).success
        assert sandbox.starts("rudderstack") == 1
