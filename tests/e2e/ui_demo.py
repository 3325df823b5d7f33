"""The demo as users start it, and its GraphQL API for steps that need no browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from dagster_runs.sandbox import Behavior, SandboxClient, SandboxRun, well_known
from demo.network import ask, free_port

ROOT = Path(__file__).resolve().parents[2]
_UP_WITHIN = 90
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_T = TypeVar("_T")

_LOCATIONS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""
_STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_STEPS = "query Steps($run: ID!) { runOrError(runId: $run) { ... on Run { stepStats { stepKey status } } } }"
_LOG = """
query Log($run: ID!) { logsForRun(runId: $run, limit: 1000) { ... on EventConnection { events {
    ... on MessageEvent { message level stepKey }
} } } }
"""
_RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"
_TAGGED = """
query Tagged($tag: String!, $value: String!) { runsOrError(filter: {tags: [{key: $tag, value: $value}]}) {
    ... on Runs { results { runId } }
} }
"""
_ACTIVE = """
{ runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) {
    ... on Runs { results { runId } }
} }
"""
_TERMINATE = """
mutation Terminate($run: String!) {
  terminateRun(runId: $run, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename }
}
"""
_MATERIALIZED = """
query Materialized($run: ID!) { runOrError(runId: $run) { ... on Run {
    assetMaterializations { assetKey { path } }
} } }
"""


@dataclass(frozen=True)
class Asset:
    """An asset of the demo, and the target of its remote run.

    Attributes:
        key: Its key, with slashes.
        vendor: Its vendor in the sandbox.
        target_id: The id of its target in the sandbox.
        partition: One of its days, if it has daily partitions.
    """

    key: str
    vendor: str
    target_id: str
    partition: str | None = None

    def __str__(self) -> str:
        return self.vendor


AMPERITY = Asset("amperity_ingest", "amperity", well_known.AMPERITY_COURIERS, "2026-11-02")
PROPHECY = Asset("customer_360", "prophecy", well_known.PROPHECY_PIPELINE)
RUDDERSTACK = Asset("user_features", "rudderstack", well_known.PROFILES_FEATURES)
SEGMENTFLOW = Asset("welcome_journey", "segmentflow", well_known.SEGMENTFLOW_JOURNEY)
TESTGEN = Asset("testgen/features_quality", "testgen", well_known.SUITE_FEATURES)
FIVE = (AMPERITY, PROPHECY, RUDDERSTACK, SEGMENTFLOW, TESTGEN)
HOURS = 7200.0
"""Longer than anybody waits: such a run goes on until somebody ends it, or the sandbox's time is moved on."""


