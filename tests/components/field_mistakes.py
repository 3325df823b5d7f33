# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each in the names and types of fields, and what is said about it."""

from tests.components.mistakes import Mistake

FIELD_MISTAKES = [
    Mistake(
        "a typo in an item",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              keey: quality/orders
        """,
        by_schema=[
            "6 suites.0.keey: Additional properties are not allowed ('keey' was unexpected)",
            "5 suites.0: 'key' is a required property",
        ],
        on_load=[
            "5 suites.0.key: key is missing. The asset's key, with slashes between its parts.",
            "6 suites.0.keey: there is no field 'keey'; did you mean 'key'?",
        ],
    ),
    Mistake(
        "a typo in the workspace",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_ur: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
        """,
        by_schema=[
            "3 workspace.base_ur: Additional properties are not allowed ('base_ur' was unexpected)",
            "3 workspace: 'base_url' is a required property",
        ],
        on_load=[
            "3 workspace.base_url: base_url is missing. The URL of the API server, with or without `/api/v1`: `https://testgen.example.com`.",
            "3 workspace.base_ur: there is no field 'base_ur'; did you mean 'base_url'?",
        ],
    ),
    Mistake(
        "a typo at the top",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suits:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: quality/orders
        """,
        by_schema=["4 suits: Additional properties are not allowed ('suits' was unexpected)"],
        on_load=["4 suits: there is no field 'suits'; did you mean 'suites'?"],
    ),
    Mistake(
        "a typo in the gate",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              gate:
                min_scor: 0.9
        """,
        by_schema=["8 suites.0.gate.min_scor: Additional properties are not allowed ('min_scor' was unexpected)"],
        on_load=["8 suites.0.gate.min_scor: there is no field 'min_scor'; did you mean 'min_score'?"],
    ),
    Mistake(
        "a typo in the partitions",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              partitions_def:
                type: daily
                start: 2026-01-01
        """,
        by_schema=["9 suites.0.partitions_def.start: Additional properties are not allowed ('start' was unexpected)"],
        on_load=["9 suites.0.partitions_def.start: there is no field 'start'; did you mean 'start_date'?"],
    ),
    Mistake(
        "a wrong choice",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              wait: defered
        """,
        by_schema=["7 suites.0.wait: 'defered' is not one of ['poll', 'defer']"],
        on_load=["7 suites.0.wait: this must be 'poll' or 'defer'; did you mean 'defer'?"],
    ),
    Mistake(
        "a wrong type of partitions",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              partitions_def: {type: dayly, start_date: 2026-01-01}
        """,
        by_schema=[
            "7 suites.0.partitions_def.type: 'dayly' is not one of ['hourly', 'daily', 'weekly', 'monthly', 'time_window', 'static', 'dynamic']"
        ],
        on_load=[
            "7 suites.0.partitions_def.type: this must be 'hourly', 'daily', 'weekly', 'monthly', 'time_window', 'static' or 'dynamic'; did you mean 'daily'?"
        ],
    ),
    Mistake(
        "a missing key",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
        """,
        by_schema=["5 suites.0: 'key' is a required property"],
        on_load=["5 suites.0.key: key is missing. The asset's key, with slashes between its parts."],
    ),
    Mistake(
        "a missing id",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - key: a
        """,
        by_schema=["5 suites.0: 'test_suite_id' is a required property"],
        on_load=[
            "5 suites.0.test_suite_id: test_suite_id is missing. The id of the suite (a UUID), from the URL of its page."
        ],
    ),
    Mistake(
        "a missing workspace",
        """
        type: dagster_runs.ProphecyComponent
        attributes:
          runs: []
        """,
        by_schema=["2 : 'workspace' is a required property"],
        on_load=["2 workspace: workspace is missing. The connection to the vendor. Write secrets as `{{ env.NAME }}`."],
    ),
    Mistake(
        "a mapping instead of a list",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
            key: a
        """,
        by_schema=[
            "4 suites: {'test_suite_id': 'f0e1d2c3-0000-4000-8000-000000000001', 'key': 'a'} is not of type 'array'"
        ],
        on_load=["4 suites: this must be a list, with each item on a line that starts with `- `"],
    ),
    Mistake(
        "a string instead of a list",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              deps: stg_orders
        """,
        by_schema=["7 suites.0.deps: 'stg_orders' is not of type 'array'"],
        on_load=["7 suites.0.deps: this must be a list, with each item on a line that starts with `- `"],
    ),
    Mistake(
        "a number instead of a string",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              group_name: 5
        """,
        by_schema=["7 suites.0.group_name: 5 is not of type 'string'"],
        on_load=['7 suites.0.group_name: this must be a string; write it in quotes: "..."'],
    ),
    Mistake(
        "a string instead of true",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              gate: {blocking: 'yes'}
        """,
        by_schema=["7 suites.0.gate.blocking: 'yes' is not of type 'boolean'"],
        on_load=["7 suites.0.gate.blocking: this must be true or false, without quotes"],
    ),
    Mistake(
        "a text instead of a number",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              timeout: one hour
        """,
        by_schema=[],
        on_load=["7 suites.0.timeout: timeout is 'one hour'; it must be a number"],
    ),
]
