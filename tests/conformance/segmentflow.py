"""Segmentflow: journeys, by both triggers."""

from tests.conformance.table import Table, left_out, used

_R = "resource:SegmentflowResource"
_RUN = "run:SegmentflowJourneyRun"

TABLE = Table(
    "Segmentflow",
    "segmentflow",
    {
        "calls": "vendors/test_segmentflow_calls.py",
        "answers": "vendors/test_segmentflow_answers.py",
        "assets": "vendors/test_segmentflow_assets.py",
        "lost": "vendors/test_segmentflow_lost_starts.py",
        "ids": "vendors/test_run_ids.py",
    },
    [
        used(
            "endpoint",
            "POST `/api/v1/public/journeys/{id}/trigger`",
            f"{_R}.trigger_journey",
            "calls::TestWhatIsSent::test_by_the_older_trigger",
        ),
        used(
            "endpoint",
            "POST `/api/v1/journeys/{journeyKey}/trigger`",
            f"{_R}.trigger_journey_by_key",
            "calls::TestWhatIsSent::test_by_the_newer_trigger",
        ),
        used(
            "endpoint",
            "GET `/api/v1/public/journeys/runs/{runId}`",
            f"{_R}.get_journey_run",
            "calls::TestWhatIsSent::test_the_status_is_asked_for_by_run "
            "answers::TestStates::test_each_shape_says_the_same",
        ),
        left_out("endpoint", "POST `/api/v1/events`", "tracks an event; its answer has no run's id to wait for"),
        left_out(
            "endpoint", "`/broadcasts…`", "sends to many at once: no journey, and not part of this project's scope"
        ),
        left_out("endpoint", "GET `/api/v1/emails/{id}`", "a single email, not a run"),
        left_out(
            "endpoint",
            "cancel a run",
            "not documented; the run says where a person stops it",
            "calls::TestFields::test_it_cannot_be_cancelled_and_says_where_to_stop_it "
            "assets::TestTermination::test_says_plainly_that_the_run_goes_on",
        ),
        left_out(
            "endpoint",
            "list journeys, list runs",
            "not documented; the newer trigger's idempotency key finds a lost start instead",
            "lost::TestLostAnswers::test_nobody_can_tell_with_the_older_one",
        ),
        left_out("endpoint", "steps and logs of a run", "not documented"),
        used(
            "parameter",
            "`id` of the journey, a UUID",
            f"{_RUN}.journey_id",
            "calls::TestWhatIsSent::test_by_the_older_trigger calls::TestFields::test_that_make_no_sense_are_refused",
        ),
        used(
            "parameter",
            "`journeyKey`, 1 to 120 characters",
            f"{_RUN}.journey_key",
            "calls::TestWhatIsSent::test_by_the_newer_trigger calls::TestFields::test_that_make_no_sense_are_refused",
        ),
        used(
            "parameter",
            "header `idempotency-key`, 1 to 255 characters",
            f"{_RUN}.start_is_repeatable {_R}.trigger_journey_by_key",
            "lost::TestLostAnswers::test_the_newer_trigger_gives_the_same_run "
            "lost::TestLostAnswers::test_a_crash_between_the_request_and_its_note_sends_the_same_key "
            "calls::TestWhatIsSent::test_by_the_newer_trigger",
            "The ledger's correlation id",
        ),
        used(
            "parameter",
            "`recipient`: `email`, `userId`, `anonymousId`",
            f"{_RUN}.recipient",
            "calls::TestWhatIsSent::test_by_the_older_trigger calls::TestFields::test_that_make_no_sense_are_refused",
            "One of them is required, since nobody would be meant",
        ),
        used(
            "parameter",
            "`profile`: also `externalId`, `properties`",
            f"{_RUN}.recipient",
            "calls::TestWhatIsSent::test_by_the_newer_trigger calls::TestFields::test_that_make_no_sense_are_refused",
        ),
        used("parameter", "`variables`", f"{_RUN}.variables", "calls::TestWhatIsSent::test_by_the_older_trigger"),
        used(
            "parameter",
            "`runId` in the path",
            f"{_R}.get_journey_run",
            "ids::test_no_run_id_reaches_another_endpoint",
        ),
        left_out(
            "parameter",
            "`event`, `data`, `referenceId`, `redactedDataPaths`, `occurredAt`; the states of broadcasts and emails",
            "of endpoints that are left out",
        ),
        used(
            "field",
            "start: `runId`",
            "models:TriggeredRun.run_id",
            "calls::TestWhatIsSent::test_by_the_older_trigger "
            "answers::TestStates::test_a_start_without_an_id_may_have_started_something",
        ),
        left_out("field", "start: `workflowId`, `status`", "the look at the run tells them"),
        used(
            "field",
            "run: `status`",
            "models:JourneyRun.status",
            "answers::TestStates::test_are_told_by_word answers::TestStates::test_a_body_without_a_state_is_quoted "
            "answers::TestAnyBody::test_of_a_status",
        ),
        used(
            "field",
            "run: `journeyId`",
            "models:JourneyRun.journey_id",
            "answers::TestStates::test_each_shape_says_the_same "
            "assets::TestOutcome::test_a_good_run_is_a_materialization",
        ),
        used(
            "field",
            "run: `profileId`",
            "models:JourneyRun.profile_id",
            "answers::TestStates::test_each_shape_says_the_same "
            "assets::TestOutcome::test_a_good_run_is_a_materialization",
        ),
        used(
            "field",
            "run: `workflowId`, absent, null or a text",
            "models:JourneyRun.workflow_id",
            "answers::TestStates::test_each_shape_says_the_same answers::TestStates::test_a_workflow_may_be_null",
        ),
        used(
            "field",
            "run: `triggeredAt`",
            "models:JourneyRun.triggered_at",
            "answers::TestStates::test_each_shape_says_the_same "
            "answers::TestStates::test_the_documented_example_is_read "
            "answers::TestStates::test_a_strange_time_does_not_hide_the_state",
        ),
        used(
            "field",
            "run: `completedAt`, absent, null or a time",
            "models:JourneyRun.completed_at",
            "answers::TestStates::test_each_shape_says_the_same "
            "answers::TestStates::test_the_documented_example_is_read "
            "answers::TestStates::test_a_strange_time_does_not_hide_the_state",
        ),
        used(
            "field",
            "run: `error`, null or a text",
            "models:JourneyRun.error",
            "assets::TestOutcome::test_a_failed_run_shows_the_vendors_words",
        ),
        left_out("field", "run: `runId`", "it repeats the id that we asked for"),
        used("state", "`queued`", "run:_WORDS[queued]", "answers::TestStates::test_are_told_by_word"),
        used(
            "state",
            "`running`, for days",
            "run:_WORDS[running]",
            "answers::TestStates::test_are_told_by_word "
            "assets::TestDays::test_a_run_of_hours_costs_few_looks_and_few_observations "
            "assets::TestDays::test_the_timeout_is_thirty_days_unless_the_user_says_otherwise",
        ),
        used("state", "`completed`", "run:_WORDS[completed]", "answers::TestStates::test_are_told_by_word"),
        used(
            "state",
            "`failed`",
            "run:_WORDS[failed]",
            "answers::TestStates::test_are_told_by_word assets::TestOutcome::test_a_failed_run_shows_the_vendors_words",
        ),
        used(
            "state",
            "`exited`",
            f"{_RUN}.on_exited",
            "answers::TestStates::test_leaving_early_is_what_the_user_says "
            "assets::TestOutcome::test_leaving_early_fails_by_default "
            "assets::TestOutcome::test_leaving_early_is_good_where_the_user_says_so",
            "A failure unless the user says otherwise: nobody documents it as a success",
        ),
        used(
            "state",
            "any other word",
            "dagster_runs.remote_run.state:state_of",
            "answers::TestStates::test_are_told_by_word assets::TestOutcome::test_an_unknown_word_is_waited_for "
            "assets::TestOutcome::test_an_unknown_word_with_an_end_is_quoted",
        ),
        used(
            "login",
            "header `x-api-key`",
            f"{_R}.api_key {_R}.auth",
            "calls::TestWhatIsSent::test_by_the_older_trigger calls::TestRefusals::test_a_wrong_key",
        ),
        used(
            "login",
            "`https://api.segmentflow.ai`, other hosts",
            f"{_R}.base_url",
            "calls::TestConnection::test_address",
        ),
        used(
            "login",
            "scopes `journeys:trigger`, `journeys:read`",
            f"{_R}.api_key",
            "calls::TestRefusals::test_a_missing_scope_is_named calls::TestRefusedLooks::test_a_key_that_may_not_read",
            "The error names the missing one",
        ),
        left_out("login", "expiry, refresh", "not documented"),
        left_out("login", "write keys", "for events from browsers; they start no run"),
        used(
            "error",
            "`error`, `message`, `details`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_is_read_in_every_shape",
        ),
        used(
            "error",
            "401 `unauthorized`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_is_read_in_every_shape calls::TestRefusals::test_a_wrong_key",
        ),
        used(
            "error",
            "403 `insufficient_scope` with `required`; `send_not_allowed`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_is_read_in_every_shape "
            "calls::TestRefusals::test_a_missing_scope_is_named calls::TestRefusals::test_a_key_that_may_not_send "
            "calls::TestRefusedLooks::test_a_key_that_may_not_read",
        ),
        used(
            "error",
            "404 `not_found`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_unknown_journey calls::TestRefusedLooks::test_an_unknown_run",
        ),
        used(
            "error",
            "400, 422 `validation_failed` with `details`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_is_read_in_every_shape "
            "calls::TestRefusals::test_what_the_vendor_finds_wrong_with_the_body_is_shown",
        ),
        used(
            "error",
            "422 or 409 `idempotency_key_reuse`",
            f"{_R}.trigger_journey_by_key",
            "calls::TestTheIdempotencyKey::test_another_body_is_an_error_that_stays",
        ),
        used(
            "error",
            "a journey without an API entry",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_a_journey_without_an_api_entry",
        ),
        used(
            "error",
            "409: the lock of an idempotency key",
            f"{_R}.trigger_journey_by_key",
            "calls::TestTheIdempotencyKey::test_the_lock_of_an_earlier_try_passes "
            "lost::TestLostAnswers::test_the_lock_of_the_lost_try_is_waited_for",
            "Waited for: the earlier try may start the run",
        ),
        used("error", "410, 501", f"{_R}.error_reader", "calls::TestRefusals::test_an_error_is_read_in_every_shape"),
        used(
            "error",
            "429",
            "dagster_runs.transport.retry:may_send_again",
            "transport/test_retries.py::test_a_read_is_sent_again_after "
            "transport/test_retries.py::TestAStart::test_that_cannot_have_been_accepted_may_be_sent_again",
            "The number is not documented; `requests_per_second` sets a limit",
        ),
        used(
            "rule",
            "202 for a start",
            f"{_R}.trigger_journey {_R}.trigger_journey_by_key",
            "calls::TestWhatIsSent::test_both_codes_of_success_are_taken",
            "Any 2xx is taken",
        ),
        left_out(
            "rule",
            "`Retry-After`",
            "not documented; heeded if it comes",
            "transport/test_retries.py::test_what_a_retry_after_header_asks_for",
        ),
        left_out("rule", "a page for a run or a journey", "its address is not documented"),
    ],
)
