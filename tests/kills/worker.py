"""A run worker in a separate process, with methods to control it and to read its results."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from dagster_runs.sandbox import Sandbox

REPOSITORY = Path(__file__).parents[2]
MAX_WAIT_SECONDS = 120.0
"""Seconds after which a test fails. Importing Dagster alone takes long on a busy machine."""


class Worker:
    """Runs jobs of `code_location`, each in a separate process, with a Dagster instance on disk."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.home = home
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, job: str, *, resumes: str | None = None, asset: str | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Starts a run of the job or of one of its assets, or re-executes a failed run from failure."""
        with self._log(len(self._processes)).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from tests.kills.code_location import work; work{job, resumes, asset}"],
                cwd=REPOSITORY,
                env={**os.environ, "DAGSTER_HOME": str(self.home), "SANDBOX_URL": self.sandbox.url, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def newest_run(self) -> dg.DagsterRun:
        """Returns the newest Dagster run."""
        with self.instance() as instance:
            return instance.get_runs(limit=1)[0]

    def events(self, kind: dg.DagsterEventType) -> list[dg.EventLogEntry]:
        """Returns the newest run's events of this kind."""
        with self.instance() as instance:
            run = instance.get_runs(limit=1)[0]
            return list(instance.all_logs(run.run_id, of_type=kind))

    def step_processes(self) -> list[int]:
        """Returns the ids of the processes that the multiprocess executor started for the newest run's steps."""
        started = [entry.get_dagster_event() for entry in self.events(dg.DagsterEventType.STEP_WORKER_STARTED)]
        return [int(str(event.engine_event_data.metadata["pid"].value)) for event in started]

    def materializations(self, asset: str) -> list[str]:
        """Returns the ids of the remote runs that the asset's materializations report."""
        with self.instance() as instance:
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
        found = [record.asset_materialization for record in records]
        return [str(one.metadata["dagster_runs/run_id"].value) for one in found if one is not None]

    def wait_until(self, has_happened: Callable[[], object]) -> None:
        """Waits until something has happened, and fails if the newest worker exits first."""
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while not has_happened():
            assert self._processes[-1].poll() is None, self.output()
            assert time.monotonic() < deadline, f"this did not happen in time\n{self.output()}"
            time.sleep(0.05)

    def wait_until_active(self, vendor: str) -> None:
        """Waits until a remote run is active and in the ledger, so that the process can be killed."""
        self.wait_until(
            lambda: any(r.path.endswith("/status") or "/jobs/" in r.path for r in self.sandbox.requests(vendor))
        )

    def mark_run_as_failed(self) -> str:
        """Marks the newest run as failed, as Dagster's run monitoring does when the worker is gone."""
        run = self.newest_run()
        with self.instance() as instance:
            instance.report_run_failed(run)
        return run.run_id

    def terminate(self) -> None:
        """Does what the UI's *Terminate* does with the default launcher: marks the run, then signals its worker."""
        run = self.newest_run()
        with self.instance() as instance:
            instance.report_run_canceling(run)
        self._processes[-1].send_signal(signal.SIGTERM)

    def output(self) -> str:
        """Returns the last part of the newest worker's output."""
        return self._log(len(self._processes) - 1).read_text()[-3000:]

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _log(self, number: int) -> Path:
        return self.home / f"worker{number}.log"
