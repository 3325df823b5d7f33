"""The demo's own `DAGSTER_HOME`."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from demo.processes import DemoError

_INSTANCE = """\
# Written anew by every `python -m demo`.
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
    """Make the home ready, for one demo at a time.

    Raises:
        DemoError: Another demo is using it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "in-use").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(
                f"Another demo is using {home}. Stop that one, or give this one a home of its own: --home DIRECTORY"
            ) from None
        (home / "dagster.yaml").write_text(_INSTANCE)
        _close_left_over_runs(home)
        yield home


def _close_left_over_runs(home: Path) -> None:
    """Runs that were going when the demo was last ended have no process any more, and would seem to go on for ever."""
    import dagster as dg

    going = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=going)):
            instance.report_run_canceled(run, "The demo was stopped while this run was going")
