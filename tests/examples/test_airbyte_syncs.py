"""The example vendor of docs/vendor-airbyte.md, with real Dagster, against a simulated Airbyte over HTTP."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from pydantic import ValidationError

from dagster_runs import build_completion_sensor, build_observation_sensor, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from examples import airbyte_syncs
from examples.airbyte_syncs import AirbyteJobRun, AirbyteResource
from examples.stand_ins.airbyte import CLIENT_ID, CLIENT_SECRET, CONNECTION, OTHER_CONNECTION, WORKSPACE
from tests.examples.example_files import check_definitions, check_imports, check_length, check_page
from tests.examples.listing import check_unreadable_entry
from tests.remote_run.materializing import checks, entries, failure, metadata
from tests.remote_run.reexecuting import at_pause, signalled, terminate
from tests.sensors.driving import Driver, materializations, observed_failures, reported

pytestmark = pytest.mark.usefixtures("clock")

EXAMPLE = Path(airbyte_syncs.__file__)
RETRIES = dg.RetryPolicy(max_retries=2)
SYNC = AirbyteJobRun(connection_id=CONNECTION, workspace_id=WORKSPACE)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def connected(sandbox: Sandbox, **settings: Any) -> dict[str, AirbyteResource]:
    settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "max_retries": 0, **settings}
    return {"airbyte": AirbyteResource(base_url=f"{sandbox.url}/airbyte/v1", **settings)}


def materialize(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    run: AirbyteJobRun = SYNC,
    *,
    resources: Any = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [build_remote_run_asset(run, key="orders", **options)],
        resources=resources or connected(sandbox),
        instance=instance,
        raise_on_error=False,
    )


def calls(sandbox: Sandbox, method: str, path: str) -> int:
    return sum(one.method == method and one.path.endswith(path) for one in sandbox.requests("airbyte"))


def test_example_imports_only_the_sdk() -> None:
    check_imports(EXAMPLE)


def test_example_has_fewer_than_130_lines_of_code() -> None:
    check_length(EXAMPLE)


def test_page_shows_parts_of_the_example_unchanged() -> None:
    check_page("vendor-airbyte.md", EXAMPLE, at_least=5)


def test_definitions_on_the_page_can_be_loaded() -> None:
    check_definitions("vendor-airbyte.md")


def test_successful_sync_has_metadata_a_link_and_a_check(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    result = materialize(sandbox, instance, SYNC.with_fields({"min_rows": 1000}))
    assert result.success
    assert {name: check.passed for name, check in checks(result).items()} == {
        "run_status": True,
        "has_enough_rows": True,
    }
    [job] = sandbox.runs("airbyte")
    assert job.body == {"connectionId": CONNECTION, "jobType": "sync"}
    shown = metadata(instance, "orders")
    assert (shown["airbyte/rows"], shown["airbyte/bytes"]) == (1200, 76_800)
    assert shown["dagster_runs/run_id"] == job.id
    assert shown["dagster_runs/duration_seconds"] == pytest.approx(10.0, abs=1.0)
    page = f"https://cloud.airbyte.com/workspaces/{WORKSPACE}/connections/{CONNECTION}/timeline"
    assert shown["dagster_runs/url"] == page


@pytest.mark.parametrize(
    ("rows", "min_rows", "expected"),
    [
        (0, 0, (True, ERROR)),
        (0, 1, (False, ERROR)),
        (99, 100, (False, ERROR)),
        (100, 100, (True, ERROR)),
        (None, 1, (False, WARN)),
        (None, 0, (False, WARN)),
    ],
)
def test_too_few_rows_fail_the_check_but_not_the_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, rows: int | None, min_rows: int, expected: Any
) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(rows=rows))
    result = materialize(sandbox, instance, SYNC.with_fields({"min_rows": min_rows}))
    assert result.success
    check = checks(result)["has_enough_rows"]
    assert (check.passed, check.severity) == expected


def test_failed_sync_fails_the_step(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(outcome="fail"))
    result = materialize(sandbox, instance)
    assert "ended with status failed" in failure(result)
    assert {name: check.passed for name, check in checks(result).items()} == {"run_status": False}


def test_attempt_that_airbyte_tries_again_is_still_active(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(hold="incomplete", hold_seconds=300))
    assert materialize(sandbox, instance).success


def test_reset_is_another_kind_of_job(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    assert materialize(sandbox, instance, SYNC.with_fields({"job_type": "reset"})).success
    assert sandbox.runs("airbyte")[0].kind == "reset"


@pytest.mark.parametrize("fields", [{"connection_id": "orders"}, {"job_type": "clear"}, {"min_rows": -1}])
def test_invalid_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AirbyteJobRun.model_validate({"connection_id": CONNECTION, **fields})


def test_termination_cancels_the_sync(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
    with at_pause(sandbox, lambda: terminate(instance)):
        result = materialize(sandbox, instance, retry_policy=RETRIES)
    assert "the Dagster run was terminated" in failure(result)
    [job] = sandbox.runs("airbyte")
    assert job.state == "cancelled"


def test_sync_that_ends_before_the_cancellation_arrives_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))

    def finish_and_terminate() -> None:
        sandbox.advance(3600)
        terminate(instance)

    with at_pause(sandbox, finish_and_terminate):
        result = materialize(sandbox, instance)
    assert sandbox.runs("airbyte")[0].state == "succeeded"
    assert "the Dagster run was terminated" in failure(result)
    assert "ended with status succeeded" in failure(result)


def test_retry_after_an_interruption_attaches(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(running_seconds=600))
    with at_pause(sandbox, signalled):
        result = materialize(sandbox, instance, retry_policy=RETRIES)
    assert result.success
    assert sandbox.starts("airbyte") == 1
    assert metadata(instance, "orders")["dagster_runs/attached"] is True


@pytest.mark.parametrize("kind", ["lost_response", "status_after", "truncated", "not_json"])
def test_lost_response_to_a_start_finds_the_job_by_its_time(
    sandbox: Sandbox, instance: dg.DagsterInstance, kind: Any
) -> None:
    for _ in range(3):  # earlier jobs, and one of another connection at the same time
        sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
        sandbox.advance(1000)
    sandbox.start_run(OTHER_CONNECTION, vendor="airbyte", source="scheduler")
    sandbox.add_fault(Fault(kind, method="POST", path="/jobs$", times=1))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("airbyte") == 1
    [job] = [job for job in sandbox.runs("airbyte") if job.source == "api"]
    assert metadata(instance, "orders")["dagster_runs/run_id"] == job.id


def test_start_that_never_arrived_is_sent_again(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", path="/jobs$", times=1, processed=False))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("airbyte") == 1
    assert "not_started" in entries(instance, "orders")


def test_job_without_a_start_time_is_not_assumed_to_be_ours(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", path="/jobs$", times=1))
    sandbox.add_fault(Fault("missing_field", method="GET", path="/jobs$", field="data.0.startTime"))
    result = materialize(sandbox, instance)
    assert "it is unknown whether one of these runs is ours" in failure(result)
    assert sandbox.starts("airbyte") == 1


def test_start_waits_for_a_sync_that_dagster_did_not_start(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    other = sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
    assert materialize(sandbox, instance).success
    assert sandbox.starts("airbyte") == 1
    assert metadata(instance, "orders")["dagster_runs/run_id"] != other.id
    assert calls(sandbox, "POST", "/jobs") > 1


def test_conflict_fails_the_step_if_the_user_wants_that(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
    result = materialize(sandbox, instance, on_conflict="fail")
    assert f"A sync is already running for: {CONNECTION}" in failure(result)
    assert sandbox.starts("airbyte") == 0


def test_outage_does_not_fail_the_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("status", method="GET", status=502, times=5))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("airbyte") == 1


def test_unknown_status_is_not_a_success(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", method="GET", state="archived", ended=True))
    result = materialize(sandbox, instance)
    assert "ended in an undocumented state: 'archived'" in failure(result)


def test_token_is_renewed_before_it_expires(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(running_seconds=7200))
    before = calls(sandbox, "POST", "/applications/token")
    assert materialize(sandbox, instance, resources=connected(sandbox, poll_interval=100)).success
    renewals = calls(sandbox, "POST", "/applications/token") - before
    assert 7 <= renewals <= 12
    assert all(one.status != 401 for one in sandbox.requests("airbyte"))


def test_token_that_expires_early_is_renewed_after_a_401(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("expired_token", method="POST", path="/jobs$", times=1))
    sandbox.add_fault(Fault("expired_token", method="GET", times=1))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("airbyte") == 1


def test_wrong_secret_fails_without_the_secret(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    secret = "another-secret-5678"
    result = materialize(sandbox, instance, resources=connected(sandbox, client_secret=secret))
    assert "The client id or the client secret is wrong" in failure(result)
    assert secret not in "\n".join(str(event) for event in instance.all_logs(result.run_id))
    assert secret not in repr(connected(sandbox, client_secret=secret))


def test_neither_the_secret_nor_a_token_appears_in_events(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("echo_secret", method="GET", times=1))
    sandbox.add_fault(Fault("echo_secret", method="POST", path="/jobs$", times=1))
    result = materialize(sandbox, instance, retry_policy=RETRIES)
    events = "\n".join(str(event) for event in instance.all_logs(result.run_id))
    assert CLIENT_SECRET not in events
    assert "sandbox-airbyte-token" not in events


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
def test_deferred_sync_is_reported_by_the_completion_sensor(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, outcome: Any
) -> None:
    sandbox.set_behavior(CONNECTION, Behavior(outcome=outcome, running_seconds=90))
    asset = build_remote_run_asset(SYNC, key="orders", wait="defer")
    assert materialize(sandbox, instance, wait="defer").success
    driver = Driver(build_completion_sensor([asset]), [asset], None, instance, resources=connected(sandbox))
    driver.ticks(clock, 8, every=30)
    assert sandbox.starts("airbyte") == 1
    assert len(materializations(instance, "orders")) == (outcome == "succeed")
    assert [run.success for run in driver.runs] == ([] if outcome == "succeed" else [False])


def test_jobs_that_dagster_did_not_start_are_observed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = build_remote_run_asset(SYNC, key="orders")
    driver = Driver(build_observation_sensor([asset]), [asset], None, instance, resources=connected(sandbox))
    driver.tick()
    sandbox.start_run(OTHER_CONNECTION, vendor="airbyte", source="scheduler")
    good = sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
    driver.ticks(clock, 3, every=60)
    sandbox.set_behavior(CONNECTION, Behavior(outcome="fail"))
    bad = sandbox.start_run(CONNECTION, vendor="airbyte", source="ui")
    driver.ticks(clock, 3, every=60)
    sandbox.start_run(CONNECTION, vendor="airbyte", kind="reset", source="ui")
    driver.ticks(clock, 3, every=60)
    assert reported(instance, "orders") == [good.id]
    assert observed_failures(instance, "orders") == [bad.id]


def test_list_is_read_over_several_pages(sandbox: Sandbox) -> None:
    began = sandbox.now()
    for _ in range(230):
        sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
    listed = list(connected(sandbox)["airbyte"].list_runs(began - 10) or ())
    assert [one.run_id for one in listed] == [run.id for run in sandbox.runs("airbyte")]
    assert calls(sandbox, "GET", "/jobs") == 3


def test_finished_jobs_are_listed_by_their_end(sandbox: Sandbox, clock: SandboxClock) -> None:
    job = sandbox.start_run(CONNECTION, vendor="airbyte", source="scheduler")
    sandbox.set_behavior(OTHER_CONNECTION, Behavior(running_seconds=9999))
    sandbox.start_run(OTHER_CONNECTION, vendor="airbyte", source="scheduler")
    clock.sleep(1000)
    resource = connected(sandbox)["airbyte"]
    assert [one.run_id for one in resource.list_finished(sandbox.now() - 1000) or ()] == [job.id]
    assert list(resource.list_finished(sandbox.now() - 100) or ()) == []


@pytest.mark.parametrize("entry", [7, {"id": "", "jobId": ""}])
def test_unreadable_entry_hides_no_other_run_and_is_not_observed(sandbox: Sandbox, entry: Any) -> None:
    check_unreadable_entry(sandbox, "airbyte", CONNECTION, SYNC, connected(sandbox)["airbyte"], entry)


@pytest.mark.parametrize(
    "body", [{}, {"connectionId": CONNECTION}, {"connectionId": "x", "jobType": "sync"}, {"connectionID": CONNECTION}]
)
def test_simulated_server_refuses_undocumented_bodies(sandbox: Sandbox, body: dict[str, Any]) -> None:
    fields = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant-type": "client_credentials"}
    url = f"{sandbox.url}/airbyte/v1"
    token = requests.post(f"{url}/applications/token", json=fields, timeout=10).json()["access_token"]
    response = requests.post(f"{url}/jobs", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert response.status_code == 400
    assert sandbox.starts("airbyte") == 0


def test_simulated_token_expires(sandbox: Sandbox) -> None:
    sandbox.configure("airbyte", token_seconds=60)
    fields = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    url = f"{sandbox.url}/airbyte/v1"
    issued = requests.post(f"{url}/applications/token", json=fields, timeout=10).json()
    assert issued["expires_in"] == 60
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    assert requests.get(f"{url}/jobs", headers=headers, timeout=10).status_code == 200
    sandbox.advance(61)
    assert requests.get(f"{url}/jobs", headers=headers, timeout=10).status_code == 401
