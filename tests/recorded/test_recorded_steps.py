"""Steps of today's version continue from ledger entries that earlier versions wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.recorded.code_location import asset, job_name, location, reexecute, two_runs
from tests.recorded.replay import RECORDINGS, Player, entries_in, recording, replays

ENTRIES = {
    "13aeda3": {"starting", "started", "not_started", "abandoned", "gone", "progress", "cancelling", "ended"},
    "677d052": {"starting", "started", "progress", "step_cancels", "ended"},
}
ACTIVE = {
    "features_active": "features",
    "quality_active": "quality",
    "customers_active": "customers",
    "customers_range_active": "customers",
    "journey_active": "crm/journey",
    "pipeline_active": "pipeline",
    "several_assets_active": "stitched",
}
FOUND = ("quality_active", "customers_active", "customers_range_active")
NOT_FOUND = ("features_active", "pipeline_active", "several_assets_active")
"""The vendors of these offer no way to find a run whose start was lost."""
SOON = Behavior(running_seconds=60)
"""A run that ends so is active at the recorded snapshot, and not for long."""


class Steps:
    """Re-executes recorded Dagster runs from failure."""

    def __init__(self, instance: dg.DagsterInstance, sandbox: Sandbox) -> None:
        self._instance = instance
        self._sandbox = sandbox
        self._starts = 0
        self.error = ""
        """Why the last step failed."""

    def reexecute(self, of: dg.AssetsDefinition, parent: str) -> bool:
        """Whether the new Dagster run succeeds."""
        self._starts = self._sandbox.starts()
        before = self._instance.get_run_by_id(parent)
        assert before is not None
        if not before.is_finished:
            self._instance.report_run_failed(before)  # as run monitoring does
        job = location([of], self._sandbox.url).resolve_job_def(job_name(of))
        run = reexecute(job, self._instance, parent)
        failures = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        self.error = "\n".join(str(one.dagster_event and one.dagster_event.event_specific_data) for one in failures)
        return run.is_success

    @property
    def started(self) -> int:
        """How many remote runs the last re-execution has started."""
        return self._sandbox.starts() - self._starts

    def reported(self, of: dg.AssetsDefinition) -> dict[str, Any]:
        """The metadata with which all of the assets show the same remote run."""
        shown: list[dict[str, Any]] = []
        for key in of.keys:
            [record] = self._instance.fetch_materializations(key, limit=1).records
            assert record.asset_materialization is not None
            shown.append({name: value.value for name, value in record.asset_materialization.metadata.items()})
        assert len({one["dagster_runs/run_id"] for one in shown}) == 1
        return shown[0]


@pytest.fixture
def steps(instance: dg.DagsterInstance, sandbox: Sandbox) -> Steps:
    return Steps(instance, sandbox)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_entries_of_every_kind_are_recorded(path: Path) -> None:
    scenarios = recording(path)["scenarios"].values()
    assert {entry for scenario in scenarios for entry in entries_in(scenario)} >= ENTRIES[path.stem]


@replays(*ACTIVE)
def test_an_active_run_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    of = asset(ACTIVE[scenario])
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == known.remote_runs[0].id
    assert steps.reported(of)["dagster_runs/attached"] is True


@replays("features_active")
def test_a_run_that_has_succeeded_meanwhile_gives_its_result(
    player: Player, steps: Steps, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario)
    clock.sleep(3600)
    of = asset(ACTIVE[scenario])
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays("features_active")
def test_a_run_that_has_failed_meanwhile_is_started_again(
    player: Player, steps: Steps, sandbox: Sandbox, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(outcome="fail"))
    clock.sleep(3600)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1
    assert sandbox.runs()[1].body == known.remote_runs[0].body


@replays("features_active")
def test_a_run_has_the_versions_from_before_its_start(
    player: Player, steps: Steps, instance: dg.DagsterInstance, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    assert steps.reexecute(asset("features"), known.dagster_runs[0]), steps.error
    [record] = instance.fetch_materializations(dg.AssetKey("features"), limit=1).records
    assert record.asset_materialization is not None
    # Without a code version of the asset, Dagster takes the id of the Dagster run. 13aeda3 did not keep it.
    started_by = known.dagster_runs[0] if player.commit != "13aeda3" else record.run_id
    assert (record.asset_materialization.tags or {})["dagster/code_version"] == started_by


@replays("quality_active")
def test_a_run_that_the_vendor_no_longer_knows_is_started_again(
    player: Player, steps: Steps, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario)
    sandbox.add_fault(Fault("not_found", path=known.remote_runs[0].id))
    assert steps.reexecute(asset("quality"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("quality_active")
def test_a_run_of_other_fields_is_not_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    changed = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN, match_schema_name="staging")
    assert steps.reexecute(asset("quality", run=changed), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("attached_active")
def test_a_third_attempt_attaches_to_the_run_that_the_second_attached_to(
    player: Player, steps: Steps, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    of = asset("features")
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays("named_active")
def test_each_of_two_named_runs_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    assert steps.reexecute(two_runs, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(two_runs)["dagster_runs/run_id"] == known.remote_runs[1].id


@replays(*FOUND)
def test_a_run_whose_start_was_lost_is_found(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="starting", ends=SOON)
    of = asset(ACTIVE[scenario])
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays(*NOT_FOUND)
def test_the_outcome_of_a_lost_start_is_unknown_where_the_vendor_cannot_tell(
    player: Player, steps: Steps, scenario: str
) -> None:
    known = player.replay(scenario, up_to="starting")
    assert not steps.reexecute(asset(ACTIVE[scenario]), known.dagster_runs[-1])
    assert steps.started == 0
    assert "StartOutcomeUnknown" in steps.error


@replays("quality_active")
def test_a_start_that_never_reached_the_vendor_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="starting", remote_runs=False)
    assert steps.reexecute(asset("quality"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("journey_active")
def test_a_lost_start_is_sent_again_with_the_same_idempotency_key(player: Player, steps: Steps, scenario: str) -> None:
    run_id = player.send_again(scenario)
    known = player.replay(scenario, up_to="starting", remote_runs=False)
    of = asset("crm/journey")
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == run_id


@replays("refused")
def test_a_start_that_was_refused_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("lost_and_started_again")
def test_a_start_that_was_abandoned_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="abandoned", remote_runs=False)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("lost_and_started_again")
def test_a_second_lost_start_is_not_abandoned(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    assert not steps.reexecute(asset("features", on_uncertain_start="start_again"), known.dagster_runs[-1])
    assert steps.started == 0
    assert "StartOutcomeUnknown" in steps.error


@replays("forgotten")
def test_after_a_run_that_is_gone_another_one_is_started(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="gone", ends=SOON)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("forgotten")
def test_the_run_that_replaced_one_that_is_gone_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    of = asset("features")
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(of)["dagster_runs/run_id"] == known.remote_runs[1].id


@replays("failed", "terminated")
def test_after_a_run_that_has_ended_another_one_is_started(
    player: Player, steps: Steps, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario)
    of = asset({"failed": "features", "terminated": "orders"}[scenario])
    assert steps.reexecute(of, known.dagster_runs[-1]), steps.error
    assert steps.started == 1
    # The ledger has the end of the run, so there is no status call.
    assert not any(known.remote_runs[0].id in request.path for request in sandbox.requests())
