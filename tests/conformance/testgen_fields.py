"""TestGen: the fields of jobs, runs and results."""

from tests.conformance.table import left_out, used

FIELDS = [
    used("field", "id", "`id` of a submitted job", "models:SubmittedJob.id"),
    used("field", "job-id", "job: `id`", "models:Job.id models:PartOfJob.id"),
    used("field", "job-status", "job: `status`", "models:Job.status"),
    used(
        "field",
        "job-job-key",
        "job: `job_key`",
        "models:PartOfJob.job_key",
        "Any string is accepted, because the versions differ; the server filters by it",
    ),
    used("field", "job-source", "job: `source`", "models:PartOfJob.source"),
    used("field", "job-created-at", "job: `created_at`", "models:PartOfJob.created_at"),
    used("field", "job-started-at", "job: `started_at`, null until set", "models:Job.started_at"),
    used("field", "job-completed-at", "job: `completed_at`, null until set", "models:Job.completed_at"),
    used("field", "job-error-message", "job: `error_message`", "models:Job.error_message"),
    left_out("field", "job-claimed-at", "job: `claimed_at`", "null for many runs; the start time is sufficient"),
    used("field", "list-items", "list: `items`", "models:JobPage.items"),
    used("field", "list-page", "list: `page`", "models:JobPage.page"),
    used("field", "list-limit", "list: `limit`", "models:JobPage.limit"),
    used("field", "list-total", "list: `total`", "models:JobPage.total"),
    used("field", "suite-project-code", "suite, table group: `project_code` (new)", "models:Target.project_code"),
    used("field", "suites-id", "list of suites: `test_suite_id` (new)", "models:Suite.id"),
    used("field", "suites-test-count", "list of suites: `test_count` (new)", "models:Suite.test_count"),
    used(
        "field",
        "suites-items",
        "list of suites: `items`, `limit`, `total` (new)",
        "models:SuitePage.items models:SuitePage.limit models:SuitePage.total lists.catalog:_SuitePage.items "
        "lists.catalog:_SuitePage.limit lists.catalog:_SuitePage.total",
    ),
    used(
        "field",
        "suites-names",
        "list of suites: `test_suite_name`, `description`, `table_group_id`, `table_group_name` (new)",
        "lists.catalog:ListedSuite.test_suite_id lists.catalog:ListedSuite.test_suite_name "
        "lists.catalog:ListedSuite.description "
        "lists.catalog:ListedSuite.table_group_id lists.catalog:ListedSuite.table_group_name",
    ),
    used(
        "field",
        "table-groups",
        "list of table groups: `table_group_id`, `table_group_name`, `schema_name`, `connection_name` (new)",
        "lists.catalog:ListedTableGroup.table_group_id lists.catalog:ListedTableGroup.table_group_name "
        "lists.catalog:ListedTableGroup.schema_name lists.catalog:ListedTableGroup.connection_name",
    ),
    used(
        "field",
        "table-groups-items",
        "list of table groups: `items`, `limit`, `total` (new)",
        "lists.catalog:_TableGroupPage.items lists.catalog:_TableGroupPage.limit lists.catalog:_TableGroupPage.total",
    ),
    left_out(
        "field",
        "suite-texts-and-counts",
        "suite, table group: `connection_id`, other counts, scores, latest run",
        "not needed for discovery",
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
        "the job has the same data, or we sent it",
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
    used(
        "field",
        "issues-possible",
        "issues: `possible` (old: includes potential PII)",
        "models:IssueCounts.possible",
    ),
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
        "the job has the same data",
    ),
    used("field", "results-items", "results: `items`", "models:FailingTestPage.items"),
    used(
        "field",
        "results-total",
        "results: `total`, `limit`",
        "lists.models:SuiteResultPage.total lists.models:SuiteResultPage.limit lists.models:SuiteResultPage.items",
    ),
    used("field", "results-result-status", "results: `result_status`", "models:FailingTest.result_status"),
    used("field", "results-result-message", "results: `result_message`", "models:FailingTest.result_message"),
    used("field", "results-table-name", "results: `table_name`", "models:FailingTest.table_name"),
    used("field", "results-column-names", "results: `column_names`", "models:FailingTest.column_names"),
    used("field", "results-test-type", "results: `test_type`", "models:FailingTest.test_type"),
    used("field", "results-test-type-name", "results: `test_type_name`", "models:FailingTest.test_type_name"),
    used(
        "field",
        "results-result-measure",
        "results: `result_measure`, a string",
        "models:FailingTest.result_measure",
    ),
    used(
        "field",
        "results-threshold-value",
        "results: `threshold_value`, a string",
        "models:FailingTest.threshold_value",
    ),
    used(
        "field",
        "results-schema-name",
        "results: `schema_name`",
        "models:FailingTest.schema_name",
        "Read but not shown, because it is the table group's schema",
    ),
    used(
        "field",
        "results-test-definition-id",
        "results: `test_definition_id`",
        "lists.models:SuiteResult.test_definition_id",
    ),
    used(
        "field",
        "export-definitions",
        "export: `definitions` with `test_type`, `table_name`, `column_name`, `match_schema_name`, `match_table_name`",
        "lists.models:TestDefinitions.definitions lists.models:TestDefinition.test_type "
        "lists.models:TestDefinition.table_name "
        "lists.models:TestDefinition.column_name lists.models:TestDefinition.match_schema_name "
        "lists.models:TestDefinition.match_table_name",
    ),
    used(
        "field",
        "suites-latest-run",
        "list of suites: `latest_run.job_execution_id` (new)",
        "lists.catalog:ListedSuite.latest_run lists.catalog:LatestRun.job_execution_id",
    ),
    left_out(
        "field",
        "results-test-time",
        "results: `test_time`, `disposition`",
        "not shown; they are on the page that the link leads to",
    ),
    used(
        "field",
        "columns-items",
        "columns: `items`, `total`, `limit`",
        "lists.models:ProfiledColumnPage.items lists.models:ProfiledColumnPage.total "
        "lists.models:ProfiledColumnPage.limit",
    ),
    used(
        "field",
        "columns-table",
        "columns: `schema_name`, `table_name`, `column_name`",
        "lists.models:ProfiledColumn.schema_name lists.models:ProfiledColumn.table_name "
        "lists.models:ProfiledColumn.column_name",
    ),
    used(
        "field",
        "columns-type",
        "columns: `db_data_type`, `general_type`",
        "lists.models:ProfiledColumn.db_data_type lists.models:ProfiledColumn.general_type",
    ),
    used(
        "field",
        "columns-flags",
        "columns: `pii_flag`, `critical_data_element`",
        "lists.models:ProfiledColumn.pii_flag lists.models:ProfiledColumn.critical_data_element",
        "`pii_flag` is the current one, also for an earlier run",
    ),
    used("field", "columns-record-ct", "columns: `record_ct`", "lists.models:ProfiledColumn.record_ct"),
    used(
        "field",
        "columns-potential-pii",
        "columns: `issue_counts.potential_pii`",
        "lists.models:ProfiledColumn.issue_counts lists.models:ColumnIssueCounts.potential_pii "
        "lists.models:PotentialPiiCounts.high "
        "lists.models:PotentialPiiCounts.moderate",
    ),
    used(
        "field",
        "profiling-history",
        "list of a table group's profiling runs: `items`, `job_execution_id`",
        "lists.models:ProfilingHistory.items lists.models:FinishedProfiling.job_execution_id",
    ),
    used(
        "field",
        "hygiene-issues-items",
        "hygiene issues: `items`, `total`, `limit`, `id`",
        "lists.models:HygieneIssuePage.items lists.models:HygieneIssuePage.total lists.models:HygieneIssuePage.limit "
        "lists.models:HygieneIssue.id",
    ),
    used(
        "field",
        "hygiene-issues-table",
        "hygiene issues: `schema_name`, `table_name`, `column_name`",
        "lists.models:HygieneIssue.schema_name lists.models:HygieneIssue.table_name "
        "lists.models:HygieneIssue.column_name",
    ),
    used("field", "hygiene-issues-likelihood", "hygiene issues: `likelihood`", "lists.models:HygieneIssue.likelihood"),
    used(
        "field",
        "hygiene-issues-shown",
        "hygiene issues: `issue_type`, `issue_type_name`, `detail`, `impact_dimension`",
        "lists.models:HygieneIssue.issue_type lists.models:HygieneIssue.issue_type_name "
        "lists.models:HygieneIssue.detail "
        "lists.models:HygieneIssue.impact_dimension",
    ),
    used(
        "field",
        "findings-column",
        "definite issues and potential PII: `items`, `table_name`, `column_name`",
        "lists.models:ColumnFindingPage.items lists.models:ColumnFinding.table_name "
        "lists.models:ColumnFinding.column_name",
    ),
    used(
        "field",
        "findings-kind",
        "definite issues and potential PII: `issue_type`, `issue_type_name`, `pii_risk`",
        "lists.models:ColumnFinding.issue_type lists.models:ColumnFinding.issue_type_name "
        "lists.models:ColumnFinding.pii_risk",
    ),
    left_out(
        "field",
        "fields-potential-pii",
        "other fields of potential PII, histories, scores; other fields of columns",
        "not shown; they are on the page that the link leads to",
    ),
]
