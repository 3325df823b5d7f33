"""Dagster runs in which the downstream of a deferred asset is skipped, and continued later."""

from collections.abc import Sequence

import dagster as dg
import pytest

from dagster_runs import QualityGate, TestGenTestRun, build_completion_sensor
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS
from tests.sensors.driving import Driver, completion, deferred, materializations

pytestmark = pytest.mark.usefixtures("clock")
FAILING = TestGenTestRun(test_suite_id=well_known.SUITE_DEFAULT)


class Settings(dg.Config):
    answer: int = 0


def case(
    sandbox: Sandbox, instance: dg.DagsterInstance, run: TestGenTestRun = TESTS, *, continue_run: bool = True
) -> tuple[Driver, dg.JobDefinition]:
    """Build a job: upstream, the deferred asset, downstream of it with config, and an unrelated asset."""
    it = deferred(run, deps=["upstream"], gate=QualityGate(min_score=0.99, blocking=True))

    @dg.asset(deps=[it])
    def downstream(config: Settings) -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata={"answer": config.answer})

    @dg.asset(deps=[downstream])
    def last() -> None: ...

    @dg.asset
    def upstream() -> None: ...

    @dg.asset
    def unrelated() -> None: ...

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    driver = completion(
        [it],
        sandbox,
        instance,
        more_assets=[upstream, downstream, last, unrelated],
        jobs=[job],
        continue_run=continue_run,
    )
    return driver, driver.job("nightly")


def launch(job: dg.JobDefinition, instance: dg.DagsterInstance, keys: Sequence[str] | None = None) -> str:
    selection = [dg.AssetKey(key) for key in keys] if keys else None
    config = {"ops": {"downstream": {"config": {"answer": 42}}}}
    result = job.execute_in_process(
        instance=instance, run_config=config, tags={"team": "data"}, asset_selection=selection
    )
    assert result.success
    return result.run_id


@pytest.mark.covers("defer.downstream-in-job")
def test_skipped_assets_are_materialized_once_with_the_tags_and_config_of_the_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver, job = case(sandbox, instance)
    run_id = launch(job, instance)
    logged = "\n".join(entry.user_message for entry in instance.all_logs(run_id))
    assert "skips downstream, last, which are downstream" in logged
    assert not materializations(instance, "downstream")
    driver.ticks(clock, 15)
    [record] = materializations(instance, "downstream")
    assert record.asset_materialization.metadata["answer"].value == 42
    assert len(materializations(instance, "last")) == len(materializations(instance, "unrelated")) == 1
    [continued] = driver.runs
    assert continued.dagster_run.tags["dagster_runs/continues"] == run_id
    assert continued.dagster_run.tags["team"] == "data"


def test_only_what_the_run_had_selected_is_continued(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver, job = case(sandbox, instance)
    launch(job, instance, ["it", "downstream"])
    driver.ticks(clock, 15)
    assert len(materializations(instance, "downstream")) == 1
    assert not materializations(instance, "last")


def test_failed_blocking_gate_holds_back_the_rest(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver, job = case(sandbox, instance, FAILING)
    launch(job, instance)
    driver.ticks(clock, 15)
    assert len(materializations(instance, "it")) == 1
    assert not driver.runs


def test_both_runs_are_continued_if_the_second_was_queued(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver, job = case(sandbox, instance)
    first, second, third = (launch(job, instance) for _ in range(3))
    driver.ticks(clock, 40)
    continued = [run.dagster_run.tags.get("dagster_runs/continues") for run in driver.runs]
    assert sorted(filter(None, continued)) == sorted([first, second, third])
    assert sandbox.starts(None) == 2


def test_nothing_is_continued_by_default(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    driver, job = case(sandbox, instance, continue_run=False)
    launch(job, instance)
    driver.ticks(clock, 15)
    assert len(materializations(instance, "it")) == 1
    assert not driver.runs


def test_continue_run_without_jobs_is_refused() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="continue_run needs jobs"):
        build_completion_sensor([deferred(TESTS)], continue_run=True)
