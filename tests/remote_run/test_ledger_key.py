"""Which entries belong to a step's ledger, what an entry says about its writer, and entries of earlier versions."""

from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.transport.clock import use_clock
from tests.remote_run.materializing import PROFILES, PROFILING, TESTS, entry_of, materialize, metadata
from tests.remote_run.reexecuting import ClockOff, dies, execute, features_job, job_with, leave_going, reexecute

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.fixes("6.2")
@pytest.mark.covers("start.op-twice")
def test_op_used_twice_in_a_graph_starts_two_runs(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.op(out=dg.Out(dg.Nothing), ins={"before": dg.In(dg.Nothing)})
    def suite(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any]) -> Any:
        list(testgen.run(context, TESTS))
        yield dg.Output(None)

    @dg.op(out=dg.Out(dg.Nothing))
    def begin() -> None: ...

    @dg.graph_asset
    def both() -> Any:
        return suite(suite(begin()))

    assert materialize([both], sandbox, instance).success
    assert sandbox.starts("testgen") == 2


def entries_of(instance: dg.DagsterInstance, key: str) -> list[LedgerEntry]:
    observed = instance.fetch_observations(dg.AssetKey(key.split("/")), limit=100, ascending=True).records
    return [entry_of(record) for record in observed]


def test_entry_has_step_host_and_execution(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    job, parent = leave_going(sandbox, instance)
    reexecute(job, instance, parent)
    written = entries_of(instance, "features")
    assert {entry.step_key for entry in written} == {"features"}
    assert len({entry.host for entry in written}) == 1
    assert len({entry.execution_id for entry in written}) == 2


@pytest.mark.parametrize("missing", [("step", "host", "execution"), ("step",)])
def test_entries_of_earlier_versions_are_read(
    missing: tuple[str, ...], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
    remote_run = sandbox.start_run(PROFILES.target)

    @dg.asset
    def features(context: dg.AssetExecutionContext) -> None:
        """Writes an entry as an earlier version did, and then fails."""
        old_entry = {
            "entry": "started",
            "at": sandbox.now(),
            "run_id": remote_run.id,
            "correlation_id": "c" * 32,
            "dagster_run_id": context.run.run_id,
            "target": f"RudderStackProfilesRun {PROFILES.target}",
            "deadline": None,
            "fields": None,
            "partition": None,
            "name": "",
            **({} if "host" in missing else {"host": "another", "execution": "another"}),
        }
        context.log_event(
            dg.AssetObservation("features", metadata={"dagster_runs/ledger": dg.MetadataValue.json(old_entry)})
        )
        raise RuntimeError("killed")

    old = dg.Definitions([features], executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()
    parent = execute(old, instance)
    result = reexecute(features_job(sandbox), instance, parent.run_id)
    assert result.success
    assert metadata(instance, "features")["dagster_runs/run_id"] == remote_run.id


def test_entries_match_when_dagster_renames_the_step(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # Two assets have the same op. In a job with both, Dagster gives one of the two steps another name.
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3000))

    @dg.op
    def suite(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any]) -> None:
        list(testgen.run(context, TESTS, timeout=5))

    keys = [dg.AssetKey(["a", "quality"]), dg.AssetKey(["b", "quality"])]
    assets = [dg.AssetsDefinition.from_op(suite, keys_by_output_name={"result": key}) for key in keys]
    resources = sandbox_resources(sandbox.url)
    defs = dg.Definitions(assets, resources=resources, executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    parent = job.execute_in_process(instance=instance, raise_on_error=False)
    assert sandbox.starts("testgen") == 2
    assert {entry.step_key for key in "ab" for entry in entries_of(instance, f"{key}/quality")} == {"suite", "suite_2"}
    for key in keys:
        alone = job.get_subset(asset_selection={key})
        tags = {"dagster/is_asset_resume_retry": "true", "dagster/parent_run_id": parent.run_id}
        run = instance.create_run_for_job(alone, parent_run_id=parent.run_id, root_run_id=parent.run_id, tags=tags)
        execute_run(InMemoryJob(alone), run, instance, raise_on_error=False)
    assert sandbox.starts("testgen") == 2


@pytest.mark.fixes("6.9")
@pytest.mark.parametrize("killed", ["carried out", "never arrived"])
def test_earlier_external_run_is_excluded_when_the_clock_is_the_same(
    killed: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    start_external_run(sandbox)
    with use_clock(KilledInFirstPause(sandbox)):
        job, parent = lose_start(sandbox, instance, was_accepted=killed == "carried out")
        assert reexecute(job, instance, parent).success
    assert len(sandbox.runs("testgen")) == 2
    assert metadata(instance, "remote")["dagster_runs/run_id"] == sandbox.runs("testgen")[1].id


@pytest.mark.parametrize("ahead", [0, 120, -120], ids=["another machine", "clock set forward", "clock set back"])
def test_earlier_external_run_is_ambiguous_when_clocks_differ(
    ahead: int, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    start_external_run(sandbox)
    with use_clock(KilledInFirstPause(sandbox)):
        job, parent = lose_start(sandbox, instance, was_accepted=True)
    clock = AdjustedClock(sandbox, ahead) if ahead else ClockOff(sandbox, 0)
    with use_clock(clock):
        assert not reexecute(job, instance, parent).success
    assert len(sandbox.runs("testgen")) == 2


def start_external_run(sandbox: Sandbox) -> None:
    """Starts a run of the same target outside Dagster, two minutes ago."""
    sandbox.start_run(PROFILING.target, vendor="testgen", source="api")
    sandbox.advance(120)


class KilledInFirstPause(SandboxClock):
    """Kills the process in the first pause, which is before the search for a lost start."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.pauses) == 1:
            dies()


class AdjustedClock(SandboxClock):
    """The clock of the same machine after it was adjusted."""

    def __init__(self, sandbox: Sandbox, by: float) -> None:
        super().__init__(sandbox)
        self._by = by

    def wall(self) -> float:
        return super().wall() + self._by


def lose_start(sandbox: Sandbox, instance: dg.DagsterInstance, *, was_accepted: bool) -> tuple[dg.JobDefinition, str]:
    """Executes a job whose process is killed before it can search for its lost start."""
    sandbox.add_fault(Fault("lost_response" if was_accepted else "reset", method="POST", times=1))
    job = job_with(PROFILING, sandbox)
    result = execute(job, instance)
    assert not result.success
    return job, result.run_id
