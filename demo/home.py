"""The demo's own `DAGSTER_HOME`."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from demo.processes import DemoError

_INSTANCE = """\
# Overwritten by every `python -m demo`.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 5
"""


@contextlib.contextmanager
def dagster_home(home: Path) -> Iterator[Path]:
    """Prepares the home directory, which only one demo may use at a time.

    Raises:
        DemoError: Another demo is using the directory.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "in-use").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(
                f"Another demo is using {home}. Stop it, or use another directory for this one: --home DIRECTORY"
            ) from None
        (home / "dagster.yaml").write_text(_INSTANCE)
        _close_left_over_runs(home)
        yield home


def _close_left_over_runs(home: Path) -> None:
    """Marks runs of a previous demo as canceled: they no longer have a process and would appear active forever."""
    import dagster as dg

    active = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=active)):
            instance.report_run_canceled(run, "The demo was stopped while this run was active")