@dataclass(frozen=True)
class RunningDemo:
    """A running demo."""

    url: str
    sandbox: SandboxClient
    process: subprocess.Popen[str]

    def asset_url(self, *key: str, view: str | None = None) -> str:
        return f"{self.url}/assets/{'/'.join(key)}" + (f"?view={view}" if view else "")

    def run_url(self, run_id: str) -> str:
        return f"{self.url}/runs/{run_id}"

    def launch(self, *keys: str, partition: str | None = None) -> str:
        """Materializes assets (keys with slashes), or everything, and returns the id of the Dagster run."""
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        return self._launch("__ASSET_JOB" if keys else "everything", keys, tags)

    def _launch(
        self,
        job: str,
        keys: Sequence[str] = (),
        tags: Sequence[dict[str, str]] = (),
        config: dict[str, Any] | None = None,
    ) -> str:
        (repository,) = self._ask(_LOCATIONS)["repositoriesOrError"]["nodes"]
        selector: dict[str, Any] = {
            "repositoryLocationName": repository["location"]["name"],
            "repositoryName": repository["name"],
            "jobName": job,
        }
        if keys:
            selector["assetSelection"] = [{"path": key.split("/")} for key in keys]
        params = {
            "selector": selector,
            "runConfigData": json.dumps(config or {}),
            "executionMetadata": {"tags": list(tags)},
        }
        launched = self._ask(_LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def launch_job(self, name: str, config: dict[str, Any]) -> str:
        """Launches a job from the launchpad and returns the id of the Dagster run."""
        return self._launch(name, config=config)

    def runs_with(self, tag: str, value: str) -> list[str]:
        """Returns the Dagster runs with this tag."""
        found = self._ask(_TAGGED, tag=tag, value=value)["runsOrError"]["results"]
        return [run["runId"] for run in found]

    def launch_all(self, assets: Iterable[Asset], behavior: Behavior) -> dict[Asset, str]:
        """Materializes assets in parallel with this behavior, and returns the id of the Dagster run of each."""
        launched = {}
        for asset in assets:
            self.sandbox.set_behavior(asset.target_id, behavior)
            launched[asset] = self.launch(asset.key, partition=asset.partition)
        return launched

    def launched_by(self, act: Callable[[], None]) -> str:
        """Returns the id of the Dagster run that an action in the UI launches."""
        before = self._run_ids()
        act()
        return wait_for(lambda: next(iter(self._run_ids() - before), None))

    def only_remote(self, asset: Asset) -> SandboxRun:
        """Returns the only run of the asset at its vendor."""
        (remote,) = self.sandbox.runs(asset.vendor)
        return remote

    def status(self, run_id: str) -> str:
        return str(self._ask(_STATUS, run=run_id)["runOrError"]["status"])

    def wait_until_ended(self, run_id: str, seconds: float = 120) -> str:
        """Waits for the end of the run and returns its status."""
        return wait_for(lambda: status if (status := self.status(run_id)) in _ENDED else None, seconds)

    def steps(self, run_id: str) -> dict[str, str]:
        """Returns the status of each step."""
        stats = self._ask(_STEPS, run=run_id)["runOrError"]["stepStats"]
        return {one["stepKey"]: one["status"] for one in stats}

    def materialized(self, run_id: str) -> set[str]:
        found = self._ask(_MATERIALIZED, run=run_id)["runOrError"]["assetMaterializations"]
        return {"/".join(one["assetKey"]["path"]) for one in found}

    def log(self, run_id: str) -> str:
        """Returns the log of the run, one line for each event."""
        events = self._ask(_LOG, run=run_id)["logsForRun"]["events"]
        return "\n".join(f"{event['level']} {event['message']}" for event in events if event)

    def wait_until_logged(self, run_id: str, message: str, seconds: float = 120) -> str:
        """Waits for a line in the log of the run that contains this text, and returns the first one."""
        return wait_for(
            lambda: next((line for line in self.log(run_id).splitlines() if message in line), None), seconds
        )

    def pid_of(self, run_id: str, which: Literal["run", "step"]) -> int:
        """Returns the process of the run worker, or of the only step."""
        message = {"run": "Started process for run", "step": "Capturing logs for process"}[which]
        found = re.search(r"pid: (\d+)", self.wait_until_logged(run_id, message))
        assert found is not None
        return int(found[1])

    def active_runs(self) -> list[str]:
        """Returns the Dagster runs that have not ended."""
        return [run["runId"] for run in self._ask(_ACTIVE)["runsOrError"]["results"]]

    def end_all_runs(self) -> None:
        """Terminates active runs without waiting for their steps."""
        for run_id in self.active_runs():
            self._ask(_TERMINATE, run=run_id)

    def _run_ids(self) -> set[str]:
        return {run["runId"] for run in self._ask(_RUNS)["runsOrError"]["results"]}

    def _ask(self, query: str, **variables: Any) -> Any:
        response = ask(f"{self.url}/graphql", {"query": query, "variables": variables}, timeout=60)
        assert "errors" not in response, response
        return response["data"]


@contextmanager
def running_demo(home: Path, *, speed: float = 1.0) -> Iterator[RunningDemo]:
    """Starts `python -m demo` on free ports, waits until it is ready, and stops it like Ctrl-C."""
    port, sandbox_port = free_port(), free_port()
    options = ["--port", port, "--sandbox-port", sandbox_port, "--speed", speed, "--home", home]
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", *map(str, options)],
        cwd=ROOT,
        env={**demo_environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        message = _output_until_ready(process)
        found = re.search(r"^Sandbox +(http://\S+?)/", message, re.MULTILINE)
        assert found is not None, message
        yield RunningDemo(f"http://127.0.0.1:{port}", SandboxClient(found[1]), process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def wait_for(look: Callable[[], _T | None], seconds: float = 60, pause: float = 0.2) -> _T:
    """Calls the function until the result is neither None nor False, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)


def _output_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    message, deadline = "", time.monotonic() + _UP_WITHIN
    for line in process.stdout:  # ends with the process, which has its own timeout
        message += line
        if "Press Ctrl-C to stop everything" in line:
            assert time.monotonic() < deadline, f"the demo took longer than {_UP_WITHIN} s"
            return message
    raise AssertionError(f"the demo did not start:\n{message}")


def demo_environment() -> dict[str, str]:
    """Returns the environment without credentials of real vendors, and without another sandbox or Dagster home."""
    vendors = ("AMPERITY_", "PROPHECY_", "RUDDERSTACK_", "SEGMENTFLOW_", "TESTGEN_")
    return {
        name: value for name, value in os.environ.items() if not name.startswith((*vendors, "SANDBOX_", "DAGSTER_"))
    }
