"""The two shapes of TestGen's API, and the objects that differ between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.runs import Phase, Run
from dagster_runs.sandbox.testgen.samples import Findings

PROFILE, TESTS, GENERATION, MONITORS = "run-profile", "run-tests", "run-test-generation", "run-monitors"

# The shares of a run's work after which its record, the first counts, and all findings of profiling appear.
_RECORD_SHARE, _COUNTS_SHARE, _ISSUES_SHARE = 0.05, 0.4, 0.8

_FINAL_STATUSES = {"succeed": "completed", "fail": "error", "cancel": "canceled"}
_KILLED_MESSAGE = (
    "The run was stopped by the operating system before it could finish, which usually means TestGen ran out of "
    "memory. Raise the memory available to TestGen, or reduce how much data the run reads. "
    "(Process 4711 exited with code -9.)"
)


@dataclass(frozen=True)
class Shape:
    """The differences between versions.

    Attributes:
        is_new: Whether the version has results, lists, and bodies of submissions.
        statuses: The states that its filter accepts, in the order of its error messages.
        job_keys: The kinds of jobs that its filter accepts.
        score_delay: Seconds after `completed` during which the score is null.
    """

    is_new: bool
    statuses: tuple[str, ...]
    job_keys: tuple[str, ...]
    score_delay: float


_OLD_STATUSES = ("pending", "claimed", "running", "completed", "error", "cancel_requested", "canceled")

OLD = Shape(
    is_new=False,
    statuses=_OLD_STATUSES,
    job_keys=(PROFILE, TESTS, MONITORS, GENERATION),
    score_delay=4.0,
)
NEW = Shape(
    is_new=True,
    statuses=(
        *_OLD_STATUSES,
        "interrupt_requested",
        "interrupted",
        "pause_requested",
        "paused",
        "resume_requested",
        "queued",
    ),
    job_keys=(PROFILE, TESTS, GENERATION),
    score_delay=0.5,
)


def job_status(run: Run, now: float) -> str:
    """Returns TestGen's status of the run."""
    phase = run.phase(now)
    if phase is Phase.QUEUED:
        return "pending" if now < _claimed_at(run) else "claimed"
    if phase is Phase.HELD:
        return str(run.plan.hold)
    if phase is Phase.RUNNING:
        return "running"
    if phase is Phase.CANCELING:
        return "cancel_requested"
    return _FINAL_STATUSES[run.outcome]


def format_time(timestamp: float | None) -> str | None:
    """Formats a time like TestGen, with microseconds and `Z`."""
    return None if timestamp is None else to_utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def error_message(run: Run, now: float) -> str | None:
    """Returns the error of a failed run; None for other runs."""
    if run.outcome != "fail" or run.phase(now) is not Phase.ENDED:
        return None
    return _KILLED_MESSAGE if run.plan.error is None else run.plan.error


def render_job(run: Run, now: float) -> dict[str, Any]:
    """Returns the job object, which is the same in both shapes."""
    # A job that was started in the UI is not claimed.
    is_claimed = run.source != "ui" and run.has_reached(_claimed_at(run), now)
    return {
        "id": run.id,
        "job_key": run.kind,
        "status": job_status(run, now),
        "source": run.source,
        "created_at": format_time(run.created_at),
        "claimed_at": format_time(_claimed_at(run)) if is_claimed else None,
        "started_at": format_time(run.started_at(now)),
        "completed_at": format_time(run.ended_at(now)),
        "error_message": error_message(run, now),
    }


def render_test_run(run: Run, findings: Findings, suite: Mapping[str, Any], shape: Shape, now: float) -> dict[str, Any]:
    """Returns the test run object. Its ids and result are null until the run's record exists, after the start."""
    has_record = _has_record(run, now)
    response: dict[str, Any] = {
        "id": run.id,
        "status": job_status(run, now),
        "test_suite_id": run.target_id if has_record else None,
        "table_group_id": suite["table_group_id"] if has_record else None,
        "started_at": format_time(run.started_at(now)),
        "completed_at": format_time(run.ended_at(now)),
    }
    if shape.is_new:
        body = run.body or {}
        response.update(external_url=body.get("external_url"), metadata=body.get("metadata"))
    counts = _counts_so_far(run, findings.counts, now)
    name = "result_counts" if shape.is_new else "tests"
    response["result"] = {"score": score(run, findings, shape, now), name: counts} if has_record else None
    return response


def render_profiling_run(run: Run, findings: Findings, shape: Shape, now: float) -> dict[str, Any]:
    """Returns the profiling run object."""
    has_record = _has_record(run, now)
    response: dict[str, Any] = {
        "id": run.id,
        "status": job_status(run, now),
        "table_group_id": run.target_id if has_record else None,
        "started_at": format_time(run.started_at(now)),
        "completed_at": format_time(run.ended_at(now)),
        "result": None,
    }
    if has_record:
        sizes = findings.sizes if _completed_share(run, now) >= _COUNTS_SHARE else dict.fromkeys(findings.sizes)
        counts = issue_counts(run, findings, now)
        issues = {"issue_counts": counts} if shape.is_new else {"issues": _flatten_counts(counts)}
        response["result"] = {"score": score(run, findings, shape, now), **sizes, **issues}
    return response


def issue_counts(run: Run, findings: Findings, now: float) -> dict[str, Any]:
    """Returns the counts of issues that profiling has found so far."""
    return findings.issue_counts if _completed_share(run, now) >= _ISSUES_SHARE else Findings.count_issues([], [])


def is_completed(run: Run, now: float) -> bool:
    """Whether the run is `completed`."""
    return run.phase(now) is Phase.ENDED and run.outcome == "succeed"


def score(run: Run, findings: Findings, shape: Shape, now: float) -> float | None:
    """Returns the score; None until it has been computed."""
    if not is_completed(run, now):
        return None
    delay = run.plan.options.get("score_delay", shape.score_delay)
    return findings.score if now >= run.ends_at + delay else None


def _claimed_at(run: Run) -> float:
    return run.created_at + run.plan.queued_seconds / 2


def _has_record(run: Run, now: float) -> bool:
    if run.started_at(now) is None:
        return False
    return run.progress(now) >= _RECORD_SHARE or run.phase(now) is Phase.ENDED


def _completed_share(run: Run, now: float) -> float:
    """Returns the share of the work that produced findings. A run that fails produces none."""
    return 0.0 if run.outcome == "fail" else run.progress(now)


def _counts_so_far(run: Run, counts: dict[str, int], now: float) -> dict[str, int]:
    share = _completed_share(run, now)
    if share >= 1.0:
        return counts
    if share < _COUNTS_SHARE:
        return dict.fromkeys(counts, 0)
    # Tests that cannot run are reported first.
    return {**dict.fromkeys(counts, 0), "passed": counts["passed"] // 2, "error": counts["error"]}


def _flatten_counts(counts: dict[str, Any]) -> dict[str, int]:
    """Returns the counts in the old shape, where `possible` includes potential PII."""
    hygiene, pii = counts["hygiene_issues"], counts["potential_pii"]
    return {**hygiene, "possible": hygiene["possible"] + sum(pii.values()), "dismissed": counts["dismissed"]}
