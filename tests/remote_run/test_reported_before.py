"""Re-executions of a step that failed after it had reported the result of its remote run."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import QualityGate, TestGenTestRun
from dagster_runs.remote_run.execution.events import check_specs
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import TESTS, checks, failure, metadata
from tests.remote_run.reexecuting import dies, execute, features_job, reexecute

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.covers("end.blocking-gate", "retry.after-blocking-gate")
def test_result_blocked_by_its_gate_starts_a_new_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The data is fixed, and the run is re-executed from failure. That must test the data again.
    orders = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    job = features_job(sandbox, orders, gate=QualityGate(min_score=0.95, blocking=True))
    first = execute(job, instance)
    assert not first.success
    assert checks(first)["quality_score"].passed is False
    sandbox.set_behavior(orders.target, Behavior(score=0.99, counts={"passed": 48, "failed": 0, "warning": 0}))
    assert reexecute(job, instance, first.run_id).success
    assert sandbox.starts("testgen") == 2


@pytest.mark.covers("start.attach-partly-reported")
def test_result_reported_for_only_some_assets_is_reported_for_the_others(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    dies_between = [True, False]

    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def both(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any]) -> Iterator[Any]:
        for event in testgen.run(context, TESTS):
            yield event
            if dies_between.pop(0):
                dies()

    defs = dg.Definitions([both], resources=sandbox_resources(sandbox.url), executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    died = execute(job, instance)
    assert not died.success
    dies_between += [False]
    assert reexecute(job, instance, died.run_id).success
    [run] = sandbox.runs("testgen")
    assert metadata(instance, "two")["dagster_runs/run_id"] == run.id


@pytest.mark.parametrize("gate", [None, QualityGate(blocking=True)], ids=["no gate", "passed gate"])
@pytest.mark.covers("start.attach-reported")
def test_reported_result_is_reported_again_without_a_new_run(
    gate: QualityGate | None, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # The step's own code fails after the remote run. It is fixed, and the step is re-executed from failure.
    is_fixed = [False, True]

    @dg.asset(check_specs=check_specs(TestGenTestRun, dg.AssetKey("mine"), gate))
    def mine(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any]) -> Iterator[Any]:
        yield from testgen.run(context, TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN), gate=gate)
        if not is_fixed.pop(0):
            raise RuntimeError("the mail server is down")

    defs = dg.Definitions([mine], resources=sandbox_resources(sandbox.url), executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    first = execute(job, instance)
    assert "the mail server is down" in failure(first)
    assert metadata(instance, "mine")
    assert reexecute(job, instance, first.run_id).success
    assert sandbox.starts("testgen") == 1
