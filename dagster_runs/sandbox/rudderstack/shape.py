"""What both APIs have in common: times and error messages."""

from __future__ import annotations

from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.runs import Phase, Run


def error_message(run: Run, now: float, default: str) -> str | None:
    """Returns the error of a run that has failed."""
    if run.outcome != "fail" or run.phase(now) is not Phase.ENDED:
        return None
    if run.plan.options.get("failure_style") == "finished_with_error":
        return run.plan.error or default  # without an error, the run would have succeeded
    return default if run.plan.error is None else run.plan.error


def format_time(timestamp: float | None, *, snake: bool = False) -> str | None:
    """Formats a time with the precision that belongs to the spelling of the fields."""
    if timestamp is None:
        return None
    text = to_utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text}Z" if snake else f"{text[:-3]}Z"
