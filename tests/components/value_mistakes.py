# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each in values: variables, keys, and values that do not fit together, and what is said about it."""

from tests.components.mistakes import Mistake

VALUE_MISTAKES = [
    Mistake(
        "a variable that is not set",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKN }}"}
        """,
        by_schema=[],
        on_load=[
            "3 workspace.access_token: the environment variable TESTGEN_TOKN is not set. Set it where this code location runs, for example in the .env file of the project, or write a default: env('TESTGEN_TOKN', '...')"
        ],
    ),
    Mistake(
        "a variable of a run that is not set",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: '{{ env.SUITE_ID }}'
              key: a
        """,
        by_schema=[],
        on_load=[
            "5 suites.0.test_suite_id: the environment variable SUITE_ID is not set. Set it where this code location runs, for example in the .env file of the project, or write a default: env('SUITE_ID', '...')"
        ],
    ),
    Mistake(
        "a template that is not defined",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: '{{ enw.KEY }}'
        """,
        by_schema=[],
        on_load=["6 suites.0.key: this template cannot be evaluated: \"UndefinedError: 'enw' not found in scope\""],
    ),
    Mistake(
        "two credentials",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", client_id: abc, access_token: "{{ env.TESTGEN_TOKEN }}"}
        """,
        by_schema=[],
        on_load=[
            "3 workspace: TestGenResource takes access_token, or client_id, client_secret and refresh_token, but not both"
        ],
    ),
    Mistake(
        "two assets with one key",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
        """,
        by_schema=[],
        on_load=[
            "8 suites.1.key: a is already the key of attributes.suites.0 (line 5); two assets cannot have one key"
        ],
    ),
    Mistake(
        "a queue without deferral",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              max_in_flight: 3
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.max_in_flight: max_in_flight is only for wait='defer'. With wait='poll', each run has a step that waits for it, so a pool limits how many there are: set pool instead."
        ],
    ),
    Mistake(
        "an automation condition as text",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              automation_condition: eager
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.automation_condition: automation_condition is 'eager'; write it as a template, such as {{ automation_condition.eager() }}"
        ],
    ),
    Mistake(
        "an owner that is not valid",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              owners: [data]
        """,
        by_schema=[],
        on_load=[
            "7 suites.0.owners: owners: invalid owner 'data'. Owner must be an email address or a team name prefixed with 'team:'."
        ],
    ),
    Mistake(
        "a key with a space",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: my key
        """,
        by_schema=[],
        on_load=[
            "6 suites.0.key: key: 'my key' is not an asset key; write its parts with slashes between them, such as quality/orders, and use letters, digits, and the characters _ - ."
        ],
    ),
    Mistake(
        "one key for all assets",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          translation:
            key: a
        """,
        by_schema=[],
        on_load=[
            "5 translation.key: all assets would have this key; use a template, such as quality/{{ props.name }}, or key_prefix"
        ],
    ),
    Mistake(
        "partitions without a start",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              partitions_def: {type: daily}
        """,
        by_schema=[],
        on_load=["7 suites.0.partitions_def: partitions of type daily need start_date"],
    ),
    Mistake(
        "a score above 1",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              gate: {min_score: 95}
        """,
        by_schema=[],
        on_load=["7 suites.0.gate.min_score: 95 is not a score from 0 to 1; write 95 % as 0.95"],
    ),
    Mistake(
        "a wrong region",
        """
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {region: asia, access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
          profiles:
            - profiles_id: abc
              key: a
        """,
        by_schema=[],
        on_load=["3 workspace.region: region must be 'us' or 'eu', not 'asia'"],
    ),
    Mistake(
        "a resource key with a dash",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          resource_key: test-gen
        """,
        by_schema=[],
        on_load=["4 resource_key: 'test-gen' cannot be a resource key; use letters, digits and underscores"],
    ),
    Mistake(
        "a sensor option",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          completion_sensor: {tick_secs: 20}
        """,
        by_schema=["4 completion_sensor.tick_secs: Additional properties are not allowed ('tick_secs' was unexpected)"],
        on_load=["4 completion_sensor.tick_secs: there is no field 'tick_secs'; did you mean 'tick_seconds'?"],
    ),
    Mistake(
        "observe only with an option",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              observe_only: true
              wait: defer
        """,
        by_schema=[],
        on_load=[
            "8 suites.0.wait: wait has no effect with observe_only: true, because Dagster does not start the run. Delete one of the two."
        ],
    ),
    Mistake(
        "numbers that are not",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: f0e1d2c3-0000-4000-8000-000000000001
              key: a
              timeout: true
              checks: {tables: {orders: o}, max_checks: 1.5}
        """,
        by_schema=[
            "7 suites.0.timeout: True is not of type 'number', 'string'",
            "8 suites.0.checks.max_checks: 1.5 is not of type 'integer', 'string'",
        ],
        on_load=[
            "7 suites.0.timeout: this must be a number",
            "8 suites.0.checks.max_checks: this must be a whole number",
        ],
    ),
    Mistake(
        "switches without a value",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          discover: {suites: }
          completion_sensor:
        """,
        by_schema=[
            "5 completion_sensor: None is not of type 'boolean', 'object'",
            "4 discover.suites: None is not of type 'boolean', 'object'",
        ],
        on_load=[
            "5 completion_sensor: this must be true, false, or a mapping with one `name: value` per line",
            "4 discover.suites: this must be true, false, or a mapping with one `name: value` per line",
        ],
    ),
]
