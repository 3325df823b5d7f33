"""The sandbox's public names of earlier versions, which users' tests may still have."""

import requests

from dagster_runs.sandbox import Behavior, Behaviour, Fault, Sandbox, well_known

SUITE = "8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"


def test_behavior_has_its_earlier_name(sandbox: Sandbox) -> None:
    assert Behaviour is Behavior
    sandbox.set_behaviour(well_known.SUITE_CLEAN, Behaviour(outcome="fail", running_seconds=1))
    run = sandbox.begin_run(well_known.SUITE_CLEAN)
    sandbox.advance(100)
    assert [(one.id, one.state) for one in sandbox.runs("testgen")] == [(run.id, "error")]


def test_add_target_takes_the_earlier_spelling(sandbox: Sandbox) -> None:
    sandbox.add_target("testgen", "test_suite", SUITE, behaviour=Behaviour(outcome="fail", running_seconds=1))
    sandbox.begin_run(SUITE, vendor="testgen")
    sandbox.advance(100)
    assert [run.state for run in sandbox.runs("testgen")] == ["error"]


def test_faults_have_their_earlier_names(sandbox: Sandbox) -> None:
    assert Fault("lost_answer") == Fault("lost_response")  # type: ignore[arg-type]
    assert Fault("unknown_state", word="resting") == Fault("unknown_state", state="resting")
    assert "word" not in Fault("unknown_state", word="resting").as_dict()


def test_recorded_requests_have_their_earlier_names(sandbox: Sandbox) -> None:
    requests.get(f"{sandbox.url}/rudderstack/v2/", timeout=10)
    [request] = sandbox.requests("rudderstack")
    assert (request.at, request.wall_at) == (request.received_at, request.wall_received_at)
    assert sandbox.busiest_second("rudderstack") == sandbox.peak_requests_per_second("rudderstack") == 1


def test_well_known_targets_have_their_earlier_names() -> None:
    assert well_known.PROFILES_SNAKE == well_known.PROFILES_SNAKE_CASE
    assert well_known.TABLE_GROUP_NOWHERE == well_known.TABLE_GROUP_NO_SCHEMA
