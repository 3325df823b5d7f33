"""Prophecy: the trigger API of pipelines."""

from tests.conformance.table import Table, left_out, used

_R = "resource:ProphecyResource"
_RUN = "run:ProphecyPipelineRun"
_SETS_UP = "configures Prophecy instead of running something"

TABLE = Table(
    "Prophecy",
    "prophecy",
    [
        used("endpoint", "start", "POST `/api/trigger/pipeline`", f"{_R}.trigger_pipeline"),
        used("endpoint", "status", "GET `/api/trigger/pipeline/{runId}`", f"{_R}.get_pipeline_run"),
        left_out("endpoint", "post-deploy-project", "POST `/api/deploy/project`", f"deploys code; it {_SETS_UP}"),
        left_out(
            "endpoint",
            "post-orchestration-tests-run",
            "POST `/api/orchestration/tests/run`",
            "synchronous, so there is no run to wait for or to attach to",
        ),
        left_out(
            "endpoint", "orchestration-fabric", "`/api/orchestration/fabric…`: fabrics, connections, secrets", _SETS_UP
        ),
        left_out(
            "endpoint", "cancel-run", "cancel a run", "not documented; our messages say where to stop a run manually"
        ),
        left_out(
            "endpoint",
            "list-pipelines",
            "list pipelines, projects, fabrics, runs",
            "not documented, so a run cannot be found after a lost start response",
        ),
        left_out("endpoint", "logs", "logs", "only in the UI, which the link leads to"),
        used("parameter", "fabric-id", "`fabricId`, an integer", f"{_RUN}.fabric_id"),
        used("parameter", "pipeline-name", "`pipelineName`", f"{_RUN}.pipeline_name"),
        used("parameter", "project-id", "`projectId`", f"{_RUN}.project_id"),
        used(
            "parameter",
            "parameters",
            "`parameters`, strings only",
            f"{_RUN}.parameters",
            "Numbers are converted to strings, other types are refused",
        ),
        used("parameter", "branch", "`branch`", f"{_RUN}.branch"),
        used("parameter", "version", "`version`", f"{_RUN}.version"),
        used("parameter", "process-name", "`processName`", f"{_RUN}.process_name"),
        used(
            "parameter",
            "run-id",
            "`runId` in the path; may contain `==`, `-` or characters of any alphabet",
            f"{_R}.get_pipeline_run",
            "URL-encoded",
        ),
        left_out(
            "parameter",
            "project-name",
            "`projectName`, `fabricName`, `gitTag`, `pipelineConfigurations`, `projectConfiguration`, "
            "`tests`, `modelName`, and the fields of their responses",
            "belong to endpoints that are not used",
        ),
        used("field", "start-success", "start: `success`", "models:TriggerResponse.success"),
        used("field", "start-run-id", "start: `runId`", "models:TriggerResponse.run_id"),
        used("field", "start-msg", "start: `msg`", "models:TriggerResponse.msg"),
        used(
            "field",
            "run-success",
            "run: `success`, which is about the call, not about the run",
            "models:PipelineRunResponse.success",
        ),
        used("field", "run-run-status", "run: `runStatus`", "models:PipelineRunResponse.run_status"),
        used(
            "field",
            "run-created-at",
            "run: `createdAt`, UTC without a zone, or with `Z`",
            "models:PipelineRunResponse.created_at",
        ),
        used(
            "field",
            "run-updated-at",
            "run: `updatedAt`",
            "models:PipelineRunResponse.updated_at",
            "Used as the end time of a finished run, because there is no other",
        ),
        used("field", "run-error-message", "run: `errorMessage`", "models:PipelineRunResponse.error_message"),
        used("field", "run-msg", "run: `msg`", "models:PipelineRunResponse.msg"),
        left_out(
            "field",
            "run-run-id",
            "run: `runId`, `projectId`, `fabricId` (here a string), `pipelineName`",
            "they repeat what we sent; they are not read, so their types do not matter",
        ),
        used("state", "running", "`RUNNING`", "run:_STATES[running]"),
        used("state", "succeeded", "`SUCCEEDED`", "run:_STATES[succeeded]"),
        used("state", "error", "`ERROR`", "run:_STATES[error]"),
        used(
            "state",
            "any-other-word",
            "any other status",
            "dagster_runs.remote_run.state:parse_state",
            "The documentation says that `runStatus` *includes* the three above",
        ),
        used("login", "header-x-auth-token", "header `X-AUTH-TOKEN`", f"{_R}.access_token {_R}.auth"),
        used("login", "environment-address", "an environment's own URL", f"{_R}.base_url"),
        left_out(
            "login",
            "authorization",
            "`Authorization: Bearer`",
            "mentioned only by a third party; the vendor's specification and script use the other header",
        ),
        left_out("login", "refresh", "refresh, service accounts", "not documented"),
        used(
            "error",
            "success",
            "`success: false` with HTTP 200",
            f"{_R}.trigger_pipeline",
            "Raised as an error; nothing was started",
        ),
        used("error", "scala-flavoured-msg", "Scala-style `msg`", "messages:readable"),
        used("error", "msg", "`msg`, `message`, `error`", f"{_R}.error_reader"),
        used("error", "expired-token-401", "401 or an HTML page for an expired token", f"{_R}.error_reader"),
        used(
            "error",
            "429",
            "429, 500, 502, 503, 504",
            "dagster_runs.transport.retry:may_send_again",
            "Status calls are retried, starts are not",
        ),
        left_out(
            "rule",
            "rate-limits",
            "rate limits, `Retry-After`",
            "not documented; `requests_per_second` sets a limit, and the header is respected if present",
        ),
        used(
            "rule",
            "wrong-fabric-200",
            "200 for a wrong fabric, and nothing starts",
            "dagster_runs.remote_run.errors:RunTimedOut",
            "Either Prophecy refuses it, or the run never ends and reaches the timeout",
        ),
        used("rule", "page-pipeline", "page of the pipeline", f"{_RUN}.fetch_result"),
        used(
            "rule",
            "page-run-history",
            "page of the run history",
            f"{_RUN}.run_url",
            "There is no page for a single run",
        ),
        left_out("rule", "page-project", "page of the project", "the pipeline's page leads to it"),
    ],
)
