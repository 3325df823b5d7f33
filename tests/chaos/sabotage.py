"""Faults in the product itself, put in on purpose: the harness has to find each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import dagster as dg

from dagster_runs.remote_run import ending, life, resource, waiting
from dagster_runs.remote_run.errors import StartOutcomeUnknown
from dagster_runs.remote_run.following import Following
from dagster_runs.remote_run.ledger import Ledger
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.step import Step

VARIABLE = "CHAOS_SABOTAGE"


def _no_ledger() -> list[Any]:
    """Nobody reads what earlier attempts did."""
    return [mock.patch.object(Ledger, "last", return_value=None)]


def _cancel_on_eviction() -> list[Any]:
    """Each signal passes for a termination."""
    return [mock.patch.object(Step, "was_terminated", lambda step, after_signal=False: after_signal)]


def _failed_is_good() -> list[Any]:
    """A failed run is reported as a good one."""
    publish = ending.publish

    def publish_as_good(following: Following, going: Any, status: RunStatus) -> Any:
        state = RunState.SUCCEEDED if status.state is RunState.FAILED else status.state
        return publish(following, going, RunStatus(state, status.word, answer=status.answer))

    return [mock.patch.object(ending, "publish", publish_as_good)]


def _print_a_token() -> list[Any]:
    """A debugging line that was forgotten."""
    look = waiting._Watch.look

    def look_and_tell(watch: Any) -> RunStatus | None:
        print(watch._following.resource.auth().headers(), flush=True)
        return look(watch)

    return [mock.patch.object(waiting._Watch, "look", look_and_tell)]


def _swallow_errors() -> list[Any]:
    """A start whose outcome is unknown ends without a word, and so does a run that an attempt left going."""
    follow = life.follow

    def quietly(following: Following) -> Iterator[Any]:
        try:
            yield from follow(following)
        except StartOutcomeUnknown:
            raise RuntimeError("something went wrong") from None

    return [mock.patch.object(resource, "follow", quietly)]


def _take_re_execution_for_fresh() -> list[Any]:
    """A Dagster run that resumes another one does not know what that has started."""
    return [mock.patch.object(Step, "dagster_run_ids", property(lambda step: [step.dagster_run_id]))]


def _without_targets() -> list[Any]:
    """The check evaluations do not name the materialization that they judge."""
    make = dg.AssetCheckResult.to_asset_check_evaluation
    fields = ("asset_key", "check_name", "passed", "metadata", "severity", "description", "blocking", "partition")

    def without(evaluation: Any) -> Any:
        return dg.AssetCheckEvaluation(**{name: getattr(evaluation, name) for name in fields})

    follow = resource.follow

    def following(wanted: Following) -> Iterator[Any]:
        for event in follow(wanted):
            yield without(event) if isinstance(event, dg.AssetCheckEvaluation) else event

    return [
        mock.patch.object(dg.AssetCheckResult, "to_asset_check_evaluation", lambda *given: without(make(*given))),
        mock.patch.object(resource, "follow", following),
    ]


CHOICES: dict[str, Callable[[], list[Any]]] = {
    "no-ledger": _no_ledger,
    "cancel-on-eviction": _cancel_on_eviction,
    "failed-is-good": _failed_is_good,
    "print-a-token": _print_a_token,
    "swallow-errors": _swallow_errors,
    "re-execution-is-fresh": _take_re_execution_for_fresh,
    "without-targets": _without_targets,
}


@contextmanager
def chosen() -> Iterator[None]:
    """Inside the block, the sabotages that the environment names; usually none."""
    names = os.environ.get(VARIABLE, "").split(",")
    patches: list[Any] = []
    for name in filter(None, names):
        # One after the other, as some wrap the same function.
        made = CHOICES[name]()
        patches += made
        for patch in made:
            patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
