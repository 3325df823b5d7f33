"""RudderStack: the Profiles API."""

from tests.conformance.table import Table, left_out, used

_START = "resource:RudderStackResource.start_profiles_run"
_LOOK = "resource:RudderStackResource.get_profiles_run"
_RUN = "run:RudderStackProfilesRun"
_BOTH = "answers::TestStates::test_both_spellings_say_the_same"
_EXAMPLE = "answers::TestStates::test_the_documented_example_is_read"
_ERRORS = "calls::TestRefusals::test_an_error_is_read_in_every_shape"
_SENT = "calls::TestWhatIsSent::test_each_parameter_is_flag_and_value_in_one_string"
_WORD = "answers::TestStates::test_are_told_by_word_and_error"
_OTHER_API = "another API of the vendor's, for other objects than Profiles projects"
_NOT_OFFERED = "the Profiles API offers no such call"

TABLE = Table(
    "RudderStack",
    "rudderstack",
    {
        "calls": "vendors/test_rudderstack_calls.py",
        "answers": "vendors/test_rudderstack_answers.py",
        "assets": "vendors/test_rudderstack_assets.py",
        "ids": "vendors/test_run_ids.py",
    },
    [
        used(
            "endpoint",
            "POST `/sources/{profilesID}/start`",
            _START,
            "calls::TestWhatIsSent::test_without_parameters_there_is_no_body",
        ),
        used(
            "endpoint",
            "GET `/sources/{profilesID}/runs/{runId}/status`",
            _LOOK,
            "calls::TestWhatIsSent::test_the_status_is_asked_for_by_project_and_run",
        ),
        used(
            "endpoint",
            "US and EU hosts",
            "resource:RudderStackResource.region",
            "calls::TestAddress::test_of_the_api calls::TestAddress::test_of_another_region_is_refused",
        ),
        used(
            "endpoint",
            "host with or without `/v2`",
            "resource:RudderStackResource.base_url",
            "calls::TestAddress::test_of_the_api calls::TestAddress::test_works_with_and_without_its_version",
            "The docs and the vendor's clients differ",
        ),
        left_out(
            "endpoint",
            "stop, cancel or restart a Profiles run",
            f"{_NOT_OFFERED}; the run says where a person stops it",
            "calls::TestFields::test_it_cannot_be_cancelled_and_says_where_to_stop_it "
            "remote_run/test_ending.py::TestTerminatedByAPerson::test_says_plainly_where_the_vendor_cannot",
        ),
        left_out(
            "endpoint",
            "list the runs of a Profiles project",
            f"{_NOT_OFFERED}, so a run whose start's answer was lost cannot be found",
            "remote_run/test_start_or_attach.py::TestLostAnswers::test_nobody_can_tell_at_rudderstack",
        ),
        left_out("endpoint", "list Profiles projects; logs, error details, artifacts", _NOT_OFFERED),
        left_out("endpoint", "GET `/v2/sources`", "whether Profiles projects are among the sources is not documented"),
        left_out(
            "endpoint",
            "GET `/v2/sources/{id}/status`",
            "the older look at the latest run; it cannot tell ours from another's",
        ),
        left_out("endpoint", "`/v2/retl-connections/…`: start, syncs, stop", f"Reverse ETL is {_OTHER_API}"),
        used(
            "parameter",
            "`profilesID`",
            f"{_RUN}.profiles_id",
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused "
            "calls::TestFields::test_the_project_is_the_target",
        ),
        used(
            "parameter",
            "`runId` in the path",
            _LOOK,
            "ids::test_no_run_id_reaches_another_endpoint",
            "Encoded",
        ),
        used(
            "parameter",
            "`parameters`, and none",
            f"{_RUN}.api_parameters {_START}",
            f"{_SENT} calls::TestWhatIsSent::test_without_parameters_there_is_no_body",
            "Without parameters there is no body",
        ),
        used("parameter", "`--model_refs`", f"{_RUN}.model_refs", _SENT),
        used(
            "parameter",
            "`--begin_time`",
            f"{_RUN}.begin_time",
            f"{_SENT} test_assets.py::TestPartitions::test_a_day_fills_the_window",
        ),
        used(
            "parameter",
            "`--end_time`",
            f"{_RUN}.end_time",
            f"{_SENT} test_assets.py::TestPartitions::test_a_range_in_one_run_is_one_remote_run",
        ),
        used("parameter", "`--rebase_incremental`", f"{_RUN}.rebase_incremental", _SENT),
        used(
            "parameter",
            "parameters yet to come",
            f"{_RUN}.parameters",
            f"{_SENT} calls::TestRefusals::test_an_unknown_parameter_is_told_in_the_vendors_words",
            "Appended as they are",
        ),
        left_out(
            "parameter",
            "`page`, `syncType`, `status`, `started_after`, `started_before`, `limit`; the fields of sources and syncs",
            "of endpoints that are left out",
        ),
        used(
            "field",
            "`runId` of the start's answer",
            "models:StartedRun.run_id",
            "answers::TestStates::test_both_spellings_of_the_runs_id_are_taken "
            "answers::TestStates::test_a_start_without_an_id_may_have_started_something",
        ),
        left_out(
            "field", "`jobId`, `job_id`; `tasks[].job_id`", "it repeats the project's id, which we sent", _EXAMPLE
        ),
        left_out("field", "`jobRunId`, `id`", "it repeats the run's id, which we asked for", _EXAMPLE),
        used(
            "field",
            "`status`",
            "models:ProfilesRunStatus.status",
            f"{_WORD} answers::TestStates::test_a_body_without_a_state_is_quoted",
        ),
        used("field", "`startedAt`, `started_at`", "models:ProfilesRunStatus.started_at", f"{_BOTH} {_EXAMPLE}"),
        used(
            "field",
            "`finishedAt`, `finished_at`; absent, null, Go's zero time",
            "models:ProfilesRunStatus.finished_at",
            f"{_BOTH} answers::TestStates::test_a_time_that_is_none_yet_does_not_hide_the_state",
        ),
        used(
            "field",
            "`error`",
            "models:ProfilesRunStatus.error",
            "answers::TestStates::test_the_error_is_told_in_the_vendors_words",
            "In no documented body, but the vendor's clients read it",
        ),
        used(
            "field",
            "`tasks[]`",
            "models:ProfilesRunStatus.tasks",
            "assets::TestAsAnAsset::test_a_good_run_shows_its_tasks "
            "answers::TestStates::test_strange_tasks_do_not_hide_the_state",
            "Metadata `rudderstack/tasks`",
        ),
        used("field", "`tasks[].taskId`, `task_id`", "models:Task.task_id", _BOTH),
        used(
            "field",
            "`tasks[].taskRunId`, `task_run_id`",
            "models:Task.task_run_id",
            "conformance/test_gaps.py::test_rudderstacks_tasks_are_read_in_both_spellings",
            "Read, not shown: nothing can be looked up by it",
        ),
        used(
            "field",
            "`tasks[].startedAt`, `started_at`",
            "models:Task.started_at",
            "assets::TestAsAnAsset::test_a_good_run_shows_its_tasks",
        ),
        used("field", "`tasks[].finishedAt`, `finished_at`", "models:Task.finished_at", _BOTH),
        used("state", "`running`", "run:_WORDS[running]", _WORD),
        used("state", "`processing`", "run:_WORDS[processing]", _WORD),
        used("state", "`finished` without `error`", "run:_WORDS[finished]", _WORD),
        used(
            "state",
            "`finished` with `error`",
            f"{_RUN}.fetch_status",
            f"{_WORD} assets::TestAsAnAsset::test_both_ways_to_fail_are_failures",
            "A failure: the vendor's newest client tells it so",
        ),
        used(
            "state",
            "`failed`",
            "run:_WORDS[failed]",
            f"{_WORD} assets::TestAsAnAsset::test_both_ways_to_fail_are_failures",
        ),
        used(
            "state",
            "any other word",
            "dagster_runs.remote_run.state:state_of",
            f"{_WORD} assets::TestAsAnAsset::test_an_unknown_word_with_an_end_is_an_error_that_quotes_it "
            "assets::TestAsAnAsset::test_an_unknown_word_without_an_end_is_waited_for",
            "No end; with an end time an error",
        ),
        used(
            "login",
            "`Authorization: Bearer <token>`",
            "resource:RudderStackResource.auth resource:RudderStackResource.access_token",
            "calls::TestWhatIsSent::test_without_parameters_there_is_no_body calls::TestRefusals::test_a_wrong_token",
        ),
        used(
            "login",
            "service access token (Profiles → Edit), personal access token",
            "resource:RudderStackResource.access_token",
            "calls::TestWhatIsSent::test_without_parameters_there_is_no_body "
            "slow/test_secrets.py::test_nothing_that_is_stored_or_printed_holds_a_secret",
            "Both are sent alike; the docstring says which to take",
        ),
        left_out("login", "expiry, refresh, OAuth", "not documented for this API"),
        used(
            "error",
            "409: the project is already running",
            f"{_RUN}.is_conflict_with_going_run",
            "calls::TestRefusals::test_409_is_a_conflict_with_a_run_that_is_going "
            "remote_run/test_start_or_attach.py::TestRefusedStarts::test_a_strangers_run_is_waited_for_and_not_taken",
            "Waited for, never taken for ours",
        ),
        used(
            "error",
            "401, also as plain text",
            "resource:RudderStackResource.error_reader",
            f"calls::TestRefusals::test_a_wrong_token {_ERRORS}",
        ),
        used("error", "403: flag or feature not enabled", "resource:RudderStackResource.error_reader", _ERRORS),
        used(
            "error",
            "404 for an unknown project",
            "resource:RudderStackResource.error_reader",
            "calls::TestRefusals::test_an_unknown_project",
        ),
        used("error", "`error`, `message`, `code`, `details`", "resource:RudderStackResource.error_reader", _ERRORS),
        used(
            "error",
            "500; outages",
            "dagster_runs.transport.retry:may_send_again",
            f"{_ERRORS} transport/test_retries.py::test_a_read_is_sent_again_after "
            "remote_run/test_waiting.py::test_an_outage_of_the_status_endpoint_ends_nothing",
        ),
        left_out(
            "rule",
            "a rate limit's number, `Retry-After`",
            "not documented; `requests_per_second` sets a limit, and 429 and `Retry-After` are heeded if they come",
            "transport/test_retries.py::test_what_a_retry_after_header_asks_for "
            "remote_run/test_start_or_attach.py::TestRefusedStarts::test_429_is_sent_again",
        ),
        left_out(
            "rule",
            "idempotency key, request id",
            "none is documented; a start is sent once",
            "transport/test_retries.py::TestAStart::test_is_sent_once_by_itself",
        ),
        left_out("rule", "a page for a run", "its address is not documented"),
    ],
)
