"""Deliberate faults in the package, each of which the campaign must find."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import dagster as dg

from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.dedupe import ReportedRuns
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.sensor import Completion
from dagster_runs.sensors.run_outcome import RunOutcome
from tests.reconciling import queue_sabotage

VARIABLE = "ENDURANCE_SABOTAGE"


def _forget_what_was_reported() -> list[Any]:
    """A new process treats reported runs as active."""
    return [
        mock.patch.object(DeferredRunIndex, "_mark_reported", return_value=None),
        mock.patch.object(ReportedRuns, "unreported", lambda _, deferred_run: deferred_run.asset_partitions),
    ]


def _trust_the_memory() -> list[Any]:
    """The sensor does not check whether Dagster stored the output of the last tick."""
    refresh = Completion._refresh

    def trusting(self: Completion, cursor: Any, instance: Any, begun: float) -> DeferredRunIndex:
        if self._index is not None:
            self._tick_id = cursor.tick_id
        return refresh(self, cursor, instance, begun)

    return [mock.patch.object(Completion, "_refresh", trusting)]


def _report_failures_as_success() -> list[Any]:
    """Failures are reported as successes."""
    apply_poll = DeferredRun.apply_poll

    def apply_as_success(self: DeferredRun, *given: Any) -> None:
        apply_poll(self, *given)
        if self.phase is Phase.NEEDS_DAGSTER_RUN:
            self.phase = Phase.SUCCEEDED

    return [mock.patch.object(DeferredRun, "apply_poll", apply_as_success)]


def _without_targets() -> list[Any]:
    """Check evaluations do not name their target materialization."""
    made = RunOutcome.evaluations
    fields = ("asset_key", "check_name", "passed", "metadata", "severity", "description", "blocking", "partition")

    def without_targets(self: RunOutcome, *given: Any, **more: Any) -> list[dg.AssetCheckEvaluation]:
        return [
            dg.AssetCheckEvaluation(**{name: getattr(one, name) for name in fields})
            for one in made(self, *given, **more)
        ]

    return [mock.patch.object(RunOutcome, "evaluations", without_targets)]


def _forget_the_checks() -> list[Any]:
    """The second phase of a report is missing: only the materialization is reported."""
    return [mock.patch.object(RunOutcome, "evaluations", return_value=[])]


CHOICES: dict[str, Callable[[], list[Any]]] = {
    "forget-what-was-reported": _forget_what_was_reported,
    "trust-the-memory": _trust_the_memory,
    "take-failed-for-good": _report_failures_as_success,
    "without-targets": _without_targets,
    "forget-the-checks": _forget_the_checks,
    **queue_sabotage.CHOICES,
}


@contextmanager
def chosen() -> Iterator[None]:
    """Applies the sabotage that the environment names during the block; usually none."""
    patches = CHOICES[name]() if (name := os.environ.get(VARIABLE)) else []
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
