"""A gate on a suite with checks of tables, and the tables of a table group, at the real server."""

from __future__ import annotations

import dagster as dg
import pytest
import testgen_fixtures as ids
from real_tables import TABLES, asset_of, checks_of, location, newest, shown_of
from real_testgen import RealTestGen
from testgen_database import Database

from dagster_runs import QualityGate, TableKeys, TestGenProfilingRun, TestGenResource, build_testgen_profile
from dagster_runs.vendors.testgen.lists.profiles_run import latest_profiling_run, list_profiled_tables
from tests.table_checks.suites import execute

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen


@pytest.fixture(scope="module")
def resource(testgen_server: RealTestGen) -> TestGenResource:
    return TestGenResource(
        base_url=testgen_server.base_url,
        project_code=ids.PROJECT,
        access_token=testgen_server.access_token,
        poll_interval=1,
    )


def test_suite_is_judged_by_its_counts_and_its_score(resource: TestGenResource, instance: dg.DagsterInstance) -> None:
    assets = [asset_of(table) for table in TABLES]
    gate = QualityGate(min_score=0.999, max_failures=10_000, max_warnings=10_000, blocking=True)
    checks = checks_of(ids.DEMO_SUITE, tables=TableKeys.from_assets(assets), gate=gate)
    assert not execute(location(checks, resource, *assets), instance).success
    shown = shown_of(instance, checks)
    judged = {spec.name: newest(instance, spec.key) for spec in checks.gate_specs}
    assert {name: one and one.passed for name, one in judged.items()} == {
        "run_status": True,
        "tests_passed": True,
        "quality_score": False,
    }
    assert judged["quality_score"] is not None
    assert judged["quality_score"].metadata["score"].value == shown["testgen/score"].value
    assert judged["tests_passed"] is not None
    assert judged["tests_passed"].metadata["failed"].value == shown["testgen/tests_failed"].value


def test_tables_of_a_table_group_are_those_of_its_latest_profiling_run(
    resource: TestGenResource, database: Database, instance: dg.DagsterInstance
) -> None:
    tables = list_profiled_tables(resource, latest_profiling_run(resource, ids.DEMO_GROUP) or "")
    assert tables
    query = (
        "SELECT DISTINCT schema_name, table_name FROM testgen.profile_results WHERE profile_run_id ="
        " (SELECT last_complete_profile_run_id FROM testgen.table_groups WHERE id = %s)"
    )
    assert {(one.schema, one.name) for one in tables} == set(database.rows(query, ids.DEMO_GROUP))
    run = TestGenProfilingRun(table_group_id=ids.DEMO_GROUP)
    keys = {str(table): f"own_{table.name}" for table in tables}
    profile = build_testgen_profile(run, tables=keys, known_tables=tables, gate=QualityGate(min_score=0.1))
    assert execute(location(profile, resource), instance).success
    assert {spec.name for spec in profile.gate_specs if newest(instance, spec.key)} == {
        "run_status",
        "hygiene_issues",
        "quality_score",
    }
    assert all(newest(instance, spec.key) for spec in profile.judged.declared.specs)
