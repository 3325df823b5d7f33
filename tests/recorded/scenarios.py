"""The scenarios that are recorded. They run with the package of an earlier commit and with the current sandbox.

`python -m tests.recorded.scenarios [SCENARIO …]` prints them as JSON; `tests.recorded.record` starts it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Collection

import dagster as dg

from dagster_runs import build_cancel_job, build_completion_sensor, build_observation_sensor
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.transport.clock import use_clock
from tests.recorded.code_location import DEFERRED, FOLLOW_UP, PROFILES, asset, two_runs
from tests.recorded.events import Json
from tests.recorded.recorder import Recorder, RecorderClock

SCENARIOS: dict[str, Callable[[Recorder], None]] = {}
LONG = Behavior(running_seconds=600)
TARGETS = (
    well_known.PROFILES_FEATURES,
    well_known.PROFILES_SNAKE_CASE,
    well_known.SUITE_CLEAN,
    well_known.SUITE_ORDERS,
    well_known.AMPERITY_COURIERS,
    well_known.SEGMENTFLOW_JOURNEY,
    well_known.PROPHECY_PIPELINE,
)


def scenario(function: Callable[[Recorder], None]) -> Callable[[Recorder], None]:
    """Add a scenario. Its remote runs take ten minutes unless it sets another behavior."""
    SCENARIOS[function.__name__] = function
    return function


def leave_active(recorder: Recorder, name: str, **options: object) -> None:
    """Execute an asset, and let the process die while the remote run is active."""
    recorder.load(asset(name))
    recorder.die_at(5)
    recorder.execute(**options)  # type: ignore[arg-type]
    recorder.snapshot("died")


@scenario
def features_active(recorder: Recorder) -> None:
    leave_active(recorder, "features", config={"rebase_incremental": True, "model_refs": ["models/a"]})


@scenario
def quality_active(recorder: Recorder) -> None:
    leave_active(recorder, "quality", partition_key="north")


@scenario
def customers_active(recorder: Recorder) -> None:
    leave_active(recorder, "customers", partition_key="2026-11-20", config={"run_mode": "refresh"})


@scenario
def customers_range_active(recorder: Recorder) -> None:
    leave_active(recorder, "customers", days=("2026-11-20", "2026-11-22"))


@scenario
def journey_active(recorder: Recorder) -> None:
    leave_active(recorder, "crm/journey")


@scenario
def pipeline_active(recorder: Recorder) -> None:
    leave_active(recorder, "pipeline", config={"branch": "release"})


@scenario
def several_assets_active(recorder: Recorder) -> None:
    leave_active(recorder, "stitched")


@scenario
def attached_active(recorder: Recorder) -> None:
    """A second attempt attaches to the run, and its process dies too."""
    recorder.load(asset("features"))
    recorder.die_at(5)
    first = recorder.execute()
    recorder.die_at(3)
    recorder.reexecute(first)
    recorder.snapshot("died")


@scenario
def named_active(recorder: Recorder) -> None:
    """A step has two runs: the first has ended, the second is active when the process dies."""
    recorder.load(two_runs)
    recorder.sandbox.set_behavior(well_known.PROFILES_SNAKE_CASE, Behavior(queued_seconds=0, running_seconds=1))
    recorder.die_at(6)
    recorder.execute()
    recorder.snapshot("died")


@scenario
def refused(recorder: Recorder) -> None:
    recorder.load(asset("features"))
    recorder.sandbox.add_fault(Fault("status", status=422, method="POST"))
    recorder.execute()
    recorder.snapshot("failed")


@scenario
def lost_and_started_again(recorder: Recorder) -> None:
    """The responses to both starts are lost, and `on_uncertain_start` allows only the second start."""
    recorder.load(asset("features", on_uncertain_start="start_again"))
    recorder.sandbox.add_fault(Fault("lost_response", method="POST", times=2))
    recorder.execute()
    recorder.snapshot("failed")


@scenario
def forgotten(recorder: Recorder) -> None:
    """The vendor no longer knows the first run. The second attempt starts another one, and its process dies."""
    recorder.load(asset("features"))
    recorder.die_at(5)
    first = recorder.execute()
    [lost] = recorder.sandbox.runs()
    recorder.clock.sleep(3600)
    recorder.sandbox.add_fault(Fault("not_found", path=lost.id))
    recorder.die_at(30)
    recorder.reexecute(first)
    recorder.snapshot("died")


@scenario
def failed(recorder: Recorder) -> None:
    recorder.load(asset("features"))
    recorder.sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="no such column"))
    recorder.execute()
    recorder.snapshot("failed")


@scenario
def terminated(recorder: Recorder) -> None:
    recorder.load(asset("orders"))
    recorder.terminate_at(4)
    recorder.execute()
    recorder.snapshot("terminated")


@scenario
def deferred(recorder: Recorder) -> None:
    """Runs of all vendors are deferred. The response to the start of ``orders`` is lost, and its run is found."""
    features, quality, customers, orders, *others = all_of_them = [asset(name, wait="defer") for name in DEFERRED]
    recorder.load(*all_of_them, sensor=build_completion_sensor(all_of_them))
    recorder.execute(features, config={"rebase_incremental": True})
    for region in ("north", "south"):
        recorder.execute(quality, partition_key=region)
    recorder.execute(customers, partition_key="2026-11-20")
    recorder.execute(customers, days=("2026-11-21", "2026-11-23"))
    recorder.sandbox.add_fault(Fault("lost_response", method="POST", target=well_known.SUITE_ORDERS, times=1))
    for other in (orders, *others):
        recorder.execute(other)
    recorder.ticks(10)
    recorder.snapshot("in_flight")


@scenario
def partly_reported(recorder: Recorder) -> None:
    """There are three deferred runs; the first and the last succeed and are reported.

    Snapshots: ``lost``, the daemon dies after it has stored the tick's events and before it stores the cursor;
    ``after_a_tick``, it has stored both; ``reported``, several ticks later.
    """
    orders, quality = asset("orders", wait="defer"), asset("quality", wait="defer")
    recorder.load(orders, quality, sensor=build_completion_sensor([orders, quality]))
    short = Behavior(running_seconds=80)
    recorder.sandbox.set_behavior(well_known.SUITE_ORDERS, short)
    recorder.execute(orders)
    recorder.execute(quality, partition_key="south")
    recorder.sandbox.set_behavior(well_known.SUITE_CLEAN, short)
    recorder.execute(quality, partition_key="north")
    recorder.ticks(7)
    recorder.clock.sleep(60)
    recorder.tick(lost_as="lost")
    recorder.snapshot("after_a_tick")
    recorder.ticks(9)
    recorder.snapshot("reported")


@scenario
def half_a_tick(recorder: Recorder) -> None:
    """A range of three days succeeds, and the daemon dies after it has stored two of the materializations."""
    customers = asset("customers", wait="defer")
    recorder.load(customers, sensor=build_completion_sensor([customers]))
    recorder.sandbox.set_behavior(well_known.AMPERITY_COURIERS, Behavior(running_seconds=30))
    recorder.execute(days=("2026-11-20", "2026-11-22"))
    recorder.ticks(1)
    recorder.clock.sleep(120)
    events = recorder.tick(lost_after=0).asset_events
    evaluations = sum(isinstance(one, dg.AssetCheckEvaluation) for one in events)
    recorder.load(customers, sensor=build_completion_sensor([customers]))
    recorder.tick(lost_after=evaluations + 2)
    recorder.snapshot("died")


def _failing(recorder: Recorder, **options: object) -> None:
    features = asset("features", wait="defer", **options)
    recorder.load(features, sensor=build_completion_sensor([features]))
    failing = Behavior(running_seconds=30, outcome="fail", error="no such column")
    recorder.sandbox.set_behavior(PROFILES.target, [failing, LONG])
    recorder.execute(config={"rebase_incremental": True})
    recorder.ticks(1)
    recorder.clock.sleep(60)


@scenario
def requested(recorder: Recorder) -> None:
    """The Dagster run that is to report a failure waits in the queue."""
    _failing(recorder)
    recorder.snapshot("before")
    recorder.tick(launch=False)
    recorder.snapshot("queued")


@scenario
def published(recorder: Recorder) -> None:
    """The Dagster run that was requested reports the failure, and fails."""
    _failing(recorder)
    recorder.tick()
    recorder.snapshot("published")


@scenario
def tried_again(recorder: Recorder) -> None:
    """The Dagster run that was requested reports the failure, and its retry starts another remote run."""
    _failing(recorder, retry_policy=dg.RetryPolicy(max_retries=1))
    recorder.tick()
    recorder.snapshot("started")


def _defer_orders(recorder: Recorder) -> None:
    orders = asset("orders", wait="defer", retry_policy=dg.RetryPolicy(max_retries=2))
    recorder.load(orders, sensor=build_completion_sensor([orders]), jobs=[build_cancel_job([orders])])
    recorder.execute(orders)
    recorder.ticks(1)


def _cancel(recorder: Recorder) -> None:
    config = {"ops": {"cancel_remote_runs_op": {"config": {"asset": "orders"}}}}
    recorder.execute(job="cancel_remote_runs", run_config=config)


@scenario
def canceling(recorder: Recorder) -> None:
    """A person runs the cancel job, and the vendor does not confirm the cancellation."""
    _defer_orders(recorder)
    recorder.sandbox.add_fault(Fault("status", path="/cancel", status=500))
    _cancel(recorder)
    recorder.snapshot("unconfirmed")


@scenario
def canceled(recorder: Recorder) -> None:
    _defer_orders(recorder)
    _cancel(recorder)
    recorder.snapshot("confirmed")


@scenario
def overdue(recorder: Recorder) -> None:
    """The asset has a timeout of one minute, and the run takes longer."""
    features = asset("features", wait="defer", timeout=60)
    recorder.load(features, sensor=build_completion_sensor([features]))
    recorder.execute()
    recorder.ticks(1)
    recorder.snapshot("in_flight")


@scenario
def followed_up(recorder: Recorder) -> None:
    """A run succeeds and is reported, and the follow-up job is requested.

    Snapshots: ``before`` the run ends; ``lost``, the daemon dies after it has stored the tick's events; ``requested``.
    """
    features, orders = asset("features", wait="defer"), asset("orders")
    job = dg.define_asset_job(FOLLOW_UP, selection=[orders])
    recorder.load(features, orders, sensor=build_completion_sensor([features], job=job), jobs=[job])
    for target in (PROFILES.target, well_known.SUITE_ORDERS):
        recorder.sandbox.set_behavior(target, Behavior(running_seconds=30))
    recorder.execute()
    recorder.ticks(1)
    recorder.snapshot("before")
    recorder.clock.sleep(60)
    recorder.tick(lost_as="lost")
    recorder.ticks(1)
    recorder.snapshot("requested")


@scenario
def observed(recorder: Recorder) -> None:
    """Among external runs, one succeeds, one fails, two are active, and for one the vendor returns no target yet.

    Snapshots: ``lost``, the daemon dies after it has stored the tick's events and before it stores the cursor;
    ``after_a_tick``, it has stored both; ``reported``, several ticks later.
    """
    orders, customers = asset("orders"), asset("customers", partitions_def=None, backfill_policy=None)
    recorder.load(orders, customers, sensor=build_observation_sensor([orders, customers]))
    recorder.tick()
    short = Behavior(running_seconds=30)
    suite, couriers = well_known.SUITE_ORDERS, well_known.AMPERITY_COURIERS
    recorder.sandbox.set_behavior(suite, [short, Behavior(running_seconds=30, outcome="fail"), short, LONG])
    recorder.sandbox.start_run(suite, vendor="testgen", source="ui")
    recorder.sandbox.start_run(suite, vendor="testgen", source="scheduler")
    recorder.execute(orders)
    recorder.sandbox.start_run(suite, vendor="testgen", source="scheduler")
    recorder.sandbox.start_run(couriers, source="schedule")
    recorder.clock.sleep(60)
    delayed = recorder.sandbox.start_run(suite, vendor="testgen", source="ui")
    recorder.sandbox.add_fault(Fault("not_found", path=delayed.id))
    recorder.tick(lost_as="lost")
    recorder.snapshot("after_a_tick")
    recorder.ticks(2)
    recorder.snapshot("reported")


def execute_all(names: Collection[str]) -> Json:
    """Execute some scenarios, or all, and return what they wrote."""
    recorded: Json = {}
    with Sandbox() as sandbox, dg.DagsterInstance.ephemeral() as instance:
        for name in names or SCENARIOS:
            sandbox.reset()
            instance.wipe()
            sandbox.configure("amperity", requests_per_second=None)
            for target in TARGETS:
                sandbox.set_behavior(target, LONG)
            clock = RecorderClock(sandbox)
            with use_clock(clock):
                recorder = Recorder(sandbox, instance, clock)
                SCENARIOS[name](recorder)
                recorded[name] = recorder.recorded()
    return recorded


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    json.dump({"dagster": dg.__version__, "scenarios": execute_all(sys.argv[1:])}, sys.stdout)
