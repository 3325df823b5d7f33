"""Segmentflow: journeys, by both triggers."""

from tests.conformance.table import Table, left_out, used

_R = "resource:SegmentflowResource"
_RUN = "run:SegmentflowJourneyRun"

TABLE = Table(
    "Segmentflow",
    "segmentflow",
    [
        used(
            "endpoint",
            "start-by-id",
            "POST `/api/v1/public/journeys/{id}/trigger`",
            f"{_R}.trigger_journey",
        ),
        used(
            "endpoint",
            "start-by-key",
            "POST `/api/v1/journeys/{journeyKey}/trigger`",
            f"{_R}.trigger_journey_by_key",
        ),
        used(
            "endpoint",
            "status",
            "GET `/api/v1/public/journeys/runs/{runId}`",
            f"{_R}.get_journey_run",
        ),
        left_out(
            "endpoint",
            "post-events",
            "POST `/api/v1/events`",
            "tracks an event; its response has no run id to poll",
        ),
        left_out(
            "endpoint",
            "broadcasts",
            "`/broadcasts…`",
            "sends to many recipients at once, which is not a journey",
        ),
        left_out("endpoint", "get-emails-id", "GET `/api/v1/emails/{id}`", "a single email, not a run"),
        left_out(
            "endpoint", "cancel-run", "cancel a run", "not documented; our messages say where to stop a run manually"
        ),
        left_out(
            "endpoint",
            "list-journeys",
            "list journeys, list runs",
            "not documented; after a lost start response, the newer trigger's idempotency key returns the same run",
        ),
        left_out("endpoint", "steps-logs-run", "steps and logs of a run", "not documented"),
        used("parameter", "id", "`id` of the journey, a UUID", f"{_RUN}.journey_id"),
        used("parameter", "journey-key", "`journeyKey`, 1 to 120 characters", f"{_RUN}.journey_key"),
        used(
            "parameter",
            "header-idempotency-key",
            "header `idempotency-key`, 1 to 255 characters",
            f"{_RUN}.start_is_idempotent {_R}.trigger_journey_by_key",
            "The ledger's correlation id is sent",
        ),
        used(
            "parameter",
            "recipient",
            "`recipient`: `email`, `userId`, `anonymousId`",
            f"{_RUN}.recipient",
            "At least one is required, because otherwise there is no recipient",
        ),
        used("parameter", "profile", "`profile`: takes `externalId` and `properties` too", f"{_RUN}.recipient"),
        used("parameter", "variables", "`variables`", f"{_RUN}.variables"),
        used("parameter", "run-id", "`runId` in the path", f"{_R}.get_journey_run"),
        left_out(
            "parameter",
            "event",
            "`event`, `data`, `referenceId`, `redactedDataPaths`, `occurredAt`; the states of broadcasts and emails",
            "belong to endpoints that are not used",
        ),
        used("field", "start-run-id", "start: `runId`", "models:TriggeredRun.run_id"),
        left_out("field", "start-workflow-id", "start: `workflowId`, `status`", "the status call returns them too"),
        used("field", "run-status", "run: `status`", "models:JourneyRun.status"),
        used("field", "run-journey-id", "run: `journeyId`", "models:JourneyRun.journey_id"),
        used("field", "run-profile-id", "run: `profileId`", "models:JourneyRun.profile_id"),
        used(
            "field", "run-workflow-id", "run: `workflowId`, absent, null or a string", "models:JourneyRun.workflow_id"
        ),
        used("field", "run-triggered-at", "run: `triggeredAt`", "models:JourneyRun.triggered_at"),
        used(
            "field", "run-completed-at", "run: `completedAt`, absent, null or a time", "models:JourneyRun.completed_at"
        ),
        used("field", "run-error", "run: `error`, null or a string", "models:JourneyRun.error"),
        left_out("field", "run-run-id", "run: `runId`", "repeats the id that we sent"),
        used("state", "queued", "`queued`", "run:_STATES[queued]"),
        used("state", "running", "`running`, possibly for days", "run:_STATES[running]"),
        used("state", "completed", "`completed`", "run:_STATES[completed]"),
        used("state", "failed", "`failed`", "run:_STATES[failed]"),
        used(
            "state",
            "exited",
            "`exited`",
            f"{_RUN}.on_exited",
            "Counts as failed unless the user chooses otherwise, because it is not documented as a success",
        ),
        used("state", "any-other-word", "any other status", "dagster_runs.remote_run.state:parse_state"),
        used("login", "header-x-api-key", "header `x-api-key`", f"{_R}.api_key {_R}.auth"),
        used("login", "host", "`https://api.segmentflow.ai`, other hosts", f"{_R}.base_url"),
        used(
            "login",
            "scopes-journeys-trigger",
            "scopes `journeys:trigger`, `journeys:read`",
            f"{_R}.api_key",
            "The error names the missing one",
        ),
        left_out("login", "expiry", "expiry, refresh", "not documented"),
        left_out("login", "write-keys", "write keys", "for events from browsers; they cannot start a run"),
        used("error", "body", "`error`, `message`, `details`", f"{_R}.error_reader"),
        used("error", "401-unauthorized", "401 `unauthorized`", f"{_R}.error_reader"),
        used(
            "error",
            "403-insufficient-scope",
            "403 `insufficient_scope` with `required`; `send_not_allowed`",
            f"{_R}.error_reader",
        ),
        used("error", "404-not-found", "404 `not_found`", f"{_R}.error_reader"),
        used("error", "400", "400, 422 `validation_failed` with `details`", f"{_R}.error_reader"),
        used(
            "error",
            "422-or-409-idempotency-key-reuse",
            "422 or 409 `idempotency_key_reuse`",
            f"{_R}.trigger_journey_by_key",
        ),
        used("error", "journey-without-entry", "a journey without an API entry", f"{_R}.error_reader"),
        used(
            "error",
            "409-lock",
            "409: the lock of an idempotency key",
            f"{_R}.trigger_journey_by_key",
            "The step waits, because the earlier request may still start the run",
        ),
        used("error", "410", "410, 501", f"{_R}.error_reader"),
        used(
            "error",
            "429",
            "429",
            "dagster_runs.transport.retry:may_send_again",
            "The limit is not documented; `requests_per_second` sets one",
        ),
        used(
            "rule",
            "202-for-start",
            "202 for a start",
            f"{_R}.trigger_journey {_R}.trigger_journey_by_key",
            "Any 2xx is accepted",
        ),
        left_out("rule", "retry-after", "`Retry-After`", "not documented; respected if present"),
        left_out("rule", "page-for-run-or-journey", "a page for a run or a journey", "its URL is not documented"),
    ],
)
