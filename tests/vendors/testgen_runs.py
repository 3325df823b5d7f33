"""Runs a TestGen job without Dagster: start, advance the time, poll, fetch the result."""

from typing import Any
from uuid import uuid4

from dagster_runs import QualityGate, TestGenProfilingRun, TestGenResource, TestGenTestRun
from dagster_runs.remote_run.types import CheckOutcome, RunResult, StartAttempt
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.transport.clock import current_clock

LONG = 10_000.0


def attempt(**fields: Any) -> StartAttempt:
    given = {
        "correlation_id": uuid4().hex,
        "starting_at": current_clock().wall(),
        "dagster_run_id": "dagster-run-1",
        **fields,
    }
    return StartAttempt(**given)


def suite_run(suite: str = well_known.SUITE_CLEAN, **fields: Any) -> TestGenTestRun:
    return TestGenTestRun(test_suite_id=suite, **fields)


def group_run(group: str = well_known.TABLE_GROUP) -> TestGenProfilingRun:
    return TestGenProfilingRun(table_group_id=group)


def run_to_completion(
    sandbox: Sandbox,
    resource: TestGenResource,
    run: TestGenTestRun | TestGenProfilingRun,
    gate: QualityGate | None = None,
) -> RunResult:
    run_id = run.start(resource, attempt())
    sandbox.advance(LONG)
    return run.fetch_result(resource, run_id, run.fetch_status(resource, run_id), gate)


_TABLES = ("testgen/failing_tests", "testgen/flagged_columns")


def numbers(result: RunResult) -> dict[str, Any]:
    """Returns the plain values of the metadata, by name."""
    return {name: entry.value for name, entry in result.metadata.items() if name not in _TABLES}


def check(result: RunResult, name: str) -> CheckOutcome:
    [outcome] = [outcome for outcome in result.checks if outcome.name == name]
    return outcome
