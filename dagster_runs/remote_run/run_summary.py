"""The line that says how a run ended: the last one in the log, and the text of what an alert carries."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dagster_runs.remote_run.data_checks import reported_on_failure
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun

MAX_PART = 500
"""The maximum number of characters of a vendor's error, and of the summary of the result."""


def run_summary(
    run: "RemoteRun[Any]", run_id: str, status: RunStatus, result: RunResult | None = None, *, url: str | None = None
) -> str:
    """Returns how a run ended, with its result and its link, in one line.

    Args:
        run: The run.
        run_id: The vendor's id of the run.
        status: Its final status.
        result: Its result, if known.
        url: The URL of its page.
    """
    found = result or RunResult()
    if status.state is not RunState.SUCCEEDED:  # a test that did not run says nothing about the data
        found = replace(found, checks=reported_on_failure(run, found.checks))
    name = f"{run.label} {run_id} of {named_target(run, found)}"
    parts = [part for part in (_line(status.error or ""), _line(result_summary(found)), url) if part]
    return f"{run.vendor} {name} {ended(status)}{': ' if parts else ''}{'; '.join(parts)}"


def ended(status: RunStatus) -> str:
    """Returns how a run ended, and after how long: ``ended with status completed after 8 s``."""
    seconds = status.duration_seconds
    return status.outcome_text if seconds is None else f"{status.outcome_text} after {in_words(seconds)}"


def named_target(run: "RemoteRun[Any]", result: RunResult) -> str:
    """Returns the target of a run, with its name if the vendor reports one: ``orders (f0e1d2c3)``."""
    target = _line(run.target)
    return f"{_line(result.target_name)} ({target})" if result.target_name else target


def result_summary(result: RunResult) -> str:
    """Returns a result in a few words: what the vendor's code says, or the descriptions of the checks' outcomes."""
    if result.summary:
        return result.summary
    return "; ".join(one.description[:1].lower() + one.description[1:] for one in result.checks if one.description)


def in_words(seconds: float) -> str:
    """Returns a duration: ``8 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _line(text: str) -> str:
    # Dagster makes a link of each address in the log. A vendor's text must not lead anywhere, so an invisible character
    # interrupts its addresses.
    line = " ".join(text.split()).replace("://", ":\u200b//")
    return line if len(line) <= MAX_PART else f"{line[:MAX_PART]}…"
