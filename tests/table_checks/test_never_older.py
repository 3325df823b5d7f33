"""No evaluation is older than the data that it judges, or than the one before it, for any order of events.

Events are materializations, runs, crashes and ticks.

The data that a run of the suite has seen is taken from the sandbox, not from the ledger: a materialization counts as
seen if its data was written before the sandbox accepted the start.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_runs import TableKeys, build_completion_sensor, build_observation_sensor, build_testgen_checks
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock, fast_forward
from dagster_runs.transport.clock import use_clock
from tests.remote_run.materializing import resources_at
from tests.remote_run.reexecuting import AtPause, dies, reexecute
from tests.sensors.driving import DaemonKilled, Driver
from tests.table_checks.suites import RUN, SUITE, add_suite, evaluated, key, needs_split_steps, result

NAMES = ("orders", "customers")
ACTION = st.one_of(
    st.tuples(st.just("materialize"), st.sampled_from(NAMES)),
    st.tuples(
        st.just("execute"), st.sampled_from(["checks", "all"]), st.integers(0, 3), st.sampled_from(["die", *NAMES])
    ),
    st.tuples(st.just("reexecute"), st.integers(0, 3), st.sampled_from(["die", *NAMES])),
    st.tuples(st.just("tick")),
    st.tuples(st.just("lost tick"), st.integers(0, 4)),
    st.tuples(st.just("schedule")),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 20.0])),
)


class World:
    """A code location whose tables note when their data was written, in the sandbox's time."""

    def __init__(self, sandbox: Sandbox, instance: dg.DagsterInstance, *, wait: Any, is_split: bool) -> None:
        self.sandbox, self.instance = sandbox, instance
        self.clock: SandboxClock
        self.written_at: dict[int, float] = {}
        self.failed: tuple[dg.JobDefinition, str] | None = None
        tables = [self._table("orders"), self._table("customers", "orders")]
        add_suite(sandbox, [result("orders"), result("customers", "failed")], running_seconds=5)
        # Only a suite that the refusal does not let block can be split, so that is switched off.
        checks = build_testgen_checks(RUN, tables=TableKeys.from_assets(tables), wait=wait, blocking=is_split)
        build = build_completion_sensor if wait == "defer" else build_observation_sensor
        self.driver = Driver(build([checks]), [], sandbox, instance)
        selections = {
            "checks": dg.AssetSelection.checks(*map(key, NAMES)),
            "all": dg.AssetSelection.assets(*NAMES),
        }
        jobs = [dg.define_asset_job(name, selection=selection) for name, selection in selections.items()]
        self.driver.definitions = dg.Definitions.merge(
            dg.Definitions(
                assets=tables,
                jobs=jobs,
                sensors=[self.driver.sensor],
                resources=resources_at(sandbox.url),
                executor=dg.in_process_executor,
            ),
            checks.definitions(),
        )

    def _table(self, name: str, *deps: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=list(deps), metadata={"dagster/table_name": f"demo.{name}"})
        def written() -> dg.MaterializeResult[Any]:
            return dg.MaterializeResult(metadata={"written_at": self.sandbox.now()})

        return written

    def materialize(self, name: str) -> None:
        written = dg.AssetMaterialization(name, metadata={"written_at": self.sandbox.now()})
        self.instance.report_runless_asset_event(written)

    def _during(self, action: str, pause: int, call: Callable[[], Any]) -> Any:
        """Calls a function, and does something in one of its pauses."""
        then = dies if action == "die" else partial(self.materialize, action)
        clock = AtPause(self.sandbox, then, pause=pause)
        with use_clock(clock):
            return call()

    def perform(self, name: str, *arguments: Any) -> None:
        if name == "materialize":
            self.materialize(*arguments)
        elif name == "execute":
            job_name, pause, action = arguments
            job = self.driver.definitions.resolve_job_def(job_name)
            call = partial(job.execute_in_process, instance=self.instance, raise_on_error=False)
            ran = self._during(action, pause, call)
            self.failed = None if ran.success else (job, ran.run_id)
        elif name == "reexecute" and self.failed is not None:
            pause, action = arguments
            job, parent = self.failed
            steps = [
                str(event.step_key)
                for event in self.instance.all_logs(parent, of_type=dg.DagsterEventType.STEP_FAILURE)
            ]
            ran = self._during(action, pause, partial(reexecute, job, self.instance, parent, steps=steps))
            self.failed = None if ran.success else (job, ran.run_id)
        elif name == "tick":
            self.driver.tick()
        elif name == "lost tick":
            with suppress(DaemonKilled):
                self.driver.tick(lost_after=arguments[0])
        elif name == "schedule":
            self.sandbox.start_run(SUITE, vendor="testgen", kind="run-tests")
        elif name == "wait":
            self.clock.sleep(*arguments)

    def check(self) -> int:
        """Checks all evaluations. Returns how many there are."""
        started = {run.id: run.created_at for run in self.sandbox.runs("testgen")}
        count = 0
        for name in NAMES:
            records = self.instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
            written_at = {
                record.storage_id: record.asset_materialization.metadata["written_at"].value
                for record in records
                if record.asset_materialization is not None
            }
            for one in evaluated(self.instance, key(name)):
                run_id = one.metadata["dagster_runs/run_id"].value
                assert one.target_materialization_data is not None
                target = one.target_materialization_data.storage_id
                # A target that is no materialization is that of a table without any.
                assert written_at.get(target, 0.0) <= started[run_id], (name, run_id)
                assert target in written_at or not [at for at in written_at if at < target]
                count += 1
            by_time = [
                started[one.metadata["dagster_runs/run_id"].value] for one in evaluated(self.instance, key(name))
            ]
            assert by_time == sorted(by_time, reverse=True), name
        return count


@pytest.mark.covers("tables.order")
@pytest.mark.parametrize("wait", ["poll", "defer"])
@pytest.mark.parametrize("is_split", [False, pytest.param(True, marks=needs_split_steps)])
def test_no_evaluation_is_older_than_the_data_it_judges(
    wait: str,
    is_split: bool,
    running_sandbox: Sandbox,
    running_instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dagster_runs.table_checks.builder.refuse_in_step", lambda *_: None)
    monkeypatch.setattr("dagster_runs.table_checks.builder.upstream_problem", lambda *_: None)
    counts: list[int] = []

    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(actions=st.lists(ACTION, min_size=4, max_size=10))
    def run(actions: list[tuple[Any, ...]]) -> None:
        running_sandbox.reset()
        running_instance.wipe()
        world = World(running_sandbox, running_instance, wait=wait, is_split=is_split)
        with fast_forward(running_sandbox) as clock:
            world.clock = clock
            world.driver.tick()
            for action in actions:
                world.perform(*action)
                world.check()
            for _ in range(5):
                clock.sleep(10)
                world.driver.tick()
            counts.append(world.check())

    run()
    assert sum(counts) > 0
