"""Deliberate faults in the package, each of which the harness must find."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import dagster as dg

from dagster_runs import assets
from dagster_runs.remote_run.errors import StartOutcomeUnknown
from dagster_runs.remote_run.execution import outcome, polling
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.remote_run.execution.ledger import LedgerState
from dagster_runs.remote_run.state import RunState, RunStatus
from tests.reconciling import queue_sabotage

VARIABLE = "CHAOS_SABOTAGE"


def _no_ledger() -> list[Any]:
    """The ledger of earlier attempts is ignored."""
    return [mock.patch.object(LedgerState, "newest_start", None)]


def _cancel_on_eviction() -> list[Any]:
    """Each signal counts as a termination."""
    return [mock.patch.object(Step, "was_terminated", lambda step, after_signal=False: after_signal)]


def _report_failures_as_success() -> list[Any]:
    """A failed run is reported as successful."""
    report = outcome.report_outcome

    def report_as_success(execution: RemoteRunExecution, handle: Any, status: RunStatus) -> Any:
        state = RunState.SUCCEEDED if status.state is RunState.FAILED else status.state
        return report(execution, handle, RunStatus(state, status.vendor_status, raw=status.raw))

    return [mock.patch.object(outcome, "report_outcome", report_as_success)]


def _print_a_token() -> list[Any]:
    """A forgotten debugging line prints a token."""
    poll = polling.StepPoller.poll

    def poll_and_print(poller: Any) -> RunStatus | None:
        print(poller._execution.resource.auth().headers(), flush=True)
        return poll(poller)

    return [mock.patch.object(polling.StepPoller, "poll", poll_and_print)]


def _swallow_errors() -> list[Any]:
    """Unknown outcomes of starts are not reported, nor are runs that an attempt left active."""
    run = assets.execute_remote_run

    def quietly(execution: RemoteRunExecution) -> Iterator[Any]:
        try:
            yield from run(execution)
        except StartOutcomeUnknown:
            raise RuntimeError("something went wrong") from None

    return [mock.patch.object(assets, "execute_remote_run", quietly)]


def _take_re_execution_for_fresh() -> list[Any]:
    """A re-execution ignores what the earlier Dagster run has started."""
    return [mock.patch.object(Step, "dagster_run_ids", property(lambda step: [step.dagster_run_id]))]


def _without_targets() -> list[Any]:
    """Check evaluations do not name their target materialization."""
    make = dg.AssetCheckResult.to_asset_check_evaluation
    fields = ("asset_key", "check_name", "passed", "metadata", "severity", "description", "blocking", "partition")

    def without(evaluation: Any) -> Any:
        return dg.AssetCheckEvaluation(**{name: getattr(evaluation, name) for name in fields})

    run = assets.execute_remote_run

    def without_targets(execution: RemoteRunExecution) -> Iterator[Any]:
        for event in run(execution):
            yield without(event) if isinstance(event, dg.AssetCheckEvaluation) else event

    return [
        mock.patch.object(dg.AssetCheckResult, "to_asset_check_evaluation", lambda *given: without(make(*given))),
        mock.patch.object(assets, "execute_remote_run", without_targets),
    ]


CHOICES: dict[str, Callable[[], list[Any]]] = {
    "no-ledger": _no_ledger,
    "cancel-on-eviction": _cancel_on_eviction,
    "failed-is-good": _report_failures_as_success,
    "print-a-token": _print_a_token,
    "swallow-errors": _swallow_errors,
    "re-execution-is-fresh": _take_re_execution_for_fresh,
    "without-targets": _without_targets,
    **queue_sabotage.CHOICES,
}


@contextmanager
def chosen() -> Iterator[None]:
    """Applies the sabotages that the environment names during the block; usually none."""
    with applied(name for name in os.environ.get(VARIABLE, "").split(",") if name):
        yield


@contextmanager
def applied(names: Iterable[str]) -> Iterator[None]:
    """Applies these sabotages during the block."""
    patches: list[Any] = []
    for name in names:
        # One after the other, because some wrap the same function.
        made = CHOICES[name]()
        patches += made
        for patch in made:
            patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
