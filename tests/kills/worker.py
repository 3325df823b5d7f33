"""A run worker in a process of its own, and what a test does to it and reads of it."""

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
PATIENCE = 120.0
"""Seconds after which a test fails; importing Dagster alone takes long on a busy machine."""


class Worker:
    """Runs jobs of `code_location`, each in a process of its own, with a Dagster instance on disk."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.home = home
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, job: str, *, resumes: str | None = None, asset: str | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Begin a run of the job, or of one asset of it; or re-execute a failed run of it from failure."""
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

    def the_run(self) -> dg.DagsterRun:
        """The newest Dagster run."""
        with self.instance() as instance:
            return instance.get_runs(limit=1)[0]

    def events(self, kind: dg.DagsterEventType) -> list[dg.EventLogEntry]:
        """The newest run's events of this kind."""
        with self.instance() as instance:
            run = instance.get_runs(limit=1)[0]
            return list(instance.all_logs(run.run_id, of_type=kind))

    def step_processes(self) -> list[int]:
        """The processes that the multiprocess executor has started for the newest run's steps."""
        begun = [entry.get_dagster_event() for entry in self.events(dg.DagsterEventType.STEP_WORKER_STARTED)]
        return [int(str(event.engine_event_data.metadata["pid"].value)) for event in begun]

    def materializations(self, asset: str) -> list[str]:
        """The remote runs that the asset's materializations report."""
        with self.instance() as instance:
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
        found = [record.asset_materialization for record in records]
        return [str(one.metadata["dagster_runs/run_id"].value) for one in found if one is not None]

    def until(self, happened: Callable[[], object]) -> None:
        """Wait while the newest worker works."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self._processes[-1].poll() is None, self.said()
            assert time.monotonic() < deadline, f"this did not happen in time\n{self.said()}"
            time.sleep(0.05)

    def until_going(self, vendor: str) -> None:
        """Until a remote run is going and the ledger knows it, so that the process can be killed."""
        self.until(lambda: any(r.path.endswith("/status") or "/jobs/" in r.path for r in self.sandbox.requests(vendor)))

    def write_off(self) -> str:
        """Let the newest run count as failed, as Dagster's run monitoring does once its worker is gone."""
        run = self.the_run()
        with self.instance() as instance:
            instance.report_run_failed(run)
        return run.run_id

    def terminate(self) -> None:
        """What the UI's *Terminate* does with the default launcher: mark the run, then signal its worker."""
        run = self.the_run()
        with self.instance() as instance:
            instance.report_run_canceling(run)
        self._processes[-1].send_signal(signal.SIGTERM)

    def said(self) -> str:
        """The end of what the newest worker has printed."""
        return self._log(len(self._processes) - 1).read_text()[-3000:]

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _log(self, number: int) -> Path:
        return self.home / f"worker{number}.log"
