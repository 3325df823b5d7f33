"""Test data in addition to the quick-start's demo data: suites and table groups for every possible outcome of a job.

The ids are fixed, so that a test can name its target. Rows are copies of the demo's rows, made by SQL, since the API
cannot create a connection; :func:`definitions_to_import` is imported through the API afterward.

As a script (``testgen_fixtures.py DATABASE_URI``) it runs inside TestGen's virtual environment, which has psycopg2;
as a module it needs the standard library only.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

PROJECT = "DEFAULT"
# Constants of TestGen's quick-start.
DEMO_CONNECTION = 1
DEMO_GROUP = "0ea85e17-acbe-47fe-8394-9970725ad37d"
DEMO_SUITE = "9df7489d-92b3-49f9-95ca-512160d7896f"

SLOW_SUITE = "c0ffee00-0000-4000-8000-000000000001"  # its one test sleeps for 40 s
CLEAN_SUITE = "c0ffee00-0000-4000-8000-000000000002"  # its one test passes
BADSQL_SUITE = "c0ffee00-0000-4000-8000-000000000003"  # its one test is not valid SQL
EMPTY_SUITE = "c0ffee00-0000-4000-8000-000000000004"  # no tests
NOWHERE_GROUP = "c0ffee00-0000-4000-8000-000000000005"  # a schema that does not exist
DOWN_GROUP = "c0ffee00-0000-4000-8000-000000000006"  # a database that refuses connections
DOWN_SUITE = "c0ffee00-0000-4000-8000-000000000007"  # a suite of that group, with one test
GENERATED_SUITE = "c0ffee00-0000-4000-8000-000000000009"  # no tests, until a test generates them
NAP_SUITE = "c0ffee00-0000-4000-8000-000000000010"  # its one test sleeps for 8 s, and passes
MIXED_SUITE = "c0ffee00-0000-4000-8000-000000000011"  # on three tables; tests without a severity only log

IDS = {
    "project_code": PROJECT,
    "demo_group": DEMO_GROUP,
    "demo_suite": DEMO_SUITE,
    "slow_suite": SLOW_SUITE,
    "nap_suite": NAP_SUITE,
    "clean_suite": CLEAN_SUITE,
    "badsql_suite": BADSQL_SUITE,
    "empty_suite": EMPTY_SUITE,
    "generated_suite": GENERATED_SUITE,
    "mixed_suite": MIXED_SUITE,
    "nowhere_group": NOWHERE_GROUP,
    "down_group": DOWN_GROUP,
    "down_suite": DOWN_SUITE,
}

_DOWN_CONNECTION = 99
TABLE = "f_ebike_sales"
_PASSES = "SELECT 1 AS bad WHERE 1 = 0"
_FAILS = "SELECT 1 AS bad"


@dataclass(frozen=True)
class _CustomTest:
    """A custom test passes when its query returns no more rows than it tolerates."""

    query: str
    tolerated: int = 0
    table: str = TABLE
    column: str = "one_test"  # for a custom test, any text
    severity: str | None = "Fail"


_CUSTOM_TESTS = {
    SLOW_SUITE: [_CustomTest("SELECT pg_sleep(40)", 5)],
    NAP_SUITE: [_CustomTest("SELECT pg_sleep(8)", 5)],
    CLEAN_SUITE: [_CustomTest(_PASSES)],
    BADSQL_SUITE: [_CustomTest("SELECT no_such_column FROM demo.f_ebike_sales")],
    DOWN_SUITE: [_CustomTest(_PASSES)],
    MIXED_SUITE: [
        _CustomTest(_PASSES, column="passes"),
        _CustomTest(_FAILS, column="fails"),
        _CustomTest(_FAILS, column="fails_too"),
        _CustomTest(_FAILS, column="logs", severity=None),
        _CustomTest(_FAILS, column="logs", severity=None, table="d_ebike_customers"),
        _CustomTest(_FAILS, column="fails", table="d_ebike_products"),
    ],
}


def definitions_to_import() -> dict[str, dict[str, Any]]:
    """Returns the body of ``POST /test-suites/{id}/test-definition-import`` for each suite with a test; repeatable."""
    return {
        suite: {
            "config": {
                "mode": "apply",
                "on_match": "skip",
                "on_new": "create_and_lock",
                "on_absence": "do_nothing",
            },
            "payload": {
                "version": 1,
                "definitions": [
                    {
                        "test_type": "CUSTOM",
                        "external_id": suite.replace("c0ffee00", f"c0ffee{number:02}"),
                        "severity": test.severity,
                        "table_name": test.table,
                        "column_name": test.column,
                        "test_description": "fixture",
                        "custom_query": test.query,
                        "skip_errors": test.tolerated,
                        "lock_refresh": True,
                    }
                    for number, test in enumerate(tests, start=1)
                ],
            },
        }
        for suite, tests in _CUSTOM_TESTS.items()
    }


def _copy(cursor: Any, table: str, key: str, source: object, **changes: object) -> None:
    """Copies the row of ``table`` whose ``key`` is ``source``, with ``changes``, unless the copy exists."""
    cursor.execute(
        "SELECT string_agg(format('%%I', column_name), ', ') FROM information_schema.columns"
        " WHERE table_schema = 'testgen' AND table_name = %s AND is_generated = 'NEVER'",
        (table,),
    )
    columns = cursor.fetchone()[0]
    cursor.execute(
        f"INSERT INTO testgen.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM jsonb_populate_record("
        f"(SELECT t FROM testgen.{table} t WHERE t.{key} = %s), %s::jsonb) ON CONFLICT DO NOTHING",
        (source, json.dumps(changes)),
    )


def make(uri: str) -> None:
    """Adds the rows to the database at ``uri``."""
    import psycopg2  # type: ignore[import-untyped]

    # References to runs of the demo do not apply to a copy.
    never_run = dict.fromkeys(
        (
            "last_complete_profile_run_id",
            "last_complete_test_run_id",
            "default_test_suite_id",
            "monitor_test_suite_id",
            "dq_score_profiling",
            "dq_score_testing",
        )
    )
    connection = psycopg2.connect(uri)
    with connection, connection.cursor() as cursor:
        _copy(
            cursor,
            "connections",
            "connection_id",
            DEMO_CONNECTION,
            connection_id=_DOWN_CONNECTION,
            id="c0ffee00-0000-4000-8000-000000000099",
            connection_name="down",
            project_host="127.0.0.1",
            project_port="9",  # "discard", which nothing serves
        )
        groups: dict[str, dict[str, object]] = {
            NOWHERE_GROUP: {"table_groups_name": "nowhere", "table_group_schema": "no_such_schema"},
            DOWN_GROUP: {"table_groups_name": "down", "connection_id": _DOWN_CONNECTION},
        }
        for group, changes in groups.items():
            _copy(cursor, "table_groups", "id", DEMO_GROUP, id=group, **changes, **never_run)
        suites: dict[str, dict[str, object]] = {
            SLOW_SUITE: {"test_suite": "slow"},
            NAP_SUITE: {"test_suite": "nap"},
            CLEAN_SUITE: {"test_suite": "clean"},
            BADSQL_SUITE: {"test_suite": "badsql"},
            EMPTY_SUITE: {"test_suite": "empty"},
            GENERATED_SUITE: {"test_suite": "generated"},
            MIXED_SUITE: {"test_suite": "mixed", "severity": "Log"},
            DOWN_SUITE: {
                "test_suite": "down",
                "connection_id": _DOWN_CONNECTION,
                "table_groups_id": DOWN_GROUP,
            },
        }
        for suite, changes in suites.items():
            _copy(cursor, "test_suites", "id", DEMO_SUITE, id=suite, **changes, **never_run)
        # Profiling fills the catalog of a table group, which an import uses to check table names. The group
        # whose database refuses connections cannot be profiled, so it gets the entry of the demo.
        cursor.execute(
            "SELECT table_id FROM testgen.data_table_chars WHERE table_groups_id = %s AND table_name = %s",
            (DEMO_GROUP, TABLE),
        )
        _copy(
            cursor,
            "data_table_chars",
            "table_id",
            cursor.fetchone()[0],
            table_id="c0ffee00-0000-4000-8000-000000000008",
            table_groups_id=DOWN_GROUP,
        )
    connection.close()


if __name__ == "__main__":
    make(sys.argv[1])
