"""A Dagster web server for a test: runs are launched and terminated through it, the way a person does in the UI."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
  }
}
"""
_RESUME = """
mutation Resume($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
  }
}
"""
_TERMINATE = "mutation Terminate($run: String!) { terminateRun(runId: $run) { __typename ... on Error { message } } }"
_REPOSITORIES = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
  ... on RepositoryLocation { repositories { name } }
  ... on PythonError { message stack }
} } } } }
"""

_PATIENCE = 180.0

# By default a launched run waits for the daemon to take it from the queue.
_INSTANCE = """
telemetry:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
"""


_NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class DagsterUI:
    """A web server, and the instance behind it."""

    url: str
    home: Path
    instance: dg.DagsterInstance

    def launch(self, *asset: str) -> str:
        """Materialize one asset; the id of the Dagster run."""
        return self.launch_job("__ASSET_JOB", [asset])

    def launch_job(self, job: str, assets: Sequence[Sequence[str]], tags: Mapping[str, str] = _NO_TAGS) -> str:
        """Materialize some of a job's assets; the id of the Dagster run."""
        (location,) = self._ask(_REPOSITORIES)["workspaceOrError"]["locationEntries"]
        loaded = location["locationOrLoadError"]
        assert "repositories" in loaded, "".join([loaded["message"], *loaded["stack"]])
        selector = {
            "repositoryLocationName": location["name"],
            "repositoryName": loaded["repositories"][0]["name"],
            "jobName": job,
            "assetSelection": [{"path": asset} for asset in assets],
        }
        metadata = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        params = {"selector": selector, "runConfigData": "{}", "executionMetadata": metadata}
        answer = self._ask(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def re_execute_from_failure(self, run_id: str) -> str:
        """Press "Re-execute from failure"; the id of the new Dagster run."""
        return self.re_execute(run_id, "FROM_FAILURE")

    def re_execute(self, run_id: str, strategy: Literal["FROM_FAILURE", "ALL_STEPS"]) -> str:
        """Press one of the buttons to re-execute; the id of the new Dagster run."""
        params = {"parentRunId": run_id, "strategy": strategy}
        answer = self._ask(_RESUME, params=params)["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Press "Terminate"."""
        answer = self._ask(_TERMINATE, run=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def run_worker(self, run_id: str) -> int | None:
        """The process of the whole run, which is the parent of its steps', once there is one."""
        for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            assert entry.dagster_event is not None
            if "pid" in (metadata := entry.dagster_event.engine_event_data.metadata):
                return int(str(metadata["pid"].value))
        return None

    def wait_until_ended(self, run_id: str, timeout: float = 60) -> dg.DagsterRunStatus:
        """How the run ended."""
        deadline = time.monotonic() + timeout
        while True:
            run = self.instance.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                return run.status
            if time.monotonic() > deadline:
                raise TimeoutError(f"run {run_id} is still {run and run.status}:\n{self.log(run_id)}")
            time.sleep(0.2)

    def log(self, run_id: str) -> str:
        """What the run logged, a line an entry, and why steps failed."""
        lines = []
        for entry in self.instance.all_logs(run_id):
            lines.append(entry.message)
            if entry.dagster_event is not None and entry.dagster_event.is_step_failure:
                lines.append(failure_message(entry.dagster_event))
        return "\n".join(lines)

    def _ask(self, query: str, **variables: object) -> Any:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with _NO_PROXY.open(request, timeout=_PATIENCE) as answer:
            body = json.load(answer)
        assert "errors" not in body, body
        return body["data"]


def failure_message(event: dg.DagsterEvent) -> str:
    """Why a step failed, in the words of what it raised."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None:
        return str(failure.user_failure_data.description)
    return failure.error.to_string() if failure.error is not None else ""


_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def dagster_ui(definitions: Path, home: Path, env: Mapping[str, str]) -> Iterator[DagsterUI]:
    """Serve the file ``definitions`` with the instance in ``home``, or a new one there."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(_INSTANCE)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = home / "webserver.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-f", str(definitions)],
            # The package need not be installed: it is in the root of the repository.
            env={**os.environ, **env, "DAGSTER_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with _NO_PROXY.open(f"http://127.0.0.1:{port}/server_info", timeout=5):
                    break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no Dagster web server:\n{log.read_text()[-4000:]}") from None
                time.sleep(0.1)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield DagsterUI(f"http://127.0.0.1:{port}", home, instance)
    finally:
        server.terminate()
        server.wait(30)
        with suppress(ProcessLookupError):  # a code server whose run workers were killed waits for them for ever
            os.killpg(server.pid, signal.SIGKILL)
