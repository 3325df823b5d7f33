"""A suite with 5,000 tests on 200 tables: the number of calls, and the time after the run's end."""

import time

import dagster as dg
import pytest

from dagster_runs import build_testgen_checks
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.table_checks.suites import RUN, add_suite, evaluated, execute, key, load, result

TABLES, TESTS = 200, 5000
MAX_CALLS = 55
MAX_SECONDS = 120.0
"""Generous, since the machine may be busy. It takes 3 s on two cores with an event log in memory."""


@pytest.mark.covers("tables.size")
def test_5000_results_on_200_tables(sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance) -> None:
    rows = [result(f"t{number % TABLES}", column=f"c{number}") for number in range(TESTS)]
    rows[0]["result_status"] = "failed"
    add_suite(sandbox, rows)
    checks = build_testgen_checks(RUN, tables={f"t{number}": f"t{number}" for number in range(TABLES)})
    keys = [key(f"t{number}") for number in range(TABLES)]
    begun = time.monotonic()
    assert execute(load(sandbox, checks), instance, checks=keys).success
    seconds = time.monotonic() - begun
    assert [evaluated(instance, check)[0].passed for check in keys] == [False, *[True] * (TABLES - 1)]
    [run] = sandbox.runs("testgen")
    assert sandbox.starts("testgen") == 1
    assert run.ended_at is not None
    calls = [one for one in sandbox.requests("testgen") if one.received_at >= run.ended_at]
    reading = calls[-1].wall_received_at - calls[0].wall_received_at
    print(f"{len(calls)} calls in {reading:.1f} s, {seconds:.1f} s in all")
    assert len(calls) <= MAX_CALLS
    assert seconds < MAX_SECONDS
