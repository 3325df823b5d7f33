"""The example vendor of docs/vendor-dbt-cloud.md, with real Dagster, against a simulated dbt Cloud over HTTP."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from pydantic import ValidationError

from dagster_runs import build_completion_sensor, build_observation_sensor, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from examples import dbt_cloud_jobs
from examples.dbt_cloud_jobs import DbtCloudJobRun, DbtCloudResource, Step
from examples.stand_ins.dbt_cloud import ACCOUNT, JOB, PROJECT, TOKEN
from tests.examples.example_files import check_definitions, check_imports, check_length, check_page
from tests.examples.listing import check_unreadable_entry
from tests.remote_run.materializing import checks, entries, failure, metadata
from tests.remote_run.reexecuting import at_pause, signalled, terminate
from tests.sensors.driving import Driver, materializations, observed_failures, reported

pytestmark = pytest.mark.usefixtures("clock")

EXAMPLE = Path(dbt_cloud_jobs.__file__)
RETRIES = dg.RetryPolicy(max_retries=2)
STEPS = ("dbt seed", "dbt build", "dbt test")
NIGHTLY = DbtCloudJobRun(job_id=int(JOB), steps=STEPS, project_id=PROJECT)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def connected(sandbox: Sandbox, **settings: Any) -> dict[str, DbtCloudResource]:
    settings = {"account_id": ACCOUNT, "token": TOKEN, "max_retries": 0, **settings}
    return {"dbt_cloud": DbtCloudResource(base_url=f"{sandbox.url}/dbt-cloud", **settings)}


def materialize(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    run: DbtCloudJobRun = NIGHTLY,
    *,
    run_config: Mapping[str, Any] | None = None,
    partition_key: str | None = None,
    resources: Any = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [build_remote_run_asset(run, key="marts", **options)],
        resources=resources or connected(sandbox),
        instance=instance,
        raise_on_error=False,
        run_config=run_config,
        partition_key=partition_key,
    )


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {name: check.passed for name, check in checks(result).items()}


def launched_with(**fields: Any) -> dict[str, Any]:
    return {"ops": {"marts": {"config": fields}}}


def step(command: str, status: int = 10) -> Step:
    return Step(name=f"Invoke dbt with `{command}`", status=status, status_humanized=str(status))


def test_example_imports_only_the_sdk() -> None:
    check_imports(EXAMPLE)


def test_example_has_fewer_than_130_lines_of_code() -> None:
    check_length(EXAMPLE)


def test_page_shows_parts_of_the_example_unchanged() -> None:
    check_page("vendor-dbt-cloud.md", EXAMPLE, at_least=6)


def test_definitions_on_the_page_can_be_loaded() -> None:
    check_definitions("vendor-dbt-cloud.md")


def test_successful_run_has_metadata_a_link_and_a_check_for_each_step(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = materialize(sandbox, instance)
    assert result.success
    assert passed(result) == {"run_status": True, "dbt_seed": True, "dbt_build": True, "dbt_test": True}
    [run] = sandbox.runs("dbt-cloud")
    shown = metadata(instance, "marts")
    assert shown["dagster_runs/run_id"] == run.id
    assert shown["dagster_runs/url"].endswith(f"/dbt-cloud/deploy/{ACCOUNT}/projects/{PROJECT}/runs/{run.id}")
    assert shown["dagster_runs/duration_seconds"] == pytest.approx(8.0, abs=0.01)
    assert shown["dbt_cloud/commit"] == "2f3ebd3c0ffee"
    steps = [record.data["step"] for record in shown["dbt_cloud/steps"].records] if shown else []
    assert steps[0] == "Clone git repository"
    assert steps[-3:] == [f"Invoke dbt with `{command}`" for command in STEPS]


def test_start_sends_the_documented_fields_and_only_those_that_are_set(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    run = NIGHTLY.with_fields({"git_branch": "release", "threads_override": 8, "cause": "Nightly"})
    assert materialize(sandbox, instance, run).success
    [started] = sandbox.runs("dbt-cloud")
    cause = started.body.pop("cause")
    assert started.body == {"git_branch": "release", "threads_override": 8}
    assert cause.endswith(" Nightly")
    assert len(cause.split()[0]) > 30


def test_failed_step_is_named_and_later_steps_only_warn(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(JOB, Behavior(outcome="fail", fails_at=2, error="Database Error in model orders"))
    result = materialize(sandbox, instance)
    assert not result.success
    found = checks(result)
    assert passed(result) == {"run_status": False, "dbt_seed": True, "dbt_build": False, "dbt_test": False}
    assert (found["dbt_build"].severity, found["dbt_build"].description) == (ERROR, "Status: Error")
    assert (found["dbt_test"].severity, found["dbt_test"].description) == (WARN, "Status: not run")
    assert found["run_status"].metadata["error"].value == "Database Error in model orders"


def test_failure_of_a_step_that_dbt_cloud_added_fails_no_step_of_the_job(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(JOB, Behavior(outcome="fail", fails_at=0))
    found = checks(materialize(sandbox, instance, NIGHTLY.with_fields({"steps": ("dbt deps", *STEPS)})))
    assert not found["run_status"].passed
    assert {name: found[name].severity for name in ("dbt_deps", "dbt_seed", "dbt_test")} == {
        "dbt_deps": WARN,
        "dbt_seed": WARN,
        "dbt_test": WARN,
    }


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        (("dbt build --select tag:daily+", "dbt test"), ["dbt_build_select_tag_daily", "dbt_test"]),
        (("dbt run", "dbt test", "dbt run", "dbt run 1"), ["dbt_run", "dbt_test", "dbt_run__1", "dbt_run_1"]),
        ((), []),
    ],
)
def test_checks_have_unique_names_that_do_not_depend_on_the_other_steps(
    commands: tuple[str, ...], names: list[str]
) -> None:
    assert list(DbtCloudJobRun(job_id=1, steps=commands).declared_checks()) == names


def test_repeated_commands_are_judged_in_their_order() -> None:
    run = DbtCloudJobRun(job_id=1, steps=("dbt run", "dbt test", "dbt run"))
    steps = [step("dbt deps"), step("dbt run"), step("dbt test", 20)]
    found = {one.name: one.passed for one in run.outcomes(steps, dbt_cloud_jobs.S.FAILED)}
    assert found == {"dbt_run": True, "dbt_test": False, "dbt_run__1": False}


def test_step_that_a_successful_run_did_not_have_is_an_error(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    result = materialize(sandbox, instance, NIGHTLY.with_fields({"steps": (*STEPS, "dbt snapshot")}))
    found = checks(result)
    assert result.success
    assert (found["dbt_snapshot"].passed, found["dbt_snapshot"].severity) == (False, ERROR)


def test_commands_at_launch_are_judged_by_the_checks_at_their_positions(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(JOB, Behavior(outcome="fail", fails_at=2))
    commands = ["dbt seed --full-refresh", "dbt build --select orders", "dbt test --select orders"]
    result = materialize(sandbox, instance, run_config=launched_with(steps_override=commands))
    assert passed(result) == {"run_status": False, "dbt_seed": True, "dbt_build": False, "dbt_test": False}
    assert sandbox.runs("dbt-cloud")[0].body["steps_override"] == commands


def test_checks_of_commands_that_an_override_leaves_out_only_warn(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = materialize(sandbox, instance, run_config=launched_with(steps_override=["dbt test"]))
    found = checks(result)
    assert result.success
    assert passed(result) == {"run_status": True, "dbt_seed": False, "dbt_build": False, "dbt_test": True}
    assert {found["dbt_seed"].severity, found["dbt_build"].severity} == {WARN}


@pytest.mark.parametrize("steps", [["dbt seed"], ["dbt seed", "dbt build", "dbt run"], [*STEPS, "dbt snapshot"]])
def test_launch_with_other_checks_is_refused_before_the_start(
    sandbox: Sandbox, instance: dg.DagsterInstance, steps: list[str]
) -> None:
    result = materialize(sandbox, instance, run_config=launched_with(steps=steps), retry_policy=RETRIES)
    assert "the asset declares dbt_build, dbt_seed, dbt_test. Nothing was started" in failure(result)
    assert sandbox.starts("dbt-cloud") == 0


def test_placeholder_in_a_judged_step_is_refused_before_the_start(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    days = dg.DailyPartitionsDefinition(start_date="2026-01-01")
    run = DbtCloudJobRun(job_id=int(JOB), steps=("dbt build --vars day:{partition_key}",))
    result = materialize(sandbox, instance, run, partitions_def=days, partition_key="2026-11-03")
    assert "the asset declares dbt_build_vars_day_partition_key. Nothing was started" in failure(result)
    assert sandbox.starts("dbt-cloud") == 0


def test_partition_fills_the_commands_but_not_the_names_of_the_checks(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    days = dg.DailyPartitionsDefinition(start_date="2026-01-01")
    run = DbtCloudJobRun(
        job_id=int(JOB), steps=("dbt build",), steps_override=("dbt build --vars day:{partition_key}",)
    )
    result = materialize(sandbox, instance, run, partitions_def=days, partition_key="2026-11-03")
    assert passed(result) == {"run_status": True, "dbt_build": True}
    assert sandbox.runs("dbt-cloud")[0].body["steps_override"] == ["dbt build --vars day:2026-11-03"]


@pytest.mark.parametrize(
    "fields", [{"job_id": 0}, {"steps": ("run_status",)}, {"steps_override": ()}, {"cause": "x" * 201}]
)
def test_invalid_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DbtCloudJobRun.model_validate({"job_id": 1, **fields})


def test_termination_cancels_the_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(JOB, Behavior(running_seconds=3600))
    with at_pause(sandbox, lambda: terminate(instance)):
        result = materialize(sandbox, instance, retry_policy=RETRIES)
    assert "the Dagster run was terminated" in failure(result)
    [run] = sandbox.runs("dbt-cloud")
    assert run.state == "30"


def test_retry_after_an_interruption_attaches(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(JOB, Behavior(running_seconds=600))
    with at_pause(sandbox, signalled):
        result = materialize(sandbox, instance, retry_policy=RETRIES)
    assert result.success
    assert sandbox.starts("dbt-cloud") == 1
    assert metadata(instance, "marts")["dagster_runs/attached"] is True


@pytest.mark.parametrize("kind", ["lost_response", "status_after", "truncated", "not_json"])
def test_lost_response_to_a_start_finds_the_run_by_its_cause(
    sandbox: Sandbox, instance: dg.DagsterInstance, kind: Any
) -> None:
    for _ in range(2):
        sandbox.start_run(JOB, source="scheduler")
    sandbox.add_fault(Fault(kind, method="POST", times=1))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("dbt-cloud") == 1
    [run] = [run for run in sandbox.runs("dbt-cloud") if run.source == "api"]
    assert metadata(instance, "marts")["dagster_runs/run_id"] == run.id


def test_start_that_never_arrived_is_sent_again(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.start_run(JOB, source="scheduler")
    sandbox.add_fault(Fault("lost_response", method="POST", times=1, processed=False))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("dbt-cloud") == 1
    assert "not_started" in entries(instance, "marts")


def test_lost_start_is_found_behind_many_newer_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    # More than a page of runs are created before the search.
    sandbox.add_fault(Fault("status", method="GET", path="/runs/$", times=2))

    def create_others() -> None:
        for _ in range(120):
            sandbox.start_run(JOB, source="scheduler")

    with at_pause(sandbox, create_others, pause=1):
        assert materialize(sandbox, instance).success
    assert sandbox.starts("dbt-cloud") == 1
    pages = [one for one in sandbox.requests("dbt-cloud") if one.path.endswith("/runs/")]
    assert len(pages) >= 4


def test_second_run_of_an_active_job_is_accepted(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.start_run(JOB, source="scheduler")
    assert materialize(sandbox, instance).success
    assert sandbox.starts("dbt-cloud") == 1


def test_outage_does_not_fail_the_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("status", method="GET", status=502, times=5))
    assert materialize(sandbox, instance).success
    assert sandbox.starts("dbt-cloud") == 1


@pytest.mark.parametrize("state", ["15", "Paused"])
def test_unknown_status_is_not_a_success(sandbox: Sandbox, instance: dg.DagsterInstance, state: str) -> None:
    sandbox.add_fault(Fault("unknown_state", method="GET", state=state, ended=True))
    result = materialize(sandbox, instance)
    assert not result.success
    assert f"ended in an undocumented state: '{state}'" in failure(result)


def test_wrong_token_fails_without_the_token(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    secret = "another-token-5678"
    result = materialize(sandbox, instance, resources=connected(sandbox, token=secret))
    assert not result.success
    assert "Invalid token." in failure(result)
    events = "\n".join(str(event) for event in instance.all_logs(result.run_id))
    assert secret not in events
    assert secret not in repr(connected(sandbox, token=secret))
    assert sandbox.starts("dbt-cloud") == 0


def test_echoed_token_is_redacted(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("echo_secret", method="POST", times=1))
    result = materialize(sandbox, instance)
    assert TOKEN not in "\n".join(str(event) for event in instance.all_logs(result.run_id))


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
def test_deferred_run_is_reported_by_the_completion_sensor(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, outcome: Any
) -> None:
    sandbox.set_behavior(JOB, Behavior(outcome=outcome, fails_at=3, running_seconds=90))
    asset = build_remote_run_asset(NIGHTLY, key="marts", wait="defer")
    assert materialize(sandbox, instance, wait="defer").success
    driver = Driver(build_completion_sensor([asset]), [asset], None, instance, resources=connected(sandbox))
    driver.ticks(clock, 8, every=30)
    assert sandbox.starts("dbt-cloud") == 1
    assert len(materializations(instance, "marts")) == (outcome == "succeed")
    assert newest_checks(instance) == {
        "run_status": outcome == "succeed",
        "dbt_seed": True,
        "dbt_build": True,
        "dbt_test": outcome == "succeed",
    }
    assert [run.success for run in driver.runs] == ([] if outcome == "succeed" else [False])


def newest_checks(instance: dg.DagsterInstance) -> dict[str, bool]:
    found = {}
    for name in ("run_status", "dbt_seed", "dbt_build", "dbt_test"):
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("marts"), name), limit=10
        )
        ended = [record.status.value for record in history if record.status.value in ("SUCCEEDED", "FAILED")]
        if ended:
            found[name] = ended[0] == "SUCCEEDED"
    return found


def test_runs_that_dagster_did_not_start_are_observed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = build_remote_run_asset(NIGHTLY, key="marts")
    driver = Driver(build_observation_sensor([asset]), [asset], None, instance, resources=connected(sandbox))
    driver.tick()
    sandbox.set_behavior(JOB, [Behavior(), Behavior(outcome="fail", fails_at=2)])
    good, bad = sandbox.start_run(JOB, source="scheduler"), sandbox.start_run(JOB, source="ui")
    sandbox.start_run("3002", source="scheduler")  # another job
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "marts") == [good.id]
    assert observed_failures(instance, "marts") == [bad.id]


def test_path_without_its_slash_starts_nothing(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/dbt-cloud/api/v2/accounts/{ACCOUNT}/jobs/{JOB}/run"
    headers = {"Authorization": f"Token {TOKEN}"}
    redirect = requests.post(url, json={"cause": "x"}, headers=headers, allow_redirects=False, timeout=10)
    assert (redirect.status_code, redirect.headers["Location"]) == (301, f"{url}/")
    assert requests.post(url, json={"cause": "x"}, headers=headers, timeout=10).status_code == 405
    assert sandbox.starts("dbt-cloud") == 0


@pytest.mark.parametrize("entry", [7, {"id": "", "jobId": ""}])
def test_unreadable_entry_hides_no_other_run_and_is_not_observed(sandbox: Sandbox, entry: Any) -> None:
    check_unreadable_entry(sandbox, "dbt-cloud", JOB, NIGHTLY, connected(sandbox)["dbt_cloud"], entry)


@pytest.mark.parametrize(
    "body",
    [{}, {"cause": ""}, {"cause": "x" * 256}, {"cause": "x", "steps": []}, {"cause": "x", "threads_override": "8"}],
)
def test_simulated_server_refuses_undocumented_bodies(sandbox: Sandbox, body: dict[str, Any]) -> None:
    url = f"{sandbox.url}/dbt-cloud/api/v2/accounts/{ACCOUNT}/jobs/{JOB}/run/"
    response = requests.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert response.status_code == 400
    assert sandbox.starts("dbt-cloud") == 0
