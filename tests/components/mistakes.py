# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each, and what is said about it."""

from typing import NamedTuple


class Mistake(NamedTuple):
    """A file with a mistake.

    Attributes:
        name: The mistake.
        yaml: The file.
        by_schema: What `dg check yaml` says: the line, the field and the problem. Empty if it finds nothing.
        on_load: What `dg check defs` says: the line, the field and what to write.
    """

    name: str
    yaml: str
    by_schema: list[str]
    on_load: list[str]


MISTAKES = [
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
    Mistake(
        "a gate for a run without results",
        """
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
          profiles:
            - profiles_id: abc
              key: a
              gate: {min_score: 0.9}
        """,
        by_schema=["7 profiles.0.gate: Additional properties are not allowed ('gate' was unexpected)"],
        on_load=["7 profiles.0.gate: gate is not available here: a RudderStack Profiles run has no quality results"],
    ),
    Mistake(
        "blocking where it cannot hold",
        """
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
          profiles:
            - profiles_id: abc
              key: a
              gate: {blocking: true}
        """,
        by_schema=["7 profiles.0.gate: Additional properties are not allowed ('gate' was unexpected)"],
        on_load=["7 profiles.0.gate: gate is not available here: a RudderStack Profiles run has no quality results"],
    ),
    Mistake(
        "a threshold that is not judged",
        """
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
          reverse_etl_syncs:
            - connection_id: abc
              key: a
              gate: {min_score: 0.9}
        """,
        by_schema=[
            "7 reverse_etl_syncs.0.gate.min_score: Additional properties are not allowed ('min_score' was unexpected)"
        ],
        on_load=[
            "7 reverse_etl_syncs.0.gate.min_score: min_score is not available here: the checks of a RudderStack Reverse ETL sync do not judge it"
        ],
    ),
    Mistake(
        "a cancellation that is impossible",
        """
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"}
          profiles:
            - profiles_id: abc
              key: a
              on_timeout: cancel
        """,
        by_schema=["7 profiles.0.on_timeout: 'cancel' is not one of ['leave']"],
        on_load=[
            "7 profiles.0.on_timeout: on_timeout='cancel' is impossible for RudderStackProfilesRun: RudderStack offers no way to cancel a Profiles run. Use on_timeout='leave'."
        ],
    ),
    Mistake(
        "an observation that is impossible",
        """
        type: dagster_runs.SegmentflowComponent
        attributes:
          workspace: {api_key: "{{ env.SEGMENTFLOW_API_KEY }}"}
          runs:
            - journey_key: a
              recipient: {email: a@example.com}
              key: a
          observation_sensor: true
        """,
        by_schema=["8 observation_sensor: Additional properties are not allowed ('observation_sensor' was unexpected)"],
        on_load=[
            "8 observation_sensor: observation_sensor is not available here: Segmentflow offers no way to list journey runs"
        ],
    ),
    Mistake(
        "neither of two fields",
        """
        type: dagster_runs.SegmentflowComponent
        attributes:
          workspace: {api_key: "{{ env.SEGMENTFLOW_API_KEY }}"}
          runs:
            - recipient: {email: a@example.com}
              key: a
        """,
        by_schema=[],
        on_load=["5 runs.0: set exactly one of journey_id and journey_key"],
    ),
    Mistake(
        "both of two fields",
        """
        type: dagster_runs.SegmentflowComponent
        attributes:
          workspace: {api_key: "{{ env.SEGMENTFLOW_API_KEY }}"}
          runs:
            - journey_key: a
              journey_id: f0e1d2c3-0000-4000-8000-000000000001
              recipient: {email: a@example.com}
              key: a
        """,
        by_schema=[],
        on_load=["5 runs.0: set exactly one of journey_id and journey_key"],
    ),
    Mistake(
        "an id of another kind",
        """
        type: dagster_runs.AmperityComponent
        attributes:
          workspace: {tenant: acme, access_token: "{{ env.AMPERITY_ACCESS_TOKEN }}"}
          runs:
            - config_id: xx-123
              key: a
        """,
        by_schema=[],
        on_load=[
            "5 runs.0.config_id: config_id must be the ID of a courier group (cg-), an orchestration group (og-) or a campaign (cc-), got 'xx-123'"
        ],
    ),
    Mistake(
        "a URL instead of an id",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: https://testgen.example.com/test-suites?test_suite_id=f0e1d2c3-0000-4000-8000-000000000001
              key: a
        """,
        by_schema=[],
        on_load=[
            "5 suites.0.test_suite_id: this is the URL of a page; the id is the part 'f0e1d2c3-0000-4000-8000-000000000001', so enter only that part"
        ],
    ),
    Mistake(
        "a value that is not an id",
        """
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
          suites:
            - test_suite_id: orders
              key: a
        """,
        by_schema=[],
        on_load=["5 suites.0.test_suite_id: 'orders' is not a UUID; copy the id from the URL of its page"],
    ),
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
        on_load=[
            "6 suites.0.key: this template cannot be evaluated: \"UndefinedError: 'enw' not found in scope, available scope is: env, dg, datetime, automation_condition\""
        ],
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
            "7 suites.0.automation_condition: automation_condition is 'eager'; write it as a template, such as {{ dg.AutomationCondition.eager() }}"
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
        on_load=["7 suites.0.gate.min_score: Input should be less than or equal to 1"],
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
]
