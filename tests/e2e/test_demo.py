"""The demo command: invalid options, and cleanup when it stops."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from ui_demo import ROOT, RunningDemo, demo_environment, running_demo, wait_for

from demo.network import free_port


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=demo_environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def processes_of(groups: set[int]) -> list[str]:
    """Returns the processes of these groups, without zombies."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [" ".join(row) for row in rows if int(row[0]) in groups and not row[1].startswith("Z")]


def groups_of(demo: RunningDemo) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,pgid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    return {group for parent, group in pairs if parent == demo.process.pid} - {os.getpgrp()}


def test_stopping_the_demo_during_a_run_leaves_no_processes(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        demo.launch("user_features")
        wait_for(lambda: demo.sandbox.starts("rudderstack") == 1)
        groups = groups_of(demo)
        assert len(groups) == 2, "the sandbox's and Dagster's"
        assert len(processes_of(groups)) > 5
    assert demo.process.returncode == 0
    assert processes_of(groups) == []

    # The run that was active has no process left, so it must not appear active.
    with running_demo(tmp_path) as again:
        assert again.active_runs() == []


def test_port_in_use_is_rejected_with_a_hint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = run("demo", "--port", str(port), "--home", str(tmp_path))
    assert refused.returncode == 1
    assert f"Port {port} is in use" in refused.stderr
    assert f"make demo PORT={port + 1}" in refused.stderr


def test_home_in_use_is_rejected(session_demo: RunningDemo, session_home: Path) -> None:
    refused = run("demo", "--port", str(free_port()), "--home", str(session_home))
    assert refused.returncode == 1
    assert "Another demo is using" in refused.stderr


def test_materialize_prints_the_outcome_of_every_asset() -> None:
    done = run("demo.materialize", "--speed", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    for message in (
        "blocked by",
        "0.8713",
        "✗ tests_passed (ERROR, blocking)",
        "✓ run_status",
        "✗ testgen__tests (ERROR, blocking)",
        "15 of 18 assets",
    ):
        assert message in done.stdout
