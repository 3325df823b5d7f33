"""Processes of this machine, told apart for certain: the number of one that has ended is soon given to another."""

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
    """When process ``pid`` was born; None if there is none, or only what waits for its parent to look."""
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
    """Whether it still runs."""
    pid, birth = process
    return born(pid) == birth


# TestGen's worker passes the second request on to its jobs; SIGINT is what PostgreSQL calls a fast shutdown.
_REQUESTS = ((signal.SIGTERM, 2), (signal.SIGTERM, 5), (signal.SIGINT, 10), (signal.SIGKILL, 5))


def end(process: Process) -> bool:
    """End a process of ours; whether it took no violence."""
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
