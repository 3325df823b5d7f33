"""Steps of the current version continue from ledger entries that earlier versions wrote."""

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
"""A run with this behavior is active at the recorded snapshot, and ends soon after."""


class Steps:
    """Re-executes recorded Dagster runs from failure."""

    def __init__(self, instance: dg.DagsterInstance, sandbox: Sandbox) -> None:
        self._instance = instance
        self._sandbox = sandbox
        self._starts = 0
        self.error = ""
        """Why the last step failed."""

    def reexecute(self, assets_def: dg.AssetsDefinition, parent: str) -> bool:
        """Re-executes a Dagster run from failure, and returns whether the new one succeeds."""
        self._starts = self._sandbox.starts()
        before = self._instance.get_run_by_id(parent)
        assert before is not None
        if not before.is_finished:
            self._instance.report_run_failed(before)  # as run monitoring does
        job = location([assets_def], self._sandbox.url).resolve_job_def(job_name(assets_def))
        run = reexecute(job, self._instance, parent)
        failures = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        self.error = "\n".join(str(one.dagster_event and one.dagster_event.event_specific_data) for one in failures)
        return run.is_success

    @property
    def started(self) -> int:
        """How many remote runs the last re-execution has started."""
        return self._sandbox.starts() - self._starts

    def reported(self, assets_def: dg.AssetsDefinition) -> dict[str, Any]:
        """Returns the metadata of the newest materialization. All of the assets must show the same remote run."""
        shown: list[dict[str, Any]] = []
        for key in assets_def.keys:
            [record] = self._instance.fetch_materializations(key, limit=1).records
            assert record.asset_materialization is not None
            shown.append({name: value.value for name, value in record.asset_materialization.metadata.items()})
        assert len({one["dagster_runs/run_id"] for one in shown}) == 1
        return shown[0]


@pytest.fixture
def steps(instance: dg.DagsterInstance, sandbox: Sandbox) -> Steps:
    return Steps(instance, sandbox)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_have_entries_of_every_kind(path: Path) -> None:
    scenarios = recording(path)["scenarios"].values()
    assert {entry for scenario in scenarios for entry in entries_in(scenario)} >= ENTRIES[path.stem]


@replays(*ACTIVE)
def test_active_run_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    assets_def = asset(ACTIVE[scenario])
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == known.remote_runs[0].id
    assert steps.reported(assets_def)["dagster_runs/attached"] is True


@replays("features_active")
def test_result_of_a_run_that_succeeded_meanwhile_is_reported(
    player: Player, steps: Steps, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario)
    clock.sleep(3600)
    assets_def = asset(ACTIVE[scenario])
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays("features_active")
def test_new_run_is_started_when_the_earlier_one_failed_meanwhile(
    player: Player, steps: Steps, sandbox: Sandbox, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(outcome="fail"))
    clock.sleep(3600)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1
    assert sandbox.runs()[1].body == known.remote_runs[0].body


@replays("features_active")
def test_materialization_has_the_versions_from_before_the_start(
    player: Player, steps: Steps, instance: dg.DagsterInstance, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    assert steps.reexecute(asset("features"), known.dagster_runs[0]), steps.error
    [record] = instance.fetch_materializations(dg.AssetKey("features"), limit=1).records
    assert record.asset_materialization is not None
    # Without a code version of the asset, Dagster uses the id of the Dagster run. 13aeda3 did not store it.
    started_by = known.dagster_runs[0] if player.commit != "13aeda3" else record.run_id
    assert (record.asset_materialization.tags or {})["dagster/code_version"] == started_by


@replays("quality_active")
def test_new_run_is_started_when_the_vendor_returns_404(
    player: Player, steps: Steps, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario)
    sandbox.add_fault(Fault("not_found", path=known.remote_runs[0].id))
    assert steps.reexecute(asset("quality"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("quality_active")
def test_recorded_run_with_different_fields_is_not_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    changed = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN, match_schema_name="staging")
    assert steps.reexecute(asset("quality", run=changed), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("attached_active")
def test_third_attempt_attaches_to_the_run_that_the_second_attached_to(
    player: Player, steps: Steps, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    assets_def = asset("features")
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays("named_active")
def test_each_of_two_named_runs_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    assert steps.reexecute(two_runs, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(two_runs)["dagster_runs/run_id"] == known.remote_runs[1].id


@replays(*FOUND)
def test_recorded_lost_start_is_found(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="starting", ends=SOON)
    assets_def = asset(ACTIVE[scenario])
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == known.remote_runs[0].id


@replays(*NOT_FOUND)
def test_lost_start_raises_start_outcome_unknown_when_the_vendor_cannot_find_it(
    player: Player, steps: Steps, scenario: str
) -> None:
    known = player.replay(scenario, up_to="starting")
    assert not steps.reexecute(asset(ACTIVE[scenario]), known.dagster_runs[-1])
    assert steps.started == 0
    assert "StartOutcomeUnknown" in steps.error


@replays("quality_active")
def test_start_that_never_reached_the_vendor_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="starting", remote_runs=False)
    assert steps.reexecute(asset("quality"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("journey_active")
def test_recorded_lost_start_is_sent_again_with_the_same_idempotency_key(
    player: Player, steps: Steps, scenario: str
) -> None:
    run_id = player.send_again(scenario)
    known = player.replay(scenario, up_to="starting", remote_runs=False)
    assets_def = asset("crm/journey")
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == run_id


@replays("refused")
def test_refused_start_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("lost_and_started_again")
def test_abandoned_start_is_sent_again(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="abandoned", remote_runs=False)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("lost_and_started_again")
def test_second_lost_start_is_not_abandoned(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario)
    assert not steps.reexecute(asset("features", on_uncertain_start="start_again"), known.dagster_runs[-1])
    assert steps.started == 0
    assert "StartOutcomeUnknown" in steps.error


@replays("forgotten")
def test_new_run_is_started_after_a_run_is_gone(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, up_to="gone", ends=SOON)
    assert steps.reexecute(asset("features"), known.dagster_runs[-1]), steps.error
    assert steps.started == 1


@replays("forgotten")
def test_run_that_replaced_a_gone_run_is_attached_to(player: Player, steps: Steps, scenario: str) -> None:
    known = player.replay(scenario, ends=SOON)
    assets_def = asset("features")
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 0
    assert steps.reported(assets_def)["dagster_runs/run_id"] == known.remote_runs[1].id


@replays("failed", "terminated")
def test_new_run_is_started_after_a_run_has_ended(
    player: Player, steps: Steps, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario)
    assets_def = asset({"failed": "features", "terminated": "orders"}[scenario])
    assert steps.reexecute(assets_def, known.dagster_runs[-1]), steps.error
    assert steps.started == 1
    # The ledger has the entry `ended`, so there is no status call.
    assert not any(known.remote_runs[0].id in request.path for request in sandbox.requests())
