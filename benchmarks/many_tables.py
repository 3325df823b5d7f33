"""Measures the checks of a suite with 5,000 results on 200 tables: the calls and the time after the suite's end."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import dagster as dg

from benchmarks.processes import sandbox_process
from dagster_runs import TestGenTestRun, build_testgen_checks
from dagster_runs.sandbox import Behavior, SandboxClient
from dagster_runs.testing import fast_forward, sandbox_resources
from tests.chaos.storage import dagster_home

TABLES, RESULTS = 200, 5000
_SUITE = "5ab1e000-0000-4000-8000-000000000001"
_NAMES = [f"table_{number}" for number in range(TABLES)]


@dataclass
class AfterEnd:
    """The values of each round, from the end of the suite's run.

    Attributes:
        calls: The number of calls.
        seconds: The time until the last check is evaluated.
    """

    calls: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@cache
def measure(rounds: int) -> AfterEnd:
    """Runs the suite once for each round, with an event log on SQLite and the sandbox in a process of its own."""
    found = AfterEnd()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = folder / "home"
        stack.enter_context(dagster_home("sqlite", home))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        sandbox = stack.enter_context(sandbox_process(folder))
        stack.enter_context(fast_forward(sandbox))
        rows = [_result(number) for number in range(RESULTS)]
        sandbox.add_target(
            "testgen", "test_suite", _SUITE, Behavior(queued_seconds=0, running_seconds=60, score_delay=0, results=rows)
        )
        job = _job(sandbox)
        for _ in range(rounds):
            assert job.execute_in_process(instance=instance).success
            _add_round(found, sandbox, instance)
    return found


def _result(number: int) -> dict[str, object]:
    status = "failed" if number == 0 else "passed"
    column = f"column_{number // TABLES}"
    return {
        "table_name": _NAMES[number % TABLES],
        "column_names": column,
        "result_status": status,
        "test_type": "Unique",
    }


def _job(sandbox: SandboxClient) -> dg.JobDefinition:
    checks = build_testgen_checks(TestGenTestRun(test_suite_id=_SUITE), tables={name: name for name in _NAMES})
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    own = dg.Definitions(jobs=[job], resources=sandbox_resources(sandbox.url), executor=dg.in_process_executor)
    return dg.Definitions.merge(own, checks.definitions()).resolve_job_def("checks")


def _add_round(found: AfterEnd, sandbox: SandboxClient, instance: dg.DagsterInstance) -> None:
    run = sandbox.runs("testgen")[-1]
    assert run.ended_at is not None
    calls = [one for one in sandbox.requests("testgen") if one.received_at >= run.ended_at]
    [record] = instance.get_run_records(limit=1)
    evaluations = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert len(evaluations) == TABLES
    found.calls.append(float(len(calls)))
    # The first of these calls is the poll that shows the end.
    found.seconds.append(evaluations[-1].timestamp - calls[0].wall_received_at)
