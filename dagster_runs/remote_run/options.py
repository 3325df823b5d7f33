"""The options for a remote run: timeout, quality gate, and what to do in exceptional situations."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from dagster import DagsterInvalidDefinitionError

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.wording import with_article

OnTimeout = Literal["leave", "cancel"]
OnUncertainStart = Literal["fail", "start_again"]
OnConflict = Literal["wait", "fail"]
OnMissingPartition = Literal["fail", "start"]
Wait = Literal["poll", "defer"]
OnInFlight = Literal["queue", "start"]


@dataclass(frozen=True)
class RunOptions:
    """The options for a remote run.

    Attributes:
        gate: The quality gate that judges quality results.
        timeout: The timeout in seconds after the start; ``None`` for the run's own ``default_timeout``.
        on_timeout: What to do with the remote run after a timeout: leave it running, or cancel it.
        on_uncertain_start: What to do if the response to a start is lost and the run cannot be found: fail, or start
            again.
        on_conflict: What to do if another run, which this step did not start, prevents the start: wait until it
            finishes, or fail.
        on_missing_partition: What to do if a partitioned asset is launched without a partition: fail, or start a run.
        wait: Whether the step polls the run until it finishes, or leaves that to the completion sensor.
        backfill_wait: The same for a step in a backfill.
        on_in_flight: What to do if a deferred run of the same asset and partition is in flight: queue the request, or
            start another run at once. ``None`` for the default: to queue deferred runs.
        waits_in_backfill: Whether this step waits because it belongs to a backfill, although the asset's runs are
            deferred otherwise.
        max_in_flight: The maximum number of the asset's deferred runs in flight; ``None`` for no limit.
        rerun_if_upstream_newer: Whether the completion sensor requests another run if an upstream asset was
            materialized while a run was in flight, for an asset with an automation condition.
    """

    gate: QualityGate | None = None
    timeout: float | None = None
    on_timeout: OnTimeout = "leave"
    on_uncertain_start: OnUncertainStart = "fail"
    on_conflict: OnConflict = "wait"
    on_missing_partition: OnMissingPartition = "fail"
    wait: Wait = "poll"
    backfill_wait: Wait = "poll"
    waits_in_backfill: bool = False
    on_in_flight: OnInFlight | None = None
    max_in_flight: int | None = None
    rerun_if_upstream_newer: bool = True

    @property
    def queues(self) -> bool:
        """Whether a request is queued while a run of the same asset and partition is in flight."""
        return self.is_deferred and self.on_in_flight != "start"

    @property
    def is_deferred(self) -> bool:
        """Whether the asset's runs are deferred, except perhaps in backfills."""
        return self.wait == "defer" or self.waits_in_backfill

    def in_backfill(self) -> "RunOptions":
        """Returns the options for a step in a backfill."""
        if self.wait == "poll" or self.backfill_wait == "defer":
            return self
        return replace(self, wait="poll", waits_in_backfill=True)

    def check_for(self, run_class: type[RemoteRun[Any]]) -> None:
        """Checks that the options are valid for this kind of run.

        Raises:
            DagsterInvalidDefinitionError: An option is invalid. The message says which one, and why.
        """
        name = run_class.__name__
        for option, allowed in (
            ("on_timeout", OnTimeout),
            ("on_uncertain_start", OnUncertainStart),
            ("on_conflict", OnConflict),
            ("on_missing_partition", OnMissingPartition),
            ("wait", Wait),
            ("backfill_wait", Wait),
            ("on_in_flight", OnInFlight),
        ):
            if getattr(self, option) not in get_args(allowed) and (option, getattr(self, option)) != _UNSET:
                choices = " or ".join(repr(choice) for choice in get_args(allowed))
                raise DagsterInvalidDefinitionError(f"{option} is {getattr(self, option)!r}; it must be {choices}")
        if self.timeout is not None and not _is_positive(self.timeout):
            raise DagsterInvalidDefinitionError(
                f"timeout is {self.timeout!r}; it must be a number of seconds greater than 0"
            )
        self._check_queue()
        if self.on_timeout == "cancel" and not run_class.can_cancel():
            raise DagsterInvalidDefinitionError(
                f"on_timeout='cancel' is impossible for {name}: {run_class.vendor} offers no way to cancel a "
                f"{run_class.label}. Use on_timeout='leave'."
            )
        if self.gate is not None and not isinstance(self.gate, QualityGate):
            raise DagsterInvalidDefinitionError(
                f"gate is {self.gate!r}; it must be a QualityGate, for example QualityGate(min_score=0.95)"
            )
        if self.gate is not None:
            _check_gate(self.gate, run_class)

    def _check_queue(self) -> None:
        if self.max_in_flight is not None and not is_limit(self.max_in_flight):
            raise DagsterInvalidDefinitionError(
                f"max_in_flight is {self.max_in_flight!r}; it must be a whole number greater than 0"
            )
        if self.wait == "defer":
            return
        if self.max_in_flight is not None:
            raise DagsterInvalidDefinitionError(
                "max_in_flight is only for wait='defer'. With wait='poll', each run has a step that waits for it, so "
                "a pool limits how many there are: set pool instead."
            )
        if self.on_in_flight == "queue":
            raise DagsterInvalidDefinitionError(
                "on_in_flight='queue' is only for wait='defer'. With wait='poll', Dagster knows that the asset is in "
                "progress; to run one step at a time, set pool to a pool with one slot."
            )
        if self.backfill_wait == "defer":
            raise DagsterInvalidDefinitionError("backfill_wait='defer' is only for wait='defer'")


_UNSET = ("on_in_flight", None)


def _check_gate(gate: QualityGate, run_class: type[RemoteRun[Any]]) -> None:
    name, kind = run_class.__name__, f"{with_article(run_class.vendor)} {run_class.label}"
    if not run_class.data_checks and not run_class.checks_depend_on_fields():
        raise DagsterInvalidDefinitionError(
            f"{name} does not support a QualityGate: {kind} has no quality results. Leave gate out"
        )
    unused = sorted(gate.model_dump(exclude_defaults=True).keys() - run_class.gate_fields - {"blocking"})
    if unused:
        known = ", ".join(sorted(run_class.gate_fields | {"blocking"}))
        raise DagsterInvalidDefinitionError(
            f"{name} does not support {', '.join(unused)} in a QualityGate: the checks of {kind} do not judge it. "
            f"Supported: {known}"
        )


def is_limit(number: Any) -> bool:
    """Whether a value can be a maximum number of runs in flight."""
    return isinstance(number, int) and number is not True and number > 0


def _is_positive(seconds: Any) -> bool:
    # True is an int in Python.
    return isinstance(seconds, (int, float)) and seconds is not True and seconds > 0 and math.isfinite(seconds)
