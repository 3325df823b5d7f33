"""Identifies processes reliably, although the number of an ended process is soon reused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

Process = tuple[int, str]
"""A pid and when it was born: together they are one process, for all time."""


def born(pid: int) -> str | None:
    """Returns when process ``pid`` was created; None if it does not exist or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        state, born = fields[0], fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        line = subprocess.run(
            ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state, _, born = line.stdout.strip().partition(" ")
    return born.strip() if born and state[0] not in "ZX" else None


def alive(process: Process) -> bool:
    """Whether the process still runs."""
    pid, birth = process
    return born(pid) == birth


# TestGen's worker passes the second signal to its jobs; for PostgreSQL, SIGINT is a fast shutdown.
_REQUESTS = ((signal.SIGTERM, 2), (signal.SIGTERM, 5), (signal.SIGINT, 10), (signal.SIGKILL, 5))


def end(process: Process) -> bool:
    """Ends a process of the server; returns whether it ended without SIGKILL."""
    for number, patience in _REQUESTS:
        if not alive(process):
            return True
        with suppress(ProcessLookupError):
            os.kill(process[0], number)
        deadline = time.monotonic() + patience
        while alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    if alive(process):
        raise TimeoutError(f"process {process[0]} survives even SIGKILL")
    return False
