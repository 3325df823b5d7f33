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
_CANCEL = "calls::TestCanceling::test_ends_canceled"
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
    [
        used(
            "endpoint",
            "start-tests",
            "POST `/test-suites/{id}/test-runs`",
            f"{_R}.submit_test_run {_TEST}.start",
        ),
        used(
            "endpoint",
            "start-profiling",
            "POST `/table-groups/{id}/profiling-runs`",
            f"{_R}.submit_profiling_run {_PROFILE}.start",
        ),
        used("endpoint", "status", "GET `/jobs/{id}`", f"{_R}.get_job"),
        used("endpoint", "cancel", "POST `/jobs/{id}/cancel`", f"{_R}.cancel_job"),
        used(
            "endpoint",
            "list",
            "GET `/projects/{code}/jobs`",
            f"{_R}.jobs_since",
            "To find a run whose start's answer was lost, to follow deferred runs, and to see those that others start",
        ),
        used("endpoint", "test-run", "GET `/test-runs/{id}`", f"{_R}.get_test_run"),
        used(
            "endpoint",
            "test-results",
            "GET `/test-runs/{id}/results` (new)",
            f"{_R}.list_failing_tests",
            "Without it the counts alone are shown",
        ),
        used("endpoint", "profiling-run", "GET `/profiling-runs/{id}`", f"{_R}.get_profiling_run"),
        used(
            "endpoint",
            "suite",
            "GET `/test-suites/{id}`, `/table-groups/{id}` (new)",
            f"{_R}.project_of",
            "For the project of what is run",
        ),
        used(
            "endpoint",
            "openapi",
            "GET `/api/openapi.json`",
            f"{_R}.knows_match_schema_name",
            "The version is told by shape",
        ),
        used("endpoint", "token", "POST `/oauth/token`", "resource:TestGenResource.auth"),
        left_out(
            "endpoint",
            "health",
            "GET `/health`",
            "its version is null on many installations, and a version is told by shape instead",
        ),
        left_out(
            "endpoint",
            "post-test-suites-id-test-generation",
            "POST `/test-suites/{id}/test-generation`",
            "it changes the suite and brings no result on data",
        ),
        left_out(
            "endpoint",
            "get-profiling-runs-id-hygiene-issues",
            "GET `/profiling-runs/{id}/hygiene-issues`, `/potential-pii`, `/columns` (new)",
            "the counts decide; the single issues are on the page that the link leads to",
        ),
        left_out(
            "endpoint",
            "list-profiling-runs",
            "GET `/table-groups/{id}/profiling-runs` (new)",
            "history; Dagster keeps that of its own runs",
        ),
        left_out(
            "endpoint",
            "list-suites",
            "GET `/projects/{code}/test-suites`, `/table-groups`, `/connections`, `/connections/{id}` (new)",
            "discovery; assets are defined by id",
        ),
        left_out(
            "endpoint",
            "list-scores",
            "GET `/projects/{code}/scores` (new)",
            "a project's scores from 0 to 100, not a run's",
        ),
        left_out(
            "endpoint",
            "post-table-groups-id-test-suites",
            "POST `/table-groups/{id}/test-suites`, `/connections/{id}/table-groups`; PATCH `/table-groups/{id}` (new)",
            _SETS_UP,
        ),
        left_out("endpoint", "test-definitions-export", "test definitions: export, import", _SETS_UP),
        left_out(
            "endpoint",
            "schedules",
            "schedules, monitors, monitoring, notification rules and destinations (new)",
            f"Dagster schedules and alerts; this {_SETS_UP}",
        ),
        left_out(
            "endpoint",
            "oauth-authorize",
            "`/oauth/authorize`, `/register`, `/revoke`, `/logout`, discovery",
            "a login by a person, done once outside of Dagster",
        ),
        left_out(
            "endpoint",
            "list-projects",
            "list projects; list a suite's runs; restart, logs, pause, resume",
            "neither server has such a call",
        ),
        used("parameter", "test-suite-id", "`test_suite_id`, a UUID", f"{_TEST}.test_suite_id"),
        used("parameter", "table-group-id", "`table_group_id`, a UUID", f"{_PROFILE}.table_group_id"),
        used("parameter", "job-id", "`job_id` in the path", f"{_R}.get_job"),
        used(
            "parameter",
            "external-url",
            "`external_url` (new), at most 2048 characters",
            f"{_TEST}.start",
            "Link to the Dagster run; the old server ignores it",
        ),
        used("parameter", "metadata", "`metadata` (new)", "runs:CORRELATION_ID", "Our mark; the old server ignores it"),
        used("parameter", "match-schema-name", "`match_schema_name` (new)", f"{_TEST}.match_schema_name"),
        used(
            "parameter",
            "job-key",
            "`job_key` of the list: `run-tests`, `run-profile`",
            f"{_TEST}.job_key {_PROFILE}.job_key",
        ),
        used("parameter", "page", "`page`, `limit` up to 100", f"{_R}.jobs_since {_R}.list_failing_tests"),
        used("parameter", "results-status", "`status` of the results", f"{_R}.list_failing_tests"),
        left_out("parameter", "jobs-status", "`status` of the list of jobs", "our run may have any"),
        left_out(
            "parameter",
            "table-name",
            "`table_name`, `column_name`, `test_type`, `disposition` of the results",
            "all that failed are shown, and dismissed ones are left out by default",
        ),
        left_out(
            "parameter",
            "issue-type",
            "`issue_type`, `likelihood`, `pii_risk`, `sort`, `connection_id`, `schema_name`, "
            "`table_group_name`, `test_suite_name`",
            "filters of endpoints that are left out",
        ),
        left_out("parameter", "generation-sets", "`generation_sets`", "test generation is left out"),
        left_out(
            "parameter", "run-monitors", "`run-monitors`, `run-test-generation` as `job_key`", "no kinds of runs here"
        ),
        used("parameter", "project-code", "`project_code`", f"{_R}.project_code"),
        used("field", "id", "`id` of a submission", "models:SubmittedJob.id"),
        used("field", "job-id", "job: `id`", "models:Job.id models:PartOfJob.id"),
        used("field", "job-status", "job: `status`", "models:Job.status"),
        used(
            "field",
            "job-job-key",
            "job: `job_key`",
            "models:PartOfJob.job_key",
            "A text of any value: the versions differ; the server filters by it",
        ),
        used("field", "job-source", "job: `source`", "models:PartOfJob.source"),
        used("field", "job-created-at", "job: `created_at`", "models:PartOfJob.created_at"),
        used("field", "job-started-at", "job: `started_at`, null until set", "models:Job.started_at"),
        used("field", "job-completed-at", "job: `completed_at`, null until set", "models:Job.completed_at"),
        used("field", "job-error-message", "job: `error_message`", "models:Job.error_message"),
        left_out("field", "job-claimed-at", "job: `claimed_at`", "null for many runs; the start time is enough"),
        used("field", "list-items", "list: `items`", "models:JobPage.items"),
        used("field", "list-page", "list: `page`", "models:JobPage.page"),
        used("field", "list-limit", "list: `limit`", "models:JobPage.limit"),
        used("field", "list-total", "list: `total`", "models:JobPage.total"),
        used("field", "suite-project-code", "suite, table group: `project_code` (new)", "models:Target.project_code"),
        left_out(
            "field",
            "suite-texts-and-counts",
            "suite, table group: name, description, connection, counts, scores, latest run",
            "discovery is left out",
        ),
        used("field", "test-run-test-suite-id", "test run: `test_suite_id`, null at first", "models:TestRun.target_id"),
        used("field", "test-run-metadata", "test run: `metadata` (new)", "models:TestRun.metadata"),
        used("field", "test-run-result", "test run: `result`, null or partial at first", "models:TestRun.result"),
        used(
            "field",
            "test-run-result-result-counts",
            "test run: `result.result_counts` (new), `result.tests` (old)",
            "models:TestResult.counts",
        ),
        used("field", "test-run-result-score", "test run: `result.score`, null at first", "models:TestResult.score"),
        used("field", "counts-passed", "counts: `passed`", "models:TestCounts.passed"),
        used("field", "counts-failed", "counts: `failed`", "models:TestCounts.failed"),
        used("field", "counts-warning", "counts: `warning`", "models:TestCounts.warning"),
        used("field", "counts-error", "counts: `error`", "models:TestCounts.error"),
        used("field", "counts-log", "counts: `log`", "models:TestCounts.log"),
        used("field", "counts-dismissed", "counts: `dismissed`", "models:TestCounts.dismissed"),
        left_out(
            "field",
            "test-run-id",
            "test run: `id`, `status`, `started_at`, `completed_at`, `table_group_id`, `external_url`",
            "the job tells the same, or we sent it",
        ),
        used(
            "field",
            "profiling-run-table-group-id",
            "profiling run: `table_group_id`, null at first",
            "models:ProfilingRun.target_id",
        ),
        used("field", "profiling-run-result", "profiling run: `result`", "models:ProfilingRun.result"),
        used("field", "profiling-run-result-score", "profiling run: `result.score`", "models:ProfilingResult.score"),
        used(
            "field",
            "profiling-run-result-table-ct",
            "profiling run: `result.table_ct`",
            "models:ProfilingResult.tables",
        ),
        used(
            "field",
            "profiling-run-result-column-ct",
            "profiling run: `result.column_ct`",
            "models:ProfilingResult.columns",
        ),
        used(
            "field",
            "profiling-run-result-record-ct",
            "profiling run: `result.record_ct`",
            "models:ProfilingResult.records",
        ),
        used(
            "field",
            "profiling-run-result-issue-counts",
            "profiling run: `result.issue_counts` (new), `result.issues` (old)",
            "models:ProfilingResult.issues",
        ),
        used("field", "issues-definite", "issues: `definite`", "models:IssueCounts.definite"),
        used("field", "issues-likely", "issues: `likely`", "models:IssueCounts.likely"),
        used("field", "issues-possible", "issues: `possible` (old: with potential PII)", "models:IssueCounts.possible"),
        used("field", "issues-potential-pii-high", "issues: `potential_pii.high` (new)", "models:IssueCounts.pii_high"),
        used(
            "field",
            "issues-potential-pii-moderate",
            "issues: `potential_pii.moderate` (new)",
            "models:IssueCounts.pii_moderate",
        ),
        used("field", "issues-dismissed", "issues: `dismissed`", "models:IssueCounts.dismissed"),
        left_out(
            "field",
            "profiling-run-id",
            "profiling run: `id`, `status`, `started_at`, `completed_at`",
            "the job tells the same",
        ),
        used("field", "results-items", "results: `items`", "models:FailingTestPage.items"),
        left_out("field", "results-total", "results: `total`", "one page of a status holds as many as are shown"),
        used("field", "results-result-status", "results: `result_status`", "models:FailingTest.result_status"),
        used("field", "results-result-message", "results: `result_message`", "models:FailingTest.result_message"),
        used("field", "results-table-name", "results: `table_name`", "models:FailingTest.table_name"),
        used("field", "results-column-names", "results: `column_names`", "models:FailingTest.column_names"),
        used("field", "results-test-type", "results: `test_type`", "models:FailingTest.test_type"),
        used("field", "results-test-type-name", "results: `test_type_name`", "models:FailingTest.test_type_name"),
        used(
            "field", "results-result-measure", "results: `result_measure`, a text", "models:FailingTest.result_measure"
        ),
        used(
            "field",
            "results-threshold-value",
            "results: `threshold_value`, a text",
            "models:FailingTest.threshold_value",
        ),
        used(
            "field",
            "results-schema-name",
            "results: `schema_name`",
            "models:FailingTest.schema_name",
            "Read, not shown: it is the table group's",
        ),
        left_out(
            "field",
            "results-test-definition-id",
            "results: `test_definition_id`, `test_time`, `disposition`",
            "not shown; the link leads to the page that has them",
        ),
        left_out(
            "field",
            "fields-hygiene-issues",
            "fields of hygiene issues, potential PII, columns, histories, scores",
            "their endpoints are left out",
        ),
        used("state", "pending", "`pending`", "models:_STATES[pending]"),
        used("state", "claimed", "`claimed`", "models:_STATES[claimed]"),
        used("state", "queued", "`queued` (new)", "models:_STATES[queued]"),
        used("state", "running", "`running`", "models:_STATES[running]"),
        used("state", "cancel-requested", "`cancel_requested`", "models:_STATES[cancelrequested]"),
        used("state", "interrupt-requested", "`interrupt_requested` (new)", "models:_STATES[interruptrequested]"),
        used("state", "interrupted", "`interrupted` (new)", "models:_STATES[interrupted]"),
        used("state", "pause-requested", "`pause_requested` (new)", "models:_STATES[pauserequested]"),
        used("state", "paused", "`paused` (new), without end", "models:_STATES[paused]", "Until our timeout"),
        used("state", "resume-requested", "`resume_requested` (new)", "models:_STATES[resumerequested]"),
        used(
            "state",
            "completed",
            "`completed`",
            "models:_STATES[completed]",
            "Says nothing of the tests: the counts decide",
        ),
        used("state", "error", "`error`", "models:_STATES[error]"),
        used("state", "canceled", "`canceled`, also unasked", "models:_STATES[canceled]"),
        used("state", "any-other-word", "any other word", "dagster_runs.remote_run.state:parse_state"),
        used("login", "bearer-token-jwt", "bearer token: JWT, personal access token", f"{_R}.access_token {_R}.auth"),
        used(
            "login",
            "grant-refresh-token",
            "grant `refresh_token`, confidential client",
            f"{_R}.client_id {_R}.client_secret {_R}.refresh_token resource:TestGenResource.auth",
        ),
        used(
            "login",
            "access-token",
            "`access_token` of the answer",
            "dagster_runs.transport.oauth:_TokenResponse.access_token",
        ),
        used("login", "expires-in", "`expires_in`", "dagster_runs.transport.oauth:_TokenResponse.expires_in"),
        used(
            "login",
            "refresh-token",
            "`refresh_token` of the answer: rotates for public clients",
            "dagster_runs.transport.oauth:_TokenResponse.refresh_token",
            "The newest one is sent next",
        ),
        used(
            "login",
            "refresh-revokes",
            "a refresh revokes the earlier access token",
            "dagster_runs.transport.auth:RenewedToken.renew",
        ),
        used(
            "login",
            "roles-edit-to-submit-cancel",
            "roles: `edit` to submit and cancel, `view` to read",
            f"{_R}.access_token",
            "A missing role answers 404; the error says so",
        ),
        used(
            "login",
            "invalid-grant",
            "`invalid_grant`, `invalid_client` and the other OAuth errors",
            "resource:TestGenResource.auth",
        ),
        left_out(
            "login", "authorization-code-with-pkce", "authorization_code with PKCE", "needs a person and a browser"
        ),
        left_out("login", "client-credentials", "client_credentials, password", "neither server grants them"),
        used(
            "error",
            "detail-as-text",
            "`detail` as text, object or list; OAuth's `error`, `error_description`; plain text",
            f"{_R}.error_reader",
        ),
        used("error", "400", "400, 401, 404, 409, 422, 500", f"{_R}.error_reader"),
        used("error", "422-fields", "422: what FastAPI finds wrong, field by field", f"{_R}.error_reader"),
        left_out(
            "error",
            "invalid-generation-set",
            "`invalid_generation_set`, `unknown_test_type`, `unknown_issue_type`, `job_in_flight`, "
            "`no_fields`, `null_field`",
            "of endpoints and filters that are left out; any code is read",
        ),
        used("error", "404-not-found", "404 `not_found`: unknown, or no permission", f"{_R}.get_job"),
        used("error", "404-no-route", "404 `Not Found`: no such route", f"{_R}.get_job"),
        used(
            "error",
            "404-just-after-start",
            "404 just after a start (old)",
            "dagster_runs.remote_run.execution.polling:wait_until_final",
        ),
        used(
            "error",
            "404-past-retention",
            "404 for a run past its retention (new)",
            "dagster_runs.remote_run.errors:RunLost",
        ),
        used("error", "409-cancel-after-end", "409 for a cancel of what has ended", f"{_R}.cancel_job"),
        used("error", "405", "405, 413", "dagster_runs.transport.errors:VendorError"),
        left_out(
            "rule", "rate-limit", "rate limit, `Retry-After`", "neither server has one; `requests_per_second` sets one"
        ),
        left_out("rule", "idempotency-key", "idempotency key", "neither server takes one; a lost start is looked for"),
        used("rule", "address-with-or-without", "API address with or without `/api/v1`", f"{_R}.base_url"),
        used(
            "rule",
            "pages-test-results-profiling-results",
            "pages of test results and of profiling results",
            f"{_R}.ui_url {_R}.page_url",
        ),
        left_out("rule", "page-hygiene-issues", "page of hygiene issues", "the page of profiling results leads to it"),
        used(
            "rule",
            "score-without-tests",
            "score 1.0 though nothing was tested or profiled",
            "outcomes:why_no_tests outcomes:why_no_profile",
        ),
    ],
)
