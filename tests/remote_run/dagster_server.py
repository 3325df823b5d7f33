"""Runs Dagster's GraphQL server and daemon in this process, for what the UI, run retries and backfills do."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
from dagster._core.execution.api import execute_run
from dagster._core.test_utils import InProcessCodeLocationOrigin, InProcessTestWorkspaceLoadTarget, instance_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster_graphql.test.utils import execute_dagster_graphql

LOCATION = "tests.remote_run.reexecution_location"
_LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }"""
_REEXECUTE = """mutation ($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }"""
_REEXECUTE_STEPS = """mutation ($params: ExecutionParams!) { launchRunReexecution(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }"""
_BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }"""
_REEXECUTE_BACKFILL = """mutation ($params: ReexecutionParams!) { reexecutePartitionBackfill(reexecutionParams: $params)
    { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }"""


class Server:
    """The server and the daemon, which execute launched runs immediately."""

    def __init__(self, context: WorkspaceProcessContext) -> None:
        self._context = context
        self.instance = context.instance

    def launch(self, job: str, *, tags: Mapping[str, str] | None = None) -> str:
        """Launches a job, and returns the id of the Dagster run."""
        params = {"selector": self._selector(job), "mode": "default", "executionMetadata": {"tags": _tag_list(tags)}}
        return self._query(_LAUNCH, params)["run"]["runId"]

    def reexecute(self, parent: str, strategy: str) -> str:
        """Re-executes a run as the UI does: ``FROM_FAILURE``, ``FROM_ASSET_FAILURE`` or ``ALL_STEPS``."""
        return self._query(_REEXECUTE, {"parentRunId": parent, "strategy": strategy})["run"]["runId"]

    def reexecute_steps(self, parent: str, steps: list[str]) -> str:
        """Re-executes selected steps as the UI does."""
        before = self.instance.get_run_by_id(parent)
        assert before is not None
        tags = {
            "dagster/parent_run_id": parent,
            "dagster/root_run_id": parent,
            "dagster/step_selection": ",".join(steps),
        }
        params = {
            "selector": self._selector(before.job_name),
            "mode": "default",
            "stepKeys": steps,
            "executionMetadata": {"parentRunId": parent, "rootRunId": parent, "tags": _tag_list(tags)},
        }
        return self._query(_REEXECUTE_STEPS, params)["run"]["runId"]

    def retry(self, run_id: str) -> dg.DagsterRun:
        """Retries a failed run that has retries left, as the daemon does, and returns the new run."""
        records = self.instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
        list(consume_new_runs_for_automatic_reexecution(self._context, records, logging.getLogger("daemon")))
        self._execute_launched()
        [newest] = self.instance.get_runs(limit=1)
        assert newest.parent_run_id == run_id
        return newest

    def backfill(self, asset: str, partitions: list[str]) -> str:
        """Launches a backfill of the asset, lets the daemon execute it, and returns its id."""
        key = {"path": [asset]}
        params = {"assetSelection": [key], "partitionNames": partitions}
        return self._execute_backfill(self._query(_BACKFILL, params)["backfillId"])

    def reexecute_backfill(self, parent: str, strategy: str) -> str:
        """Re-executes a backfill as the UI does."""
        params = {"parentRunId": parent, "strategy": strategy}
        return self._execute_backfill(self._query(_REEXECUTE_BACKFILL, params)["backfillId"])

    def _execute_backfill(self, backfill: str) -> str:
        for _ in range(5):
            list(execute_backfill_iteration(self._context, logging.getLogger("daemon")))
            self._execute_launched()
        return backfill

    def _query(self, query: str, params: dict[str, Any]) -> Any:
        result = execute_dagster_graphql(self._context.create_request_context(), query, {"params": params})
        [response] = result.data.values()
        assert response["__typename"].endswith("Success"), response
        self._execute_launched()
        return response

    def _execute_launched(self) -> None:
        queue = self.instance.run_launcher.queue()
        while queue:
            run = queue.pop(0)
            execute_run(recon_job_from_origin(run.job_code_origin), run, self.instance)

    def _selector(self, job: str) -> dict[str, str]:
        context = self._context.create_request_context()
        [location] = context.code_locations
        [repository] = location.get_repositories().values()
        return {"repositoryLocationName": location.name, "repositoryName": repository.name, "jobName": job}


def _tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (tags or {}).items()]


@contextmanager
def queueing_instance() -> Iterator[dg.DagsterInstance]:
    """Creates an instance on disk whose launched runs wait until `Server` executes them in this process."""
    memory = "/dev/shm"
    with TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as directory:
        overrides = {
            "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"},
            "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
            # One database for all runs: creating one for each run would take longer than everything else.
            "event_log_storage": {
                "module": "dagster._core.storage.event_log",
                "class": "ConsolidatedSqliteEventLogStorage",
                "config": {"base_dir": directory},
            },
        }
        with instance_for_test(overrides=overrides, temp_dir=directory) as instance:
            yield instance


@contextmanager
def dagster_server(instance: dg.DagsterInstance) -> Iterator[Server]:
    """Starts the server with its code location, which is loaded in this process."""
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=LOCATION), location_name="tests")
    with WorkspaceProcessContext(instance, InProcessTestWorkspaceLoadTarget(origin)) as context:
        yield Server(context)
