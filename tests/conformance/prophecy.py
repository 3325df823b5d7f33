"""Prophecy: the trigger API of pipelines."""

from tests.conformance.table import Table, left_out, used

_R = "resource:ProphecyResource"
_RUN = "run:ProphecyPipelineRun"
_SETS_UP = "sets Prophecy up rather than running something"

TABLE = Table(
    "Prophecy",
    "prophecy",
    {
        "calls": "vendors/test_prophecy_calls.py",
        "answers": "vendors/test_prophecy_answers.py",
        "assets": "vendors/test_prophecy_assets.py",
        "ids": "vendors/test_run_ids.py",
    },
    [
        used(
            "endpoint",
            "POST `/api/trigger/pipeline`",
            f"{_R}.trigger_pipeline",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "endpoint",
            "GET `/api/trigger/pipeline/{runId}`",
            f"{_R}.get_pipeline_run",
            "calls::TestWhatIsSent::test_a_runs_id_is_encoded_whole "
            "answers::TestStates::test_the_documented_example_is_read",
        ),
        left_out("endpoint", "POST `/api/deploy/project`", f"deploys code; it {_SETS_UP}"),
        left_out(
            "endpoint",
            "POST `/api/orchestration/tests/run`",
            "synchronous, so there is no run to wait for or to attach to",
        ),
        left_out("endpoint", "`/api/orchestration/fabric…`: fabrics, connections, secrets", _SETS_UP),
        left_out(
            "endpoint",
            "cancel a run",
            "not documented; the run says where a person stops it",
            "calls::TestFields::test_it_can_neither_be_cancelled_nor_found_nor_started_twice "
            "assets::TestTermination::test_says_plainly_that_the_run_goes_on_and_where_to_look",
        ),
        left_out(
            "endpoint",
            "list pipelines, projects, fabrics, runs",
            "not documented, so a run whose start's answer was lost cannot be found",
            "assets::TestLostAnswers::test_nobody_can_tell",
        ),
        left_out("endpoint", "logs", "in the UI only; the link leads there"),
        used(
            "parameter",
            "`fabricId`, an integer",
            f"{_RUN}.fabric_id",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field "
            "calls::TestWhatIsSent::test_ids_may_be_written_as_text_or_number",
        ),
        used(
            "parameter",
            "`pipelineName`",
            f"{_RUN}.pipeline_name",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "parameter",
            "`projectId`",
            f"{_RUN}.project_id",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "parameter",
            "`parameters`, texts only",
            f"{_RUN}.parameters",
            "assets::TestPartitions::test_a_day_fills_parameters "
            "assets::TestLaunchpad::test_overrides_parameters_and_version "
            "calls::TestWhatIsSent::test_every_field "
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused",
            "Numbers are written as texts, other things refused",
        ),
        used(
            "parameter",
            "`branch`",
            f"{_RUN}.branch",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "parameter",
            "`version`",
            f"{_RUN}.version",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "parameter",
            "`processName`",
            f"{_RUN}.process_name",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field",
        ),
        used(
            "parameter",
            "`runId` in the path: `==`, `-`, any alphabet",
            f"{_R}.get_pipeline_run",
            "calls::TestWhatIsSent::test_a_runs_id_is_encoded_whole ids::test_no_run_id_reaches_another_endpoint",
            "Encoded",
        ),
        left_out(
            "parameter",
            "`projectName`, `fabricName`, `gitTag`, `pipelineConfigurations`, `projectConfiguration`, "
            "`tests`, `modelName`, and the fields of their answers",
            "of endpoints that are left out",
        ),
        used(
            "field",
            "start: `success`",
            "models:TriggerAnswer.success",
            "calls::TestRefusals::test_with_200_and_success_false_are_errors_in_the_vendors_words "
            "calls::TestRefusals::test_are_read_in_every_shape",
        ),
        used(
            "field",
            "start: `runId`",
            "models:TriggerAnswer.run_id",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field "
            "calls::TestRefusals::test_an_answer_that_is_neither_yes_nor_no_may_have_started_something "
            "answers::TestAnyBody::test_of_a_start",
        ),
        used(
            "field",
            "start: `msg`",
            "models:TriggerAnswer.msg",
            "calls::TestRefusals::test_with_200_and_success_false_are_errors_in_the_vendors_words "
            "calls::TestRefusals::test_are_read_in_every_shape",
        ),
        used(
            "field",
            "run: `success`: of the question, not of the run",
            "models:PipelineRunAnswer.success",
            "calls::TestRefusedLooks::test_an_unknown_run "
            "calls::TestRefusedLooks::test_another_trouble_says_nothing_about_the_run",
        ),
        used(
            "field",
            "run: `runStatus`",
            "models:PipelineRunAnswer.run_status",
            "answers::TestStates::test_are_told_by_word answers::TestStates::test_a_body_without_a_state_is_quoted "
            "answers::TestAnyBody::test_of_a_status",
        ),
        used(
            "field",
            "run: `createdAt`, UTC without a zone, or with `Z`",
            "models:PipelineRunAnswer.created_at",
            "answers::TestStates::test_times_are_utc_with_and_without_a_zone "
            "answers::TestStates::test_a_strange_time_does_not_hide_the_state",
        ),
        used(
            "field",
            "run: `updatedAt`",
            "models:PipelineRunAnswer.updated_at",
            "answers::TestStates::test_times_are_utc_with_and_without_a_zone "
            "answers::TestStates::test_a_strange_time_does_not_hide_the_state",
            "The end time, once the run has ended: there is no other",
        ),
        used(
            "field",
            "run: `errorMessage`",
            "models:PipelineRunAnswer.error_message",
            "answers::TestStates::test_the_error_is_told_with_its_lines "
            "assets::TestOutcome::test_a_failed_run_carries_its_error_as_text",
        ),
        used(
            "field",
            "run: `msg`",
            "models:PipelineRunAnswer.msg",
            "calls::TestRefusedLooks::test_an_unknown_run "
            "calls::TestRefusedLooks::test_another_trouble_says_nothing_about_the_run "
            "calls::TestMessages::test_that_miss_the_run_itself "
            "calls::TestMessages::test_that_miss_something_else_say_nothing_of_the_run",
        ),
        left_out(
            "field",
            "run: `runId`, `projectId`, `fabricId` (a text here), `pipelineName`",
            "they repeat what we sent; none is read, so their types cannot matter",
            "calls::TestWhatIsSent::test_the_fabric_comes_back_as_text",
        ),
        used("state", "`RUNNING`", "run:_WORDS[running]", "answers::TestStates::test_are_told_by_word"),
        used("state", "`SUCCEEDED`", "run:_WORDS[succeeded]", "answers::TestStates::test_are_told_by_word"),
        used(
            "state",
            "`ERROR`",
            "run:_WORDS[error]",
            "answers::TestStates::test_are_told_by_word answers::TestStates::test_the_error_is_told_with_its_lines",
        ),
        used(
            "state",
            "any other word",
            "dagster_runs.remote_run.state:state_of",
            "answers::TestStates::test_are_told_by_word "
            "assets::TestOutcome::test_a_queue_that_nobody_documented_is_waited_for "
            "assets::TestOutcome::test_an_end_that_nobody_documented_is_no_success",
            "`runStatus` is said to *include* these three",
        ),
        used(
            "login",
            "header `X-AUTH-TOKEN`",
            f"{_R}.access_token {_R}.auth",
            "calls::TestWhatIsSent::test_only_what_is_required_by_default calls::TestWhatIsSent::test_every_field "
            "calls::TestRefusals::test_a_wrong_token",
        ),
        used("login", "an environment's own address", f"{_R}.base_url", "calls::TestConnection::test_address"),
        left_out(
            "login",
            "`Authorization: Bearer`",
            "told by a third party only; the vendor's specification and script use the other header",
        ),
        left_out("login", "refresh, service accounts", "not documented"),
        used(
            "error",
            "`success: false` with HTTP 200",
            f"{_R}.trigger_pipeline",
            "calls::TestRefusals::test_with_200_and_success_false_are_errors_in_the_vendors_words "
            "calls::TestRefusals::test_are_read_in_every_shape",
            "An error, and nothing was started",
        ),
        used(
            "error",
            "Scala-flavoured `msg`",
            "messages:readable",
            "calls::TestMessages::test_are_shown_without_their_wrappers",
        ),
        used(
            "error",
            "`msg`, `message`, `error`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_status_is_read_in_every_shape",
        ),
        used(
            "error",
            "an expired token: 401, or HTML",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_a_wrong_token "
            "calls::TestRefusals::test_a_login_page_in_place_of_an_answer_is_told",
        ),
        used(
            "error",
            "429, 500, 502, 503, 504",
            "dagster_runs.transport.retry:may_send_again",
            "transport/test_retries.py::test_a_read_is_sent_again_after "
            "transport/test_retries.py::TestAStart::test_is_sent_once_by_itself",
            "A look is repeated, a start is not",
        ),
        left_out(
            "rule",
            "rate limits, `Retry-After`",
            "not documented; `requests_per_second` sets a limit, and the header is heeded if it comes",
            "transport/test_retries.py::test_what_a_retry_after_header_asks_for",
        ),
        used(
            "rule",
            "a wrong fabric: 200, and nothing starts",
            "dagster_runs.remote_run.errors:RunTimedOut",
            "assets::TestAWrongFabric::test_whose_run_is_lost assets::TestAWrongFabric::test_whose_run_never_begins",
            "Refused, or never ends: the timeout",
        ),
        used("rule", "page of the pipeline", f"{_RUN}.fetch_result", "answers::TestLinks::test_to_the_pipeline"),
        used(
            "rule",
            "page of the run history",
            f"{_RUN}.run_url",
            "answers::TestLinks::test_to_the_run_history",
            "There is none for one run",
        ),
        left_out("rule", "page of the project", "the pipeline's page leads to it"),
    ],
)
