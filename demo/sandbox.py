"""Runs the sandbox as a separate process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from demo.network import HOST, ask, free_port
from demo.processes import Background, DemoError

URL_VARIABLE = "DAGSTER_RUNS_SANDBOX_URL"
DEFAULT_PORT = 8099
_STARTS_WITHIN = 20.0


@contextlib.contextmanager
def sandbox(port: int, speed: float, log: Path, stop: threading.Event) -> Iterator[Background | None]:
    """Starts a sandbox, and puts its URL in the environment for `demo/connections.py` and Dagster.

    Args:
        port: The port of the sandbox. If it is in use, a free port is used instead.
        speed: Simulated seconds per real second.
        log: The file for the sandbox's output.
        stop: The event that is set when the demo should stop.

    Yields:
        The process, or None if the environment names an existing one.

    Raises:
        DemoError: The sandbox does not start, or the one that the environment names does not respond.
    """
    if URL_VARIABLE in os.environ:
        if not _responds(os.environ[URL_VARIABLE]):
            raise DemoError(
                f"{URL_VARIABLE} is {os.environ[URL_VARIABLE]}, but no sandbox responds there. "
                "Unset it, and the demo will start its own sandbox."
            )
        yield None
        return
    port = free_port(port)
    url = f"http://{HOST}:{port}"
    os.environ[URL_VARIABLE] = url
    arguments = ["dagster_runs.sandbox", "--port", str(port), "--speed", str(speed)]
    process = Background("The sandbox", arguments, log)
    try:
        process.wait_until(lambda: _responds(url), seconds=_STARTS_WITHIN, stop=stop)
        yield process
    finally:
        process.stop()


def _responds(url: str) -> bool:
    try:
        return bool(ask(f"{url.rstrip('/')}/_sandbox/health")["sandbox"])
    except (OSError, ValueError, KeyError):
        return False
