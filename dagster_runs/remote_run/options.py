"""The options for a remote run: timeout, quality gate, and what to do in exceptional situations."""

import math
from dataclasses import dataclass
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
    """

    gate: QualityGate | None = None
    timeout: float | None = None
    on_timeout: OnTimeout = "leave"
    on_uncertain_start: OnUncertainStart = "fail"
    on_conflict: OnConflict = "wait"
    on_missing_partition: OnMissingPartition = "fail"
    wait: Wait = "poll"

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
        ):
            if getattr(self, option) not in get_args(allowed):
                choices = " or ".join(repr(choice) for choice in get_args(allowed))
                raise DagsterInvalidDefinitionError(f"{option} is {getattr(self, option)!r}; it must be {choices}")
        if self.timeout is not None and not _is_positive(self.timeout):
            raise DagsterInvalidDefinitionError(
                f"timeout is {self.timeout!r}; it must be a number of seconds greater than 0"
            )
        if self.on_timeout == "cancel" and not run_class.can_cancel:
            raise DagsterInvalidDefinitionError(
                f"on_timeout='cancel' is impossible for {name}: {run_class.vendor} offers no way to cancel a "
                f"{run_class.label}. Use on_timeout='leave'."
            )
        if self.gate is not None and not isinstance(self.gate, QualityGate):
            raise DagsterInvalidDefinitionError(
                f"gate is {self.gate!r}; it must be a QualityGate, for example QualityGate(min_score=0.95)"
            )
        if self.gate is not None and not run_class.has_quality_results:
            raise DagsterInvalidDefinitionError(
                f"{name} does not support a QualityGate: {with_article(run_class.vendor)} {run_class.label} has no "
                "quality results"
            )


def _is_positive(seconds: Any) -> bool:
    # True is an int in Python.
    return isinstance(seconds, (int, float)) and seconds is not True and seconds > 0 and math.isfinite(seconds)
