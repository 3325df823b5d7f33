"""All ways to re-execute a Dagster run: while its remote run is active or its start uncertain, and afterwards."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from tests.remote_run.dagster_server import Server, dagster_server, queueing_instance
from tests.remote_run.materializing import metadata

pytestmark = pytest.mark.usefixtures("clock")
WAITS = ["poll", "defer"]
RETRY_TAGS = {"dagster/max_retries": "3"}
RETRY_ALL_STEPS_TAGS = {**RETRY_TAGS, "dagster/retry_strategy": "ALL_STEPS"}


@pytest.fixture(scope="module")
def running_server(running_sandbox: Sandbox) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, queueing_instance() as instance:
        patch.setenv("SANDBOX_URL", running_sandbox.url)
        with dagster_server(instance) as server:
            yield server


@pytest.fixture
def server(running_server: Server, sandbox: Sandbox) -> Server:
    sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(running_seconds=3000))
    running_server.instance.wipe()
    return running_server


def execute_by_python(server: Server, wait: str, reexecution: dg.ReexecutionOptions) -> bool:
    from tests.remote_run import reexecution_location

    job = dg.reconstructable(getattr(reexecution_location, f"{wait}_job"))
    with dg.execute_job(job, instance=server.instance, reexecution_options=reexecution) as result:
        return result.success


def by_python_from_failure(server: Server, wait: str, parent: str) -> bool:
    return execute_by_python(server, wait, dg.ReexecutionOptions.from_failure(parent, server.instance))


def by_python_all_steps(server: Server, wait: str, parent: str) -> bool:
    return execute_by_python(server, wait, dg.ReexecutionOptions(parent))


def by_python_selected_steps(server: Server, wait: str, parent: str) -> bool:
    return execute_by_python(server, wait, dg.ReexecutionOptions(parent, step_selection=[wait]))


def by_graphql_from_failure(server: Server, wait: str, parent: str) -> bool:
    return succeeded(server, server.reexecute(parent, "FROM_FAILURE"))


def by_graphql_from_asset_failure(server: Server, wait: str, parent: str) -> bool:
    return succeeded(server, server.reexecute(parent, "FROM_ASSET_FAILURE"))


def by_graphql_all_steps(server: Server, wait: str, parent: str) -> bool:
    return succeeded(server, server.reexecute(parent, "ALL_STEPS"))


def by_graphql_selected_steps(server: Server, wait: str, parent: str) -> bool:
    return succeeded(server, server.reexecute_steps(parent, [wait]))


def by_run_retry(server: Server, wait: str, parent: str) -> bool:
    return succeeded(server, server.retry(parent).run_id)


def succeeded(server: Server, run_id: str) -> bool:
    run = server.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_finished, run.status
    return run.is_success


Reexecute = Callable[[Server, str, str], bool]
PYTHON = [by_python_from_failure, by_python_all_steps, by_python_selected_steps]
RESUMING = [by_graphql_from_failure, by_graphql_from_asset_failure, by_graphql_selected_steps, by_run_retry]


def leave_active(server: Server, sandbox: Sandbox, wait: str, tags: dict[str, str] | None = None) -> str:
    """Return a Dagster run that failed while its remote run is active: recorded in the ledger, or with a lost start."""
    lose_start_response(sandbox, wait)
    parent = server.launch(f"{wait}_job", tags=tags or RETRY_TAGS)
    sandbox.clear_faults()
    assert not succeeded(server, parent)
    [active] = sandbox.runs("testgen")
    assert active.state in ("pending", "claimed", "queued", "running")
    return parent


def lose_start_response(sandbox: Sandbox, wait: str) -> None:
    if wait.startswith("defer"):
        sandbox.add_fault(Fault("lost_response", method="POST"))
        sandbox.add_fault(Fault("status", status=403, path="/projects/"))


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("reexecute", RESUMING, ids=lambda reexecute: reexecute.__name__)
@pytest.mark.covers("retry.selected-steps")
def test_resuming_a_dagster_run_attaches_to_the_active_run(
    reexecute: Reexecute, wait: str, server: Server, sandbox: Sandbox
) -> None:
    parent = leave_active(server, sandbox, wait)
    reexecute(server, wait, parent)
    assert sandbox.starts("testgen") == 1


@pytest.mark.fixes("6.2")
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("reexecute", PYTHON, ids=lambda reexecute: reexecute.__name__)
@pytest.mark.covers("retry.python-api", "retry.python-api-all-steps")
def test_python_api_does_not_start_a_second_run(
    reexecute: Reexecute, wait: str, server: Server, sandbox: Sandbox
) -> None:
    parent = leave_active(server, sandbox, wait)
    reexecute(server, wait, parent)
    assert sandbox.starts("testgen") == 1


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.covers("retry.all-steps")
def test_all_steps_in_the_ui_starts_a_new_run(wait: str, server: Server, sandbox: Sandbox) -> None:
    parent = leave_active(server, sandbox, wait)
    by_graphql_all_steps(server, wait, parent)
    assert sandbox.starts("testgen") == 2


@pytest.mark.fixes("6.2")
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.covers("retry.run-retry-all-steps")
def test_run_retry_of_all_steps_does_not_start_a_second_run(wait: str, server: Server, sandbox: Sandbox) -> None:
    parent = leave_active(server, sandbox, wait, RETRY_ALL_STEPS_TAGS)
    by_run_retry(server, wait, parent)
    assert sandbox.starts("testgen") == 1


def finish_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.advance(3600)
    [run] = sandbox.runs("testgen")
    assert run.state == "completed"


@pytest.mark.parametrize(
    "reexecute",
    [
        pytest.param(by_python_from_failure, marks=pytest.mark.fixes("6.2")),
        pytest.param(by_python_selected_steps, marks=pytest.mark.fixes("6.2")),
        pytest.param(by_graphql_selected_steps, marks=pytest.mark.fixes("6.2")),
        by_graphql_from_failure,
        by_run_retry,
    ],
)
@pytest.mark.covers("retry.python-api")
def test_resuming_after_the_run_finished_reports_its_result(
    reexecute: Reexecute, server: Server, sandbox: Sandbox
) -> None:
    parent = leave_active(server, sandbox, "poll")
    finish_run(sandbox, server.instance)
    assert reexecute(server, "poll", parent)
    assert sandbox.starts("testgen") == 1
    [run] = sandbox.runs("testgen")
    assert metadata(server.instance, "poll")["dagster_runs/run_id"] == run.id


@pytest.mark.parametrize("reexecute", [by_python_all_steps, by_graphql_all_steps])
@pytest.mark.covers("retry.python-api-all-steps")
def test_all_steps_after_the_run_finished_starts_a_new_run(
    reexecute: Reexecute, server: Server, sandbox: Sandbox
) -> None:
    parent = leave_active(server, sandbox, "poll")
    finish_run(sandbox, server.instance)
    reexecute(server, "poll", parent)
    assert sandbox.starts("testgen") == 2


@pytest.mark.parametrize("reexecute", [by_python_selected_steps, by_graphql_selected_steps])
@pytest.mark.covers("retry.selected-steps")
def test_reexecuting_a_successful_step_starts_a_new_run(reexecute: Reexecute, server: Server, sandbox: Sandbox) -> None:
    sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(queued_seconds=0, running_seconds=1))
    parent = server.launch("poll_job")
    assert succeeded(server, parent)
    assert reexecute(server, "poll", parent)
    assert sandbox.starts("testgen") == 2


@pytest.mark.fixes("6.2")
@pytest.mark.parametrize("reexecute", [by_python_all_steps, by_python_selected_steps, by_graphql_selected_steps])
@pytest.mark.covers("retry.selected-steps")
def test_reexecution_attaches_to_an_active_deferred_run(reexecute: Reexecute, server: Server, sandbox: Sandbox) -> None:
    parent = server.launch("defer_job")
    assert succeeded(server, parent)
    assert reexecute(server, "defer", parent)
    assert sandbox.starts("testgen") == 1


@pytest.mark.fixes("6.2")
@pytest.mark.parametrize("strategy", ["FROM_FAILURE", "ALL_STEPS"])
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.covers("retry.backfill-re-executed")
def test_reexecuted_backfill_attaches_to_the_active_run(
    wait: str, strategy: str, server: Server, sandbox: Sandbox
) -> None:
    lose_start_response(sandbox, wait)
    parent = server.backfill(f"{wait}_by_region", ["north"])
    sandbox.clear_faults()
    assert sandbox.starts("testgen") == 1
    runs = len(server.instance.get_runs())
    server.reexecute_backfill(parent, strategy)
    assert len(server.instance.get_runs()) == runs + 1
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("retry.backfill-again")
def test_second_backfill_of_the_same_partition_starts_a_new_run(server: Server, sandbox: Sandbox) -> None:
    server.backfill("poll_by_region", ["north"])
    server.backfill("poll_by_region", ["north"])
    assert sandbox.starts("testgen") == 2


@pytest.mark.covers("retry.command-line")
def test_dagster_command_line_cannot_reexecute_runs() -> None:
    from dagster._cli.job import job_cli

    options: list[Any] = [option for command in job_cli.commands.values() for option in command.params]
    names = {name for option in options for name in option.opts}
    assert "--run-id" in names
    assert not [name for name in names if "parent" in name or "reexec" in name or "retry" in name]
