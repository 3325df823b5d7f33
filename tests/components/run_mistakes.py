# ruff: noqa: E501 - the messages are not wrapped
"""Files with one mistake each in what a kind of run can have, and what is said about it."""

from tests.components.mistakes import Mistake

RUN_MISTAKES = [
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
]
