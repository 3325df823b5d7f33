"""The life of one remote run in one step, from start to end."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_runs.remote_run import ending
from dagster_runs.remote_run.errors import RunTimedOut
from dagster_runs.remote_run.following import Following, Terminated
from dagster_runs.remote_run.start import start_or_attach
from dagster_runs.remote_run.waiting import wait_until_final


def follow(following: Following) -> Iterator[Any]:
    """Start or attach, wait, and yield the asset's events.

    Whatever interrupts it, the remote run is cancelled only if a person or a limit terminated the Dagster run, or the
    user chose so for a timeout; otherwise it goes on, and the next attempt attaches to it.

    Raises:
        RunFailed, RunCanceled, RunLost, RunTimedOut, RunConflict, RunTerminated, StartOutcomeUnknown: As they say.
        VendorError: The vendor refused a call that the run needs.
    """
    try:
        going = start_or_attach(following)
        try:
            status = wait_until_final(following, going)
        except RunTimedOut as error:
            yield from ending.time_out(following, going, error)
            return
        yield from ending.publish(following, going, status)
    except Terminated:
        ending.terminate(following)
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        if following.step.was_terminated(after_signal=True):
            ending.terminate(following)
        following.step.log.warning(
            "This process was told to stop, but the Dagster run was not terminated: a remote run that it started "
            "goes on, and the next attempt attaches to it"
        )
        raise
