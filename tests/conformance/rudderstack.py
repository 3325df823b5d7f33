"""RudderStack: the Profiles API."""

from tests.conformance.table import Table, left_out, used

_START = "resource:RudderStackResource.start_profiles_run"
_STATUS = "resource:RudderStackResource.get_profiles_run"
_RUN = "run:RudderStackProfilesRun"
_OTHER_API = "a different RudderStack API, which does not cover Profiles projects"
_NOT_OFFERED = "the Profiles API has no such call"

TABLE = Table(
    "RudderStack",
    "rudderstack",
    [
        used("endpoint", "start", "POST `/sources/{profilesID}/start`", _START),
        used(
            "endpoint",
            "status",
            "GET `/sources/{profilesID}/runs/{runId}/status`",
            _STATUS,
        ),
        used("endpoint", "us-eu-hosts", "US and EU hosts", "resource:RudderStackResource.region"),
        used(
            "endpoint",
            "host-with-or-without-v2",
            "host with or without `/v2`",
            "resource:RudderStackResource.base_url",
            "RudderStack's documentation and clients differ",
        ),
        left_out(
            "endpoint",
            "stop",
            "stop, cancel or restart a Profiles run",
            f"{_NOT_OFFERED}; our messages say where to stop a run manually",
        ),
        left_out(
            "endpoint",
            "list-runs-profiles-project",
            "list the runs of a Profiles project",
            f"{_NOT_OFFERED}, so a run cannot be found after a lost start response",
        ),
        left_out(
            "endpoint", "list-profiles-projects", "list Profiles projects; logs, error details, artifacts", _NOT_OFFERED
        ),
        left_out(
            "endpoint",
            "get-sources",
            "GET `/v2/sources`",
            "it is not documented whether the sources include Profiles projects",
        ),
        left_out(
            "endpoint",
            "get-sources-id-status",
            "GET `/v2/sources/{id}/status`",
            "an older call that shows only the latest run, which may not be ours",
        ),
        left_out(
            "endpoint",
            "retl-connections",
            "`/v2/retl-connections/…`: start, syncs, stop",
            f"Reverse ETL is {_OTHER_API}",
        ),
        used("parameter", "profiles-id", "`profilesID`", f"{_RUN}.profiles_id"),
        used("parameter", "run-id", "`runId` in the path", _STATUS, "URL-encoded"),
        used(
            "parameter",
            "parameters",
            "`parameters`, or none",
            f"{_RUN}.api_parameters {_START}",
            "Without parameters, the request has no body",
        ),
        used("parameter", "model-refs", "`--model_refs`", f"{_RUN}.model_refs"),
        used("parameter", "begin-time", "`--begin_time`", f"{_RUN}.begin_time"),
        used("parameter", "end-time", "`--end_time`", f"{_RUN}.end_time"),
        used("parameter", "rebase-incremental", "`--rebase_incremental`", f"{_RUN}.rebase_incremental"),
        used("parameter", "future-parameters", "future parameters", f"{_RUN}.parameters", "Passed through unchanged"),
        left_out(
            "parameter",
            "page",
            "`page`, `syncType`, `status`, `started_after`, `started_before`, `limit`; the fields of sources and syncs",
            "belong to endpoints that are not used",
        ),
        used("field", "run-id", "`runId` of the response to a start", "models:StartedRun.run_id"),
        left_out("field", "job-id", "`jobId`, `job_id`; `tasks[].job_id`", "repeats the project's id, which we sent"),
        left_out("field", "job-run-id", "`jobRunId`, `id`", "repeats the run's id, which we sent"),
        used("field", "status", "`status`", "models:ProfilesRunStatus.status"),
        used("field", "started-at", "`startedAt`, `started_at`", "models:ProfilesRunStatus.started_at"),
        used(
            "field",
            "finished-at",
            "`finishedAt`, `finished_at`; absent, null, Go's zero time",
            "models:ProfilesRunStatus.finished_at",
        ),
        used(
            "field",
            "error",
            "`error`",
            "models:ProfilesRunStatus.error",
            "Not documented, but RudderStack's clients read it",
        ),
        used(
            "field", "tasks", "`tasks[]`", "models:ProfilesRunStatus.tasks", "Shown as the metadata `rudderstack/tasks`"
        ),
        used("field", "tasks-task-id", "`tasks[].taskId`, `task_id`", "models:Task.task_id"),
        used(
            "field",
            "tasks-task-run-id",
            "`tasks[].taskRunId`, `task_run_id`",
            "models:Task.task_run_id",
            "Read but not shown, because nothing can be looked up by it",
        ),
        used("field", "tasks-started-at", "`tasks[].startedAt`, `started_at`", "models:Task.started_at"),
        used("field", "tasks-finished-at", "`tasks[].finishedAt`, `finished_at`", "models:Task.finished_at"),
        used("state", "running", "`running`", "run:_STATES[running]"),
        used("state", "processing", "`processing`", "run:_STATES[processing]"),
        used("state", "finished-without-error", "`finished` without `error`", "run:_STATES[finished]"),
        used(
            "state",
            "finished-with-error",
            "`finished` with `error`",
            f"{_RUN}.fetch_status",
            "Counts as failed, as in RudderStack's newest client",
        ),
        used("state", "failed", "`failed`", "run:_STATES[failed]"),
        used(
            "state",
            "any-other-word",
            "any other status",
            "dagster_runs.remote_run.state:parse_state",
            "Counts as active; with an end time, an error is raised",
        ),
        used(
            "login",
            "authorization",
            "`Authorization: Bearer <token>`",
            "resource:RudderStackResource.auth resource:RudderStackResource.access_token",
        ),
        used(
            "login",
            "service-access-token",
            "service access token (Profiles → Edit), personal access token",
            "resource:RudderStackResource.access_token",
            "Both are sent in the same way; the docstring says which one to use",
        ),
        left_out("login", "expiry", "expiry, refresh, OAuth", "not documented for this API"),
        used(
            "error",
            "409-project-already-running",
            "409: the project is already running",
            f"{_RUN}.is_conflict_with_active_run",
            "The step waits for that run and never attaches to it",
        ),
        used("error", "401", "401, as JSON or plain text", "resource:RudderStackResource.error_reader"),
        used(
            "error",
            "403-flag-or-feature-not-enabled",
            "403: flag or feature not enabled",
            "resource:RudderStackResource.error_reader",
        ),
        used("error", "404-unknown-project", "404 for an unknown project", "resource:RudderStackResource.error_reader"),
        used("error", "body", "`error`, `message`, `code`, `details`", "resource:RudderStackResource.error_reader"),
        used("error", "500", "500; outages", "dagster_runs.transport.retry:may_send_again"),
        left_out(
            "rule",
            "rate-limit",
            "rate limits, `Retry-After`",
            "not documented; `requests_per_second` sets a limit, and 429 and `Retry-After` are respected",
        ),
        left_out(
            "rule", "idempotency-key", "idempotency key, request id", "none is documented; a start is sent only once"
        ),
        left_out("rule", "page-for-run", "a page for a run", "its URL is not documented"),
    ],
)
