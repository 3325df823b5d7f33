"""The profile of a large table group."""

import dagster as dg
import pytest

from dagster_runs import build_testgen_profile
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.table_checks.profiles import RUN, add_group, column, issue, key, observations, outcomes
from tests.table_checks.suites import execute, load

MAX_CALLS = 45


@pytest.mark.covers("tables.profile-size")
def test_200_tables_with_20_columns_each(sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance) -> None:
    names = [f"t{number}" for number in range(200)]
    columns = [column(name, f"c{number}") for name in names for number in range(20)]
    add_group(sandbox, columns, [issue(name, "possible", "c0") for name in names])
    checks = build_testgen_profile(RUN, tables={f"demo.{name}": name for name in names})
    assert execute(load(sandbox, checks), instance, checks=[key(name) for name in names]).success
    assert outcomes(instance, *names) == dict.fromkeys(names, True)
    assert [len(observations(instance, name)) for name in names] == [1] * len(names)
    [run] = sandbox.runs("testgen")
    assert run.ended_at is not None
    calls = [one for one in sandbox.requests("testgen") if one.received_at >= run.ended_at]
    print(f"{len(calls)} calls")
    assert len(calls) <= MAX_CALLS
