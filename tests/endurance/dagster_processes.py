"""A Dagster code server and daemon, as deployed, which can be killed and restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.processes import ROOT, end_group

_PATIENCE = 120.0


class Service:
    """A long-lived process with a log.

    Args:
        command: The arguments after ``python -m``.
        log: The file of its output.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = [sys.executable, "-m", *command]
        self._log = log
        self._leaders: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Returns the id of its process, if it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._leaders.append(self._process.pid)

    def kill(self) -> None:
        """Sends SIGKILL. The processes that it launched continue."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Kills its remaining processes, including those that it launched."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        for leader in self._leaders:
            end_group(leader)


class Dagster:
    """The code server and the daemon."""

    def __init__(self, folder: Path) -> None:
        self._port = _free_port()
        workspace = folder / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n- grpc_server: {{host: 127.0.0.1, port: {self._port}, location_name: endurance}}\n"
        )
        address = ["--host", "127.0.0.1", "--port", str(self._port)]
        self.code_server = Service(
            ["dagster", "api", "grpc", "--module-name", "tests.endurance.code_location", *address],
            folder / "code_server.log",
        )
        self.daemon = Service(["dagster._daemon", "run", "--workspace", str(workspace)], folder / "daemon.log")

    def __enter__(self) -> Dagster:
        self.code_server.start()
        deadline = time.monotonic() + _PATIENCE
        while not self._listens():
            if self.code_server.pid is None or time.monotonic() > deadline:
                self.code_server.end()
                raise RuntimeError("the code server did not start; see its log")
            time.sleep(0.2)
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.end()
        self.code_server.end()

    @property
    def pids(self) -> list[int]:
        """Returns the ids of the processes that currently run."""
        return [pid for pid in (self.code_server.pid, self.daemon.pid) if pid is not None]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
