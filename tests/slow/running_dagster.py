"""A process of Dagster with a web server, as a person starts it, and what its web server says about a project."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE = 120.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LOCATION = """
{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
  __typename ... on PythonError { message }
} } } } assetNodes { assetKey { path } } }
"""


@dataclass(frozen=True)
class Loaded:
    """A code location that is loaded.

    Attributes:
        assets: The keys of its assets.
        seconds: The time from the start of the process.
        output: What the process has written so far.
    """

    assets: set[str]
    seconds: float
    output: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def loaded(*command: str, folder: Path, log: Path, environment: Mapping[str, str]) -> Iterator[Loaded]:
    """Starts the process with a free port, and waits until its code location is loaded."""
    port, begun = free_port(), time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not (found := _location(port)):
            running = process.poll() is None and time.monotonic() < begun + _PATIENCE
            assert running, log.read_text()
            time.sleep(0.2)
        yield Loaded(found, time.monotonic() - begun, _text(log))
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _location(port: int) -> set[str]:
    """Returns the keys of the assets; none while the code location is being loaded."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": _LOCATION}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with _NO_PROXY.open(request, timeout=_PATIENCE) as answer:
            data: Any = json.load(answer)["data"]
    except OSError:
        return set()
    for entry in data["workspaceOrError"]["locationEntries"]:
        result = entry["locationOrLoadError"]
        assert result is None or result["__typename"] == "RepositoryLocation", result
    return {"/".join(node["assetKey"]["path"]) for node in data["assetNodes"]}


def _text(log: Path) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", log.read_text())
