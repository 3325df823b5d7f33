# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each in the checks of a suite, and what is said about it."""

from tests.components.mistakes import Mistake

CHECK_MISTAKES = [
    Mistake(
        "a typo in granularity",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {granularity: colum, tables: {orders: stg_orders}}
        """,
        by_schema=["7 suites.0.checks.granularity: 'colum' is not one of ['table', 'column', 'test_type', 'test']"],
        on_load=[
            "7 suites.0.checks.granularity: this must be 'table', 'column', 'test_type' or 'test'; did you mean 'column'?"
        ],
    ),
    Mistake(
        "a typo in the granularity of a table",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {granularity_by_table: {orders: tests}, tables: {orders: stg_orders}}
        """,
        by_schema=[
            "7 suites.0.checks.granularity_by_table.orders: 'tests' is not one of ['table', 'column', 'test_type', 'test']"
        ],
        on_load=[
            "7 suites.0.checks.granularity_by_table.orders: this must be 'table', 'column', 'test_type' or 'test'; did you mean 'test'?"
        ],
    ),
    Mistake(
        "a typo in checks",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {blocking_table: [orders], tables: {orders: stg_orders}}
        """,
        by_schema=[
            "7 suites.0.checks.blocking_table: Additional properties are not allowed ('blocking_table' was unexpected)"
        ],
        on_load=[
            "7 suites.0.checks.blocking_table: there is no field 'blocking_table'; did you mean 'blocking_tables'?"
        ],
    ),
    Mistake(
        "a table as a list",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: [stg_orders]}}
        """,
        by_schema=["7 suites.0.checks.tables.orders: ['stg_orders'] is not of type 'string'"],
        on_load=['7 suites.0.checks.tables.orders: this must be a string; write it in quotes: "..."'],
    ),
    Mistake(
        "tables as a list",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: [orders]}
        """,
        by_schema=["7 suites.0.checks.tables: ['orders'] is not of type 'object'"],
        on_load=["7 suites.0.checks.tables: this must be a mapping with one `name: value` per line"],
    ),
    Mistake(
        "an asset key with a space",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg orders}}
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.checks.tables: tables: the asset of orders: 'stg orders' is not an asset key; write its parts with slashes between them, such as quality/orders, and use letters, digits, and the characters _ - ."
        ],
    ),
    Mistake(
        "one table twice",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders, '[orders]': other}}
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.checks.tables: tables has the table orders twice. Only the last two parts of a name count: the schema and the table"
        ],
    ),
    Mistake(
        "a granularity of an unknown table",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {granularity_by_table: {refunds: table}, tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=["7 suites.0.checks: granularity_by_table names refunds, but the tables with checks are orders"],
    ),
    Mistake(
        "a blocking table that is unknown",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {blocking_tables: [order], tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=["7 suites.0.checks: blocking_tables names order, but the tables with checks are orders"],
    ),
    Mistake(
        "checks that block upstream of a table",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {blocking: true, tables: {orders: stg_orders, revenue: revenue}}
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.checks: The checks of stg_orders cannot block: it is upstream of revenue, which the same run covers. Dagster would start the whole run twice, before and after it materializes revenue. Leave blocking out, and give the downstream assets the automation condition `AutomationCondition.eager() & AutomationCondition.all_deps_blocking_checks_passed()` with checks that block in suites of their own; or check the tables in separate suites or table groups."
        ],
    ),
    Mistake(
        "two suites of one table",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders}}
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: quality/features
              checks: {tables: {sales.orders: stg_orders}}
        """,
        by_schema=[],
        on_load=[
            "10 suites.1.checks: stg_orders already has the checks of quality/orders, and an asset can have those of only one suite. Leave out the table sales.orders in one of the two"
        ],
    ),
    Mistake(
        "no tables",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {granularity: table}
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.checks: it is not known which tables the suite tests, and Dagster must know all checks when it loads the definitions. Name them in tables, such as {orders: stg_orders}; or set discover (TestGen 5.134 and later), which finds them"
        ],
    ),
    Mistake(
        "checks with partitions",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              partitions_def: {type: daily, start_date: '2026-01-01'}
              checks: {tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.partitions_def: partitions_def has no effect with checks: Dagster executes the checks of the tables to start a run of the suite, and cannot materialize the suite's asset. Delete one of the two."
        ],
    ),
    Mistake(
        "checks with an automation condition",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              automation_condition: "{{ automation_condition.eager() }}"
              checks: {tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=[
            "5 suites.0: automation_condition has no effect with checks: Dagster executes the checks of the tables to start a run of the suite, and cannot materialize the suite's asset. Delete one of the two."
        ],
    ),
    Mistake(
        "checks of a suite that only the vendor starts",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              observe_only: true
              checks: {tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=[
            "8 suites.0.checks: checks has no effect with observe_only: true, because Dagster does not start the run. Delete one of the two."
        ],
    ),
    Mistake(
        "no checks allowed",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {max_checks: 0, tables: {orders: stg_orders}}
        """,
        by_schema=[],
        on_load=["7 suites.0.checks.max_checks: max_checks is 0; it must be greater than 0"],
    ),
    Mistake(
        "a severity that is unknown",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {severity: {failed: error}, tables: {orders: stg_orders}}
        """,
        by_schema=["7 suites.0.checks.severity.failed: 'error' is not one of ['ERROR', 'WARN']"],
        on_load=["7 suites.0.checks.severity.failed: this must be 'ERROR' or 'WARN'"],
    ),
    Mistake(
        "a typo in the way to find assets",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders}}
          table_keys: {by: table}
        """,
        by_schema=["8 table_keys.by: 'table' is not one of ['table_name', 'convention', 'mapping']"],
        on_load=["8 table_keys.by: this must be 'table_name', 'convention' or 'mapping'; did you mean 'table_name'?"],
    ),
    Mistake(
        "a mapping without tables",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders}}
          table_keys: {by: mapping}
        """,
        by_schema=[],
        on_load=['8 table_keys.by: by: mapping needs tables, such as {sales.*: "sales/{table}"}'],
    ),
    Mistake(
        "a mapping that is not used",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders}}
          table_keys: {by: convention, tables: {orders: a}}
        """,
        by_schema=[],
        on_load=["8 table_keys.tables: tables is only for by: mapping"],
    ),
    Mistake(
        "a folder that does not exist",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000002
              key: quality/orders
              checks: {tables: {orders: stg_orders}}
          table_keys: {by: table_name, components: [dbt]}
        """,
        by_schema=[],
        on_load=["8 table_keys: components: in the folder defs, dbt has no definitions"],
    ),
    Mistake(
        "a typo in the checks of discovered suites",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          discover:
            suites: {options: {checks: {granularty: test}}}
        """,
        by_schema=[
            "5 discover.suites.options.checks.granularty: Additional properties are not allowed ('granularty' was unexpected)"
        ],
        on_load=[
            "5 discover.suites.options.checks.granularty: there is no field 'granularty'; did you mean 'granularity'?"
        ],
    ),
]
