"""The life of one remote run in one step, from start to end."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_runs.remote_run import ending
from dagster_runs.remote_run.attaching import going_to_finish, is_settled
from dagster_runs.remote_run.errors import RunTimedOut, as_step_failure
from dagster_runs.remote_run.following import Following, Going, Terminated
from dagster_runs.remote_run.interrupts import interrupts_held
from dagster_runs.remote_run.ledger import Entry
from dagster_runs.remote_run.start import start, start_or_attach
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.waiting import wait_until_final
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.errors import VendorError

_logger = logging.getLogger(__name__)
_entered: set[tuple[object, ...]] = set()
"""The ledgers that this process has opened: a second run with the same one would take the first one's result."""


def follow(following: Following) -> Iterator[Any]:
    """Start or attach, wait, and yield the asset's events.

    A deferred run is only started: the completion sensor reports its success, and requests a Dagster run for any other
    end, in whose step this function does the rest.

    Whatever interrupts it, the remote run is cancelled only if a person or a limit terminated the Dagster run, or the
    user chose so for a timeout; otherwise it goes on, and the next attempt attaches to it.

    Raises:
        RunFailed, RunCanceled, RunLost, RunTimedOut, RunConflict, RunTerminated, StartOutcomeUnknown: As they say.
        dagster.Failure: The vendor refused a call for a reason that a retry cannot cure.
        VendorError: A call failed for another reason.
    """
    _enter(following)
    try:
        if is_settled(following):
            return
        going = going_to_finish(following)
        if going is not None:
            following = following.of_deferred(going.run_id)
        else:
            going = start_or_attach(following)
            if following.options.wait == "defer":
                following.step.log.info(
                    "%s goes on; this step ends, and the completion sensor reports how it ends",
                    following.named(going.run_id),
                )
                return
        try:
            status = wait_until_final(following, going)
            while _was_canceled_for_another(following, going, status):
                going = start(following, following.verdict_for_certain())
                status = wait_until_final(following, going)
        except RunTimedOut as error:
            yield from ending.time_out(following, going, error)
            return
        yield from ending.publish(following, going, status)
    except VendorError as error:
        raise as_step_failure(error) from None
    except Terminated:
        with interrupts_held(forget=True):
            ending.terminate(following)
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        with interrupts_held(forget=True):
            if _was_terminated(following):
                ending.terminate(following)
        following.step.log.warning(
            "This process was told to stop, but the Dagster run was not terminated: a remote run that it started "
            "goes on, and the next attempt attaches to it"
        )
        raise


def _was_canceled_for_another(following: Following, going: Going, status: RunStatus) -> bool:
    """Whether the run ended because the terminated step that it was taken over from had canceled it just before.

    The user wants a result from this Dagster run, and no remote run is active: a new one is started.
    """
    if status.state is not RunState.CANCELED or not going.attached or following.step.finishes is not None:
        return False
    if not following.storage.wait_for(lambda: following.ledger.is_canceled_by_other_step(going.run_id)):
        return False
    said = f"The {following.what} was canceled by a Dagster run that was terminated before; starting a new one"
    following.step.log.warning("%s: %s", following.named(going.run_id), said)
    following.storage.wait_for(
        following.prepared_note(Entry.ENDED, said, correlation_id=going.correlation_id, going=going, status=status)
    )
    return True


def _was_terminated(following: Following) -> bool:
    try:
        return following.step.was_terminated(after_signal=True)
    except Exception as error:  # each storage has its own errors
        _logger.warning("Dagster's storage does not tell whether the Dagster run was terminated: %s", error)
        return False


def _enter(following: Following) -> None:
    step = following.step
    ledger = (step.dagster_run_id, step.attempt, step.step_key, *step.asset_keys, step.partition, step.name)
    if ledger in _entered:
        raise dg.DagsterInvariantViolationError(
            f"This step has run {with_article(following.run.label)} already. To run several in one step, give "
            "each call of `run()` its own `name`, so that each is found again after a crash."
        )
    _entered.add(ledger)
