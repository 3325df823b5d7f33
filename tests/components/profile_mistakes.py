# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each in the checks of a table group, and what is said about it."""

from tests.components.mistakes import Mistake

PROFILE_MISTAKES = [
    Mistake(
        "a table group without tables",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
              key: profile
              checks: {}
        """,
        by_schema=[],
        on_load=[
            "7 table_groups.0.checks: it is not known which tables the table group profiles, and Dagster must know all checks when it loads the definitions. Name them in tables, such as {orders: stg_orders}; or set discover (TestGen 5.134 and later), which finds them"
        ],
    ),
    Mistake(
        "finer checks of a table group",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
              key: profile
              checks: {granularity: column, tables: {orders: stg_orders}}
        """,
        by_schema=[
            "7 table_groups.0.checks.granularity: Additional properties are not allowed ('granularity' was unexpected)"
        ],
        on_load=[
            "7 table_groups.0.checks.granularity: granularity is not available here: each table of a table group has one check"
        ],
    ),
    Mistake(
        "a severity of tests for a table group",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
              key: profile
              checks: {severity: {failed: WARN}, tables: {orders: stg_orders}}
        """,
        by_schema=[
            "7 table_groups.0.checks.severity.failed: Additional properties are not allowed ('failed' was unexpected)"
        ],
        on_load=[
            "7 table_groups.0.checks.severity.failed: there is no field 'failed'; the fields are definite, likely"
        ],
    ),
    Mistake(
        "partitions of a table group with checks",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
              key: profile
              partitions_def: {type: daily, start_date: '2026-01-01'}
              checks: {tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=[
            "7 table_groups.0.partitions_def: partitions_def has no effect with checks: Dagster executes the checks of the tables to start a run, and cannot materialize the table group's asset. Delete one of the two."
        ],
    ),
    Mistake(
        "a blocking table of a table group that has no checks",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d
              key: profile
              checks: {blocking_tables: [refunds], tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=["7 table_groups.0.checks: blocking_tables names refunds, but the tables with checks are orders"],
    ),
    Mistake(
        "one asset in two table groups",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          table_groups:
            - {table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37d, key: one, checks: {tables: {orders: stg_orders}}}
            - {table_group_id: 0ea85e17-acbe-47fe-8394-9970725ad37e, key: two, checks: {tables: {orders: stg_orders}}}
        """,
        by_schema=[],
        on_load=[
            "6 table_groups.1.checks: stg_orders already has the checks of one, and an asset can have those of only one table group. Leave out the table orders in one of the two"
        ],
    ),
    Mistake(
        "a typo in the checks of discovered table groups",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          discover:
            table_groups: {options: {checks: {unmaped: warn}}}
        """,
        by_schema=[
            "5 discover.table_groups.options.checks.unmaped: Additional properties are not allowed ('unmaped' was unexpected)"
        ],
        on_load=[
            "5 discover.table_groups.options.checks.unmaped: there is no field 'unmaped'; did you mean 'unmapped'?"
        ],
    ),
    Mistake(
        "checks of a test generation",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          test_generations:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: generated
              checks: {}
        """,
        by_schema=["7 test_generations.0.checks: Additional properties are not allowed ('checks' was unexpected)"],
        on_load=[
            "7 test_generations.0.checks: checks is not available here: a TestGen test generation has no results about tables"
        ],
    ),
]
