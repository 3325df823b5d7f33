"""TestGen: the jobs API, as servers of 5.33 and of 5.134 have it."""

from tests.conformance.table import Table, left_out, used

_R = "resource:TestGenResource"
_TEST = "runs:TestGenTestRun"
_PROFILE = "runs:TestGenProfilingRun"
_MARKED = "calls::TestWhatIsSent::test_a_test_run_is_marked_as_ours"
_NO_BODY = "calls::TestWhatIsSent::test_profiling_has_no_body"
_JOB = "calls::test_the_recorded_answers_of_real_servers_are_read"
_TIMES = "calls::TestStates::test_times_and_error_come_along"
_WORD = "calls::TestStates::test_each_of_the_thirteen_words"
_COUNTS = "results::TestTestRuns::test_bring_score_and_counts_in_both_shapes"
_NEW = "results::TestProfilingRuns::test_bring_score_sizes_and_issues_of_the_new_shape"
_OLD = "results::TestProfilingRuns::test_bring_score_sizes_and_issues_of_the_old_shape"
_ERRORS = "calls::TestErrors::test_are_read_in_every_shape"
_CANCEL = "calls::TestCancelling::test_ends_canceled"
_FAILING = "results::TestFailingTests::test_are_listed_worst_first"
_TABLE = "outcomes::TestMetadata::test_failing_tests_are_a_table_of_texts"
_PAGES = "lost::TestByOurMark::test_beyond_the_first_page"
_LOGIN = "login::test_the_first_call_logs_in_and_the_others_do_not"
_SHARED = "login::test_resources_of_one_client_share_its_token"
_LINK = "results::TestLinks::test_lead_to_the_results_page"
_SETS_UP = "sets TestGen up rather than running something"

