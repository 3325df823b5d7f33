"""Runs Dagster's UI and daemon with `dagster dev`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from demo.network import HOST, ask, is_free
from demo.processes import Background, DemoError

STARTS_WITHIN = 90.0
_LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries {
    loadStatus
    locationOrLoadError { __typename ... on PythonError { message } }
} } } }
"""


@contextlib.contextmanager
def dagster_ui(port: int, home: Path, stop: threading.Event) -> Iterator[Background]:
    """Starts Dagster and waits until the UI responds and the code location is loaded.

    Raises:
        DemoError: The port is in use, Dagster does not start, or the code location does not load.
    """
    check_port(port)
    url = f"http://{HOST}:{port}"
    arguments = ["dagster", "dev", "-w", "workspace.yaml", "-h", HOST, "-p", str(port)]
    process = Background(
        "Dagster", arguments, home / "dagster.log", env={"DAGSTER_HOME": str(home), "DAGSTER_URL": url}
    )
    try:
        process.wait_until(lambda: _is_loaded(url), seconds=STARTS_WITHIN, stop=stop)
        yield process
    finally:
        process.stop()


def check_port(port: int) -> None:
    """Checks that a port is free.

    Raises:
        DemoError: The port is in use. The message says what to do.
    """
    if not is_free(port):
        raise DemoError(
            f"Port {port} is in use, perhaps by another demo. Stop the process that uses it, or use another port: "
            f"make demo PORT={port + 1}"
        )


def _is_loaded(url: str) -> bool:
    try:
        entries = ask(f"{url}/graphql", {"query": _LOCATIONS})["data"]["workspaceOrError"]["locationEntries"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    for entry in entries:
        found = entry["locationOrLoadError"] or {}
        if found.get("__typename") == "PythonError":
            raise DemoError(f"Dagster cannot load definitions.py: {found['message']}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)
