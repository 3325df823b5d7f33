"""The sandbox as a process of its own, for those vendors whose credentials are not in the environment."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from demo.network import HOST, ask, free_port
from demo.processes import Background, DemoError

URL_VARIABLE = "DAGSTER_RUNS_SANDBOX_URL"
USUAL_PORT = 8099
_STARTS_WITHIN = 20.0


@contextlib.contextmanager
def sandbox(port: int, speed: float, log: Path, stop: threading.Event) -> Iterator[Background | None]:
    """Start a sandbox, if one is needed, and put its address into the environment for `definitions.py` and Dagster.

    Args:
        port: Where, if that is free; else anywhere.
        speed: Of its time.
        log: The file for its output.
        stop: Set when the demo is to stop.

    Yields:
        The process, or None where somebody else's sandbox is used, or none at all.

    Raises:
        DemoError: It does not start, or the one that the environment names does not answer.
    """
    if URL_VARIABLE in os.environ:
        if is_needed() and not _answers(os.environ[URL_VARIABLE]):
            raise DemoError(
                f"{URL_VARIABLE} is {os.environ[URL_VARIABLE]}, and no sandbox answers there. "
                "Unset it, and the demo starts one of its own."
            )
        yield None
        return
    port = free_port(port)
    url = f"http://{HOST}:{port}"
    os.environ[URL_VARIABLE] = url
    if not is_needed():
        yield None
        return
    arguments = ["dagster_runs.sandbox", "--port", str(port), "--speed", str(speed)]
    process = Background("The sandbox", arguments, log)
    try:
        process.wait_until(lambda: _answers(url), seconds=_STARTS_WITHIN, stop=stop)
        yield process
    finally:
        process.stop()


def is_needed() -> bool:
    """Whether any vendor of the code location is a stand-in.

    Loads the code location, so that its complaints are read in the terminal and not only found in the UI.

    Raises:
        DemoError: The code location cannot be loaded.
    """
    import dagster as dg

    try:
        from definitions import SANDBOX_URL, defs
    except dg.DagsterInvalidDefinitionError as error:
        raise DemoError(str(error)) from None
    return any(str(getattr(one, "base_url", "")).startswith(SANDBOX_URL) for one in (defs.resources or {}).values())


def _answers(url: str) -> bool:
    try:
        return bool(ask(f"{url.rstrip('/')}/_sandbox/health")["sandbox"])
    except (OSError, ValueError, KeyError):
        return False
