"""The user's choices about the life of a run."""

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
    """How to treat a remote run.

    Attributes:
        gate: How quality results are judged.
        timeout: Seconds from the start until waiting ends; ``None`` for the run's own ``default_timeout``.
        on_timeout: Leave the remote run going then, or cancel it.
        on_uncertain_start: When the answer to a start is lost and the run cannot be found: fail, or start again.
        on_conflict: When somebody else's run is in the way: wait until it has ended, or fail.
        on_missing_partition: When a partitioned asset is launched without a partition: fail, or start a run.
        wait: Whether the step waits for the run's end, or leaves that to the completion sensor.
    """

    gate: QualityGate | None = None
    timeout: float | None = None
    on_timeout: OnTimeout = "leave"
    on_uncertain_start: OnUncertainStart = "fail"
    on_conflict: OnConflict = "wait"
    on_missing_partition: OnMissingPartition = "fail"
    wait: Wait = "poll"

    def check_for(self, run_class: type[RemoteRun[Any]]) -> None:
        """Refuse what makes no sense for this kind of run.

        Raises:
            DagsterInvalidDefinitionError: Says which option, and why.
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
                words = " or ".join(repr(word) for word in get_args(allowed))
                raise DagsterInvalidDefinitionError(f"{option} is {getattr(self, option)!r}; it can be {words}")
        if self.timeout is not None and not _is_positive(self.timeout):
            raise DagsterInvalidDefinitionError(f"timeout is {self.timeout!r}; it is a number of seconds above 0")
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
                f"{name} takes no QualityGate: {with_article(run_class.vendor)} {run_class.label} has no quality "
                "results"
            )


def _is_positive(seconds: Any) -> bool:
    # True is an int, too.
    return isinstance(seconds, (int, float)) and seconds is not True and seconds > 0 and math.isfinite(seconds)