TABLE = Table(
    "TestGen",
    "testgen",
    {
        "calls": "vendors/test_testgen_calls.py",
        "results": "vendors/test_testgen_results.py",
        "outcomes": "vendors/test_testgen_outcomes.py",
        "login": "vendors/test_testgen_login.py",
        "lost": "vendors/test_testgen_lost_starts.py",
        "answers": "vendors/test_testgen_answers.py",
    },
    [
        used("endpoint", "POST `/test-suites/{id}/test-runs`", f"{_R}.submit_test_run {_TEST}.start", _MARKED),
        used(
            "endpoint",
            "POST `/table-groups/{id}/profiling-runs`",
            f"{_R}.submit_profiling_run {_PROFILE}.start",
            _NO_BODY,
        ),
        used(
            "endpoint",
            "GET `/jobs/{id}`",
            f"{_R}.get_job",
            f"{_JOB} calls::TestAJobThatIsGone::test_is_told_by_testgens_own_words",
        ),
        used(
            "endpoint",
            "POST `/jobs/{id}/cancel`",
            f"{_R}.cancel_job",
            f"{_CANCEL} "
            "remote_run/test_ending.py::TestTerminatedByAPerson::test_cancels_where_the_vendor_can_and_is_not_retried",
        ),
        used(
            "endpoint",
            "GET `/projects/{code}/jobs`",
            f"{_R}.jobs_since",
            f"{_PAGES} lost::test_another_project_is_an_error "
            "in_flight/test_observation.py::test_a_strangers_success_is_a_materialization_with_checks",
            "To find a run whose start's answer was lost, to follow deferred runs, and to see those that others start",
        ),
        used("endpoint", "GET `/test-runs/{id}`", f"{_R}.get_test_run", _COUNTS),
        used(
            "endpoint",
            "GET `/test-runs/{id}/results` (new)",
            f"{_R}.list_failing_tests",
            f"{_FAILING} results::TestFailingTests::test_are_left_out_on_a_server_that_does_not_list_them",
            "Without it the counts alone are shown",
        ),
        used("endpoint", "GET `/profiling-runs/{id}`", f"{_R}.get_profiling_run", f"{_NEW} {_OLD}"),
        used(
            "endpoint",
            "GET `/test-suites/{id}`, `/table-groups/{id}` (new)",
            f"{_R}.project_of",
            "lost::TestBySuiteAndTime::test_none "
            "conformance/test_gaps.py::test_testgens_list_of_another_project_tells_nothing",
            "For the project of what is run",
        ),
        used(
            "endpoint",
            "GET `/api/openapi.json`",
            f"{_R}.knows_match_schema_name",
            "calls::TestMatchSchemaName::test_is_refused_where_the_server_would_ignore_it",
            "The version is told by shape",
        ),
        used("endpoint", "POST `/oauth/token`", "resource:TestGenResource.auth", _LOGIN),
        left_out(
            "endpoint",
            "GET `/health`",
            "its version is null on many installations, and a version is told by shape instead",
        ),
        left_out(
            "endpoint", "POST `/test-suites/{id}/test-generation`", "it changes the suite and brings no result on data"
        ),
        left_out(
            "endpoint",
            "GET `/profiling-runs/{id}/hygiene-issues`, `/potential-pii`, `/columns` (new)",
            "the counts decide; the single issues are on the page that the link leads to",
        ),
        left_out(
            "endpoint", "GET `/table-groups/{id}/profiling-runs` (new)", "history; Dagster keeps that of its own runs"
        ),
        left_out(
            "endpoint",
            "GET `/projects/{code}/test-suites`, `/table-groups`, `/connections`, `/connections/{id}` (new)",
            "discovery; assets are defined by id",
        ),
        left_out("endpoint", "GET `/projects/{code}/scores` (new)", "a project's scores from 0 to 100, not a run's"),
        left_out(
            "endpoint",
            "POST `/table-groups/{id}/test-suites`, `/connections/{id}/table-groups`; PATCH `/table-groups/{id}` (new)",
            _SETS_UP,
        ),
        left_out("endpoint", "test definitions: export, import", _SETS_UP),
        left_out(
            "endpoint",
            "schedules, monitors, monitoring, notification rules and destinations (new)",
            f"Dagster schedules and alerts; this {_SETS_UP}",
        ),
        left_out(
            "endpoint",
            "`/oauth/authorize`, `/register`, `/revoke`, `/logout`, discovery",
            "a login by a person, done once outside of Dagster",
        ),
        left_out(
            "endpoint",
            "list projects; list a suite's runs; restart, logs, pause, resume",
            "neither server has such a call",
        ),
        used(
            "parameter",
            "`test_suite_id`, a UUID",
            f"{_TEST}.test_suite_id",
            "calls::TestIds::test_that_are_no_uuids_are_refused "
            "calls::TestIds::test_of_other_spellings_are_made_canonical",
        ),
        used(
            "parameter",
            "`table_group_id`, a UUID",
            f"{_PROFILE}.table_group_id",
            "calls::TestIds::test_that_are_no_uuids_are_refused",
        ),
        used(
            "parameter",
            "`job_id` in the path",
            f"{_R}.get_job",
            "calls::TestIds::test_no_job_id_reaches_another_endpoint",
        ),
        used(
            "parameter",
            "`external_url` (new), at most 2048 characters",
            f"{_TEST}.start",
            f"{_MARKED} calls::TestWhatIsSent::test_what_is_not_known_is_not_sent",
            "Link to the Dagster run; the old server ignores it",
        ),
        used(
            "parameter",
            "`metadata` (new)",
            "runs:CORRELATION_ID",
            f"{_MARKED} lost::TestByOurMark::test_among_other_peoples_runs_of_the_same_suite",
            "Our mark; the old server ignores it",
        ),
        used(
            "parameter",
            "`match_schema_name` (new)",
            f"{_TEST}.match_schema_name",
            "calls::TestMatchSchemaName::test_is_sent_to_a_server_that_heeds_it "
            "calls::TestMatchSchemaName::test_is_refused_where_the_server_would_ignore_it",
        ),
        used(
            "parameter",
            "`job_key` of the list: `run-tests`, `run-profile`",
            f"{_TEST}.job_key {_PROFILE}.job_key",
            "lost::TestBySuiteAndTime::test_a_run_of_another_kind_is_none",
        ),
        used(
            "parameter",
            "`page`, `limit` up to 100",
            f"{_R}.jobs_since {_R}.list_failing_tests",
            f"{_PAGES} results::TestFailingTests::test_of_a_very_bad_suite_are_cut",
        ),
        used("parameter", "`status` of the results", f"{_R}.list_failing_tests", _FAILING),
        left_out("parameter", "`status` of the list of jobs", "our run may have any"),
        left_out(
            "parameter",
            "`table_name`, `column_name`, `test_type`, `disposition` of the results",
            "all that failed are shown, and dismissed ones are left out by default",
        ),
        left_out(
            "parameter",
            "`issue_type`, `likelihood`, `pii_risk`, `sort`, `connection_id`, `schema_name`, "
            "`table_group_name`, `test_suite_name`",
            "filters of endpoints that are left out",
        ),
        left_out("parameter", "`generation_sets`", "test generation is left out"),
        left_out("parameter", "`run-monitors`, `run-test-generation` as `job_key`", "no kinds of runs here"),
        used(
            "parameter",
            "`project_code`",
            f"{_R}.project_code",
            "lost::test_without_a_project_nothing_can_be_looked_for results::TestLinks::test_need_both_settings",
        ),
        used("field", "`id` of a submission", "models:SubmittedJob.id", f"{_MARKED} answers::test_of_a_submission"),
        used("field", "job: `id`", "models:Job.id models:PartOfJob.id", _PAGES),
        used(
            "field",
            "job: `status`",
            "models:Job.status",
            f"{_WORD} calls::TestStates::test_no_word_is_an_error_that_quotes_the_answer",
        ),
        used(
            "field",
            "job: `job_key`",
            "models:PartOfJob.job_key",
            "answers::test_of_a_job conformance/test_gaps.py::test_what_is_read_and_not_shown",
            "A text of any value: the versions differ; the server filters by it",
        ),
        used(
            "field",
            "job: `source`",
            "models:PartOfJob.source",
            "lost::TestBySuiteAndTime::test_a_run_that_no_request_started_is_none",
        ),
        used(
            "field",
            "job: `created_at`",
            "models:PartOfJob.created_at",
            "lost::TestBySuiteAndTime::test_a_run_from_before_the_start_is_none "
            "lost::test_the_servers_clock_may_go_wrong",
        ),
        used("field", "job: `started_at`, null until set", "models:Job.started_at", f"{_TIMES} {_JOB}"),
        used(
            "field",
            "job: `completed_at`, null until set",
            "models:Job.completed_at",
            f"{_TIMES} calls::TestStates::test_a_strange_time_does_not_hide_the_state",
        ),
        used(
            "field",
            "job: `error_message`",
            "models:Job.error_message",
            f"{_TIMES} remote_run/test_ending.py::TestFailure::test_publishes_the_vendors_words_and_then_fails",
        ),
        left_out("field", "job: `claimed_at`", "null for many runs; the start time is enough"),
        used("field", "list: `items`", "models:JobPage.items", f"{_PAGES} answers::test_of_a_list_of_jobs"),
        used("field", "list: `page`", "models:JobPage.page", "answers::test_of_a_list_of_jobs"),
        used("field", "list: `limit`", "models:JobPage.limit", _PAGES),
        used("field", "list: `total`", "models:JobPage.total", _PAGES),
        used(
            "field",
            "suite, table group: `project_code` (new)",
            "models:Target.project_code",
            "conformance/test_gaps.py::test_testgens_list_of_another_project_tells_nothing",
        ),
        left_out(
            "field",
            "suite, table group: name, description, connection, counts, scores, latest run",
            "discovery is left out",
        ),
        used(
            "field",
            "test run: `test_suite_id`, null at first",
            "models:TestRun.target_id",
            "lost::TestBySuiteAndTime::test_a_run_that_has_not_begun_does_not_tell_its_target_yet",
        ),
        used(
            "field",
            "test run: `metadata` (new)",
            "models:TestRun.metadata",
            "lost::TestByOurMark::test_among_other_peoples_runs_of_the_same_suite",
        ),
        used(
            "field",
            "test run: `result`, null or partial at first",
            "models:TestRun.result",
            f"{_COUNTS} results::TestTestRuns::test_without_counts_pass_no_check",
        ),
        used(
            "field",
            "test run: `result.result_counts` (new), `result.tests` (old)",
            "models:TestResult.counts",
            f"{_COUNTS} results::TestTestRuns::test_with_strange_counts_pass_no_check",
        ),
        used(
            "field",
            "test run: `result.score`, null at first",
            "models:TestResult.score",
            f"{_COUNTS} results::TestLateScores::test_are_waited_for "
            "results::TestLateScores::test_are_waited_for_only_so_long",
        ),
        used(
            "field",
            "counts: `passed`",
            "models:TestCounts.passed",
            f"{_COUNTS} outcomes::TestTestsPassed::test_by_the_counts_and_the_gate",
        ),
        used(
            "field",
            "counts: `failed`",
            "models:TestCounts.failed",
            f"{_COUNTS} outcomes::TestTestsPassed::test_by_the_counts_and_the_gate",
        ),
        used(
            "field",
            "counts: `warning`",
            "models:TestCounts.warning",
            f"{_COUNTS} outcomes::TestTestsPassed::test_by_the_counts_and_the_gate",
        ),
        used(
            "field",
            "counts: `error`",
            "models:TestCounts.error",
            f"{_COUNTS} results::TestTestRuns::test_of_a_broken_test_fail_though_the_score_is_one",
        ),
        used(
            "field",
            "counts: `log`",
            "models:TestCounts.log",
            f"{_COUNTS} outcomes::TestTestsPassed::test_no_tests_is_no_pass_and_says_so",
        ),
        used("field", "counts: `dismissed`", "models:TestCounts.dismissed", _COUNTS),
        left_out(
            "field",
            "test run: `id`, `status`, `started_at`, `completed_at`, `table_group_id`, `external_url`",
            "the job tells the same, or we sent it",
        ),
        used(
            "field",
            "profiling run: `table_group_id`, null at first",
            "models:ProfilingRun.target_id",
            "lost::TestBySuiteAndTime::test_one_candidate "
            "lost::TestBySuiteAndTime::test_a_run_of_another_target_is_none",
        ),
        used(
            "field", "profiling run: `result`", "models:ProfilingRun.result", f"{_NEW} answers::test_of_a_profiling_run"
        ),
        used("field", "profiling run: `result.score`", "models:ProfilingResult.score", f"{_NEW} {_OLD}"),
        used(
            "field",
            "profiling run: `result.table_ct`",
            "models:ProfilingResult.tables",
            f"{_NEW} results::TestProfilingRuns::test_of_no_tables_pass_no_check_though_the_score_is_one",
        ),
        used("field", "profiling run: `result.column_ct`", "models:ProfilingResult.columns", f"{_NEW} {_OLD}"),
        used("field", "profiling run: `result.record_ct`", "models:ProfilingResult.records", f"{_NEW} {_OLD}"),
        used(
            "field",
            "profiling run: `result.issue_counts` (new), `result.issues` (old)",
            "models:ProfilingResult.issues",
            f"{_NEW} {_OLD}",
        ),
        used(
            "field",
            "issues: `definite`",
            "models:IssueCounts.definite",
            f"{_NEW} {_OLD} results::TestProfilingRuns::test_are_judged_by_definite_and_likely_issues",
        ),
        used(
            "field",
            "issues: `likely`",
            "models:IssueCounts.likely",
            f"{_NEW} {_OLD} results::TestProfilingRuns::test_are_judged_by_definite_and_likely_issues",
        ),
        used("field", "issues: `possible` (old: with potential PII)", "models:IssueCounts.possible", f"{_NEW} {_OLD}"),
        used("field", "issues: `potential_pii.high` (new)", "models:IssueCounts.pii_high", f"{_NEW} {_OLD}"),
        used("field", "issues: `potential_pii.moderate` (new)", "models:IssueCounts.pii_moderate", f"{_NEW} {_OLD}"),
        used("field", "issues: `dismissed`", "models:IssueCounts.dismissed", f"{_NEW} {_OLD}"),
        left_out("field", "profiling run: `id`, `status`, `started_at`, `completed_at`", "the job tells the same"),
        used(
            "field",
            "results: `items`",
            "models:FailingTestPage.items",
            f"{_FAILING} answers::test_of_a_list_of_results",
        ),
        left_out("field", "results: `total`", "one page of a status holds as many as are shown"),
        used("field", "results: `result_status`", "models:FailingTest.result_status", f"{_FAILING} {_TABLE}"),
        used("field", "results: `result_message`", "models:FailingTest.result_message", f"{_FAILING} {_TABLE}"),
        used("field", "results: `table_name`", "models:FailingTest.table_name", _TABLE),
        used("field", "results: `column_names`", "models:FailingTest.column_names", _TABLE),
        used("field", "results: `test_type`", "models:FailingTest.test_type", _TABLE),
        used("field", "results: `test_type_name`", "models:FailingTest.test_type_name", _TABLE),
        used("field", "results: `result_measure`, a text", "models:FailingTest.result_measure", _TABLE),
        used("field", "results: `threshold_value`, a text", "models:FailingTest.threshold_value", _TABLE),
        used(
            "field",
            "results: `schema_name`",
            "models:FailingTest.schema_name",
            "conformance/test_gaps.py::test_what_is_read_and_not_shown",
            "Read, not shown: it is the table group's",
        ),
        left_out(
            "field",
            "results: `test_definition_id`, `test_time`, `disposition`",
            "not shown; the link leads to the page that has them",
        ),
        left_out(
            "field",
            "fields of hygiene issues, potential PII, columns, histories, scores",
            "their endpoints are left out",
        ),
        used("state", "`pending`", "models:_WORDS[pending]", _WORD),
        used("state", "`claimed`", "models:_WORDS[claimed]", _WORD),
        used("state", "`queued` (new)", "models:_WORDS[queued]", _WORD),
        used("state", "`running`", "models:_WORDS[running]", _WORD),
        used("state", "`cancel_requested`", "models:_WORDS[cancelrequested]", f"{_WORD} {_CANCEL}"),
        used("state", "`interrupt_requested` (new)", "models:_WORDS[interruptrequested]", _WORD),
        used("state", "`interrupted` (new)", "models:_WORDS[interrupted]", _WORD),
        used("state", "`pause_requested` (new)", "models:_WORDS[pauserequested]", _WORD),
        used(
            "state",
            "`paused` (new), without end",
            "models:_WORDS[paused]",
            f"{_WORD} remote_run/test_waiting.py::test_paused_is_still_going",
            "Until our timeout",
        ),
        used("state", "`resume_requested` (new)", "models:_WORDS[resumerequested]", _WORD),
        used(
            "state",
            "`completed`",
            "models:_WORDS[completed]",
            f"{_WORD} results::TestTestRuns::test_are_judged_by_their_counts",
            "Says nothing of the tests: the counts decide",
        ),
        used("state", "`error`", "models:_WORDS[error]", f"{_WORD} {_TIMES}"),
        used(
            "state",
            "`canceled`, also unasked",
            "models:_WORDS[canceled]",
            f"{_WORD} "
            "remote_run/test_ending.py::TestFailure::test_a_run_that_was_cancelled_at_the_vendor_is_no_success",
        ),
        used(
            "state",
            "any other word",
            "dagster_runs.remote_run.state:state_of",
            "calls::TestStates::test_an_unknown_word_is_no_end "
            "remote_run/test_waiting.py::test_an_unknown_word_with_an_end_is_an_error_that_quotes_it",
        ),
        used(
            "login",
            "bearer token: JWT, personal access token",
            f"{_R}.access_token {_R}.auth",
            "calls::TestErrors::test_a_wrong_token calls::TestAddress::test_needs_one_way_to_log_in",
        ),
        used(
            "login",
            "grant `refresh_token`, confidential client",
            f"{_R}.client_id {_R}.client_secret {_R}.refresh_token resource:TestGenResource.auth",
            f"{_LOGIN} {_SHARED} login::test_a_refresh_token_that_has_ended_is_refused",
        ),
        used("login", "`access_token` of the answer", "dagster_runs.transport.oauth:_TokenAnswer.access_token", _LOGIN),
        used(
            "login",
            "`expires_in`",
            "dagster_runs.transport.oauth:_TokenAnswer.expires_in",
            "login::test_a_token_is_renewed_before_it_ends",
        ),
        used(
            "login",
            "`refresh_token` of the answer: rotates for public clients",
            "dagster_runs.transport.oauth:_TokenAnswer.refresh_token",
            "conformance/test_gaps.py::test_testgens_newest_refresh_token_is_sent_next",
            "The newest one is sent next",
        ),
        used(
            "login",
            "a refresh revokes the earlier access token",
            "dagster_runs.transport.auth:RenewedToken.renew",
            "login::test_a_token_that_another_process_revokes_is_renewed "
            "login::test_two_processes_that_share_a_refresh_token_both_get_through",
        ),
        used(
            "login",
            "roles: `edit` to submit and cancel, `view` to read",
            f"{_R}.access_token",
            "calls::TestErrors::test_an_unknown_target",
            "A missing role answers 404; the error says so",
        ),
        used(
            "login",
            "`invalid_grant`, `invalid_client` and the other OAuth errors",
            "resource:TestGenResource.auth",
            "login::test_a_login_that_is_refused_says_how_to_get_another "
            "login::test_a_token_endpoint_in_trouble_is_asked_again",
        ),
        left_out("login", "authorization_code with PKCE", "needs a person and a browser"),
        left_out("login", "client_credentials, password", "neither server grants them"),
        used(
            "error",
            "`detail` as text, object or list; OAuth's `error`, `error_description`; plain text",
            f"{_R}.error_reader",
            _ERRORS,
        ),
        used(
            "error",
            "400, 401, 404, 409, 422, 500",
            f"{_R}.error_reader",
            f"{_ERRORS} transport/test_errors.py::test_the_class_for_a_status",
        ),
        used("error", "422: what FastAPI finds wrong, field by field", f"{_R}.error_reader", _ERRORS),
        left_out(
            "error",
            "`invalid_generation_set`, `unknown_test_type`, `unknown_issue_type`, `job_in_flight`, "
            "`no_fields`, `null_field`",
            "of endpoints and filters that are left out; any code is read",
            _ERRORS,
        ),
        used(
            "error",
            "404 `not_found`: unknown, or no permission",
            f"{_R}.get_job",
            "calls::TestErrors::test_an_unknown_target calls::TestAJobThatIsGone::test_is_told_by_testgens_own_words",
        ),
        used(
            "error",
            "404 `Not Found`: no such route",
            f"{_R}.get_job",
            "calls::TestAJobThatIsGone::test_is_not_told_by_a_route_that_is_gone",
        ),
        used(
            "error",
            "404 just after a start (old)",
            "dagster_runs.remote_run.waiting:wait_until_final",
            "remote_run/test_start_or_attach.py::test_404_just_after_the_start_is_no_news",
        ),
        used(
            "error",
            "404 for a run past its retention (new)",
            "dagster_runs.remote_run.errors:RunLost",
            "remote_run/test_start_or_attach.py::test_a_run_that_the_vendor_forgot_is_started_anew",
        ),
        used(
            "error",
            "409 for a cancel of what has ended",
            f"{_R}.cancel_job",
            "calls::TestCancelling::test_what_has_ended_is_a_conflict "
            "remote_run/test_ending.py::TestTerminatedByAPerson::test_bears_a_run_that_has_just_ended",
        ),
        used(
            "error",
            "405, 413",
            "dagster_runs.transport.errors:VendorError",
            "transport/test_errors.py::test_the_class_for_a_status "
            "transport/test_errors.py::test_an_unknown_status_is_an_error_too",
        ),
        left_out(
            "rule",
            "rate limit, `Retry-After`",
            "neither server has one; `requests_per_second` sets one",
            "slow/test_rate_limit.py::test_without_a_limit_nobody_waits",
        ),
        left_out(
            "rule",
            "idempotency key",
            "neither server takes one; a lost start is looked for",
            "lost::TestByOurMark::test_among_other_peoples_runs_of_the_same_suite",
        ),
        used(
            "rule",
            "API address with or without `/api/v1`",
            f"{_R}.base_url",
            "calls::TestAddress::test_is_taken_with_and_without_the_apis_path",
        ),
        used(
            "rule",
            "pages of test results and of profiling results",
            f"{_R}.ui_url {_R}.page_url",
            f"{_LINK} results::TestLinks::test_work",
        ),
        left_out("rule", "page of hygiene issues", "the page of profiling results leads to it"),
        used(
            "rule",
            "score 1.0 though nothing was tested or profiled",
            "outcomes:why_no_tests outcomes:why_no_profile",
            "outcomes::TestQualityScore::test_the_score_of_nothing_means_nothing "
            "results::TestTestRuns::test_of_an_empty_suite_pass_no_check_though_the_score_is_one",
        ),
    ],
)
