"""The sandbox as a separate process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from dagster_runs.sandbox import SandboxClient
from tests.chaos.timing import SPEED, Anchor

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 30.0


@contextmanager
def sandbox_process(log: Path, speed: float = SPEED) -> Iterator[tuple[SandboxClient, Anchor]]:
    """Yields a sandbox on a free port, and the anchor of its time."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "dagster_runs.sandbox", "--port", "0", "--speed", str(speed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        sandbox = SandboxClient(address_of(process, log))
        # Many processes share the rate limit of one.
        sandbox.configure("amperity", requests_per_second=None)
        yield sandbox, anchor_of(sandbox, speed)
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def address_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Returns the URL that the sandbox logs, once it responds there."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                url = "/".join(word.split("/")[:3])
                with suppress(requests.ConnectionError):
                    SandboxClient(url).health()
                    return url
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the sandbox did not start:\n{log.read_text()}")
        time.sleep(0.05)


def anchor_of(sandbox: SandboxClient, speed: float) -> Anchor:
    """Returns the middle of the quickest of several readings, which is the most exact one."""
    readings = []
    for _ in range(10):
        before = time.time()
        simulated = sandbox.now()
        after = time.time()
        readings.append((after - before, (before + after) / 2, simulated))
    _, real, simulated = min(readings)
    return Anchor(real, simulated, speed)


def end_group(leader: int) -> None:
    """Kills the remaining processes of a process's session."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
