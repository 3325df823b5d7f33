"""Amperity: workflow runs, version 2024-04-01."""

from tests.conformance.table import Table, left_out, used

_R = "resource:AmperityResource"
_RUN = "run:AmperityWorkflowRun"
_OTHER = "not about workflow runs"

TABLE = Table(
    "Amperity",
    "amperity",
    {
        "calls": "vendors/test_amperity_calls.py",
        "states": "vendors/test_amperity_states.py",
        "ids": "vendors/test_run_ids.py",
        "answers": "vendors/test_amperity_answers.py",
        "login": "vendors/test_amperity_login.py",
        "lost": "vendors/test_amperity_lost_starts.py",
        "life": "vendors/test_amperity_life.py",
        "rate": "slow/test_amperity_rate_limit.py",
        "observation": "in_flight/test_observation.py",
        "at_length": "slow/test_observation_at_length.py",
        "listed_parts": "vendors/test_listed_parts.py",
        "long_lists": "slow/test_long_lists.py",
    },
    [
        used(
            "endpoint",
            "POST `/workflow/runs`, 200 or 201",
            f"{_R}.start_workflow",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else "
            "calls::TestWhatIsSent::test_both_documented_answers_to_a_start_are_taken",
        ),
        used(
            "endpoint",
            "GET `/workflow/runs/{workflow-id}`",
            f"{_R}.get_workflow",
            "calls::TestWhatIsSent::test_a_look_is_an_overview_until_the_end_and_then_verbose_once",
        ),
        used(
            "endpoint",
            "POST `/workflow/runs/{workflow-id}/stop`",
            f"{_R}.stop_workflow",
            "calls::TestWhatIsSent::test_a_stop_has_no_body states::TestStates::test_a_stopped_run_is_canceled",
        ),
        used(
            "endpoint",
            "GET `/workflow/runs`",
            f"{_R}.list_workflows",
            "lost::TestInBothKindsOfList::test_one_candidate "
            "lost::TestInAStep::test_one_candidate_is_presumed_to_be_ours "
            "observation::TestAmperity::test_workflows_are_known_by_their_name",
            "To find a run whose start's answer was lost, to follow deferred runs, and to see those that others start",
        ),
        used(
            "endpoint",
            "POST `/v0/oauth2/token`",
            f"{_R}.token_url",
            "login::test_the_request_is_a_form_with_the_tenant login::test_the_tokens_usual_address_is_the_tenants",
        ),
        left_out(
            "endpoint",
            "POST `/v0/admin/api-keys/{id}/tokens`",
            "makes tokens from an issuer key; client credentials do the same without a token that has to be kept",
        ),
        left_out("endpoint", "GET `/campaigns`", "discovery; assets are defined by id"),
        left_out("endpoint", "GET `/campaign-drafts`", "the unstable version only"),
        left_out("endpoint", "GET `/segments`, `/ingest/jobs`, `/ingest/jobs/{job-id}`, `/audit-events`", _OTHER),
        left_out("endpoint", "`/workflows/runs`, `/workflow/runs/{id}:stop`", "obsolete spellings"),
        left_out(
            "endpoint",
            "restart, retry or resolve a run; logs; list courier or orchestration groups",
            "no such call; in Amperity's UI only",
        ),
        left_out("endpoint", "the MCP server's tools", "for assistants; they do what the API does"),
        used(
            "parameter",
            "`config_id`: `cg-`, `og-`, `cc-`",
            f"{_RUN}.config_id",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else "
            "calls::TestWhatIsSent::test_all_three_kinds_are_started "
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused",
        ),
        used(
            "parameter",
            "`range_from`: courier groups only, inclusive",
            f"{_RUN}.range_from",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else "
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused "
            "life::TestPartitions::test_a_day_is_its_window",
        ),
        used(
            "parameter",
            "`range_to`: needs `range_from`, exclusive",
            f"{_RUN}.range_to",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else "
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused "
            "life::TestPartitions::test_a_range_in_one_run_is_one_workflow_over_all_of_it",
        ),
        used(
            "parameter",
            "`run_mode`: `source`, `refresh`, `full`",
            f"{_RUN}.run_mode",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else "
            "calls::TestFields::test_that_the_vendor_would_refuse_are_refused",
        ),
        used(
            "field",
            "`name` of a workflow that somebody else started",
            f"{_RUN}.workflow_name",
            "observation::TestAmperity::test_workflows_are_known_by_their_name "
            "observation::TestAmperity::test_without_a_name_they_cannot_be_observed",
            "Amperity never tells which `config_id` a workflow runs",
        ),
        used(
            "parameter",
            "partial dates (`YYYY-MM-DD`), and the `date-time` of the specification",
            f"{_RUN}.range_from",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else",
            "Both are taken, and sent as a date-time",
        ),
        used(
            "parameter",
            "no other property in the body",
            f"{_RUN}.start",
            "calls::TestWhatIsSent::test_the_body_holds_what_was_given_and_nothing_else",
            "They are forbidden",
        ),
        used(
            "parameter",
            "`view`: `overview`, `verbose`",
            f"{_R}.get_workflow",
            "calls::TestWhatIsSent::test_a_look_is_an_overview_until_the_end_and_then_verbose_once "
            "answers::test_an_end_is_seen_where_not_all_of_it_can_be_told",
            "Verbose once, at the end",
        ),
        used(
            "parameter",
            "`created_from`, `created_to`",
            f"{_RUN}.find_started",
            "lost::test_no_state_is_asked_for_where_the_list_is_of_all "
            "lost::TestInBothKindsOfList::test_runs_from_before_and_long_after_are_none "
            "lost::TestInAStep::test_is_found_however_wrong_our_clock_is "
            "listed_parts::test_amperitys_parts_leave_no_gap_however_wrong_our_clock_is",
            "By Amperity's clock, which an answer's `Date` tells",
        ),
        used(
            "parameter",
            "`type`, and what the server takes for granted without it",
            f"{_RUN}.find_started resource:_OTHER_TYPES",
            "lost::test_no_state_is_asked_for_where_the_list_is_of_all "
            "lost::TestInBothKindsOfList::test_runs_from_before_and_long_after_are_none "
            "at_length::TestWhereListsAreFilteredByDefault::test_each_kind_is_seen",
            "Asked both ways",
        ),
        used(
            "parameter",
            "`state`, and what the server takes for granted without it",
            "resource:_LISTED_STATES",
            "lost::TestInBothKindsOfList::test_one_candidate "
            "lost::TestInBothKindsOfList::test_in_every_spelling_of_its_state "
            "lost::test_no_state_is_asked_for_where_the_list_is_of_all",
            "Asked both ways",
        ),
        used(
            "parameter",
            "`next_token`, never null",
            f"{_R}.list_workflows",
            "lost::TestInBothKindsOfList::test_beyond_the_first_page lost::test_a_list_without_an_end_is_no_list",
        ),
        used(
            "parameter",
            "`ended_from`, `ended_to`",
            f"{_R}.list_ended",
            "long_lists::test_an_end_is_seen_however_many_stand_before_it "
            "long_lists::test_a_list_of_ends_that_is_too_long_for_a_tick_is_read_on_by_the_next "
            "long_lists::test_a_server_that_cannot_tell_ends_apart_is_asked_for_all",
            "To see the ends among very many deferred runs",
        ),
        left_out("parameter", "`limit`", "no default and no maximum are documented; the server's own is right"),
        left_out("parameter", "`with_total`", "documented as expensive, and not needed"),
        left_out(
            "parameter",
            "`destination_data_template_id`, `happened_from`, `happened_to`, and the fields of campaigns, "
            "segments, ingest jobs, audit events",
            "of endpoints that are left out",
        ),
        used(
            "parameter",
            "`workflow-id` in the path",
            f"{_R}.get_workflow",
            "ids::test_no_run_id_reaches_another_endpoint",
            "Encoded",
        ),
        used(
            "field",
            "workflow: `id`",
            "models:StartedWorkflow.id models:Workflow.id models:PartOfWorkflow.id",
            "calls::TestWhatIsSent::test_both_documented_answers_to_a_start_are_taken "
            "states::TestStates::test_an_id_is_all_that_a_start_needs",
        ),
        used(
            "field",
            "workflow: `state`",
            "models:Workflow.state",
            "states::TestStates::test_every_documented_one_in_every_spelling answers::test_of_a_workflow",
        ),
        used(
            "field",
            "workflow: `type`",
            "models:PartOfWorkflow.type",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        used(
            "field",
            "workflow type `courier.group/run`",
            "run:_TYPES[cg]",
            "lost::TestInBothKindsOfList::test_of_each_kind",
        ),
        used(
            "field",
            "workflow type `amperity.orchestration.orchestration/run`",
            "run:_TYPES[og]",
            "lost::TestInBothKindsOfList::test_of_each_kind",
        ),
        used(
            "field",
            "workflow types `campaign.send`, `campaign.fetch`",
            "run:_TYPES[cc]",
            "lost::TestInBothKindsOfList::test_of_each_kind "
            "lost::TestInBothKindsOfList::test_a_campaigns_fetch_counts_too",
            "Which of the two a started campaign has is documented nowhere",
        ),
        used(
            "field",
            "workflow: `name`",
            "models:PartOfWorkflow.name",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        used(
            "field",
            "workflow: `created_at`",
            "models:PartOfWorkflow.created_at",
            "lost::TestInBothKindsOfList::test_one_candidate "
            "lost::TestInAStep::test_one_candidate_is_presumed_to_be_ours "
            "states::TestStates::test_the_life_of_a_run_in_both_pages_words answers::test_of_any_time",
        ),
        used(
            "field",
            "workflow: `ended_at`",
            "models:Workflow.ended_at",
            "states::TestStates::test_the_life_of_a_run_in_both_pages_words answers::test_of_any_time",
        ),
        used(
            "field",
            "workflow: `error`, with `verbose` only",
            "models:Workflow.error",
            "life::TestFailing::test_shows_the_vendors_words_and_the_tasks "
            "states::TestStates::test_the_error_of_a_failed_run_is_told",
        ),
        used(
            "field",
            "workflow: `task_instances[]`, with `verbose` only",
            "models:Workflow.tasks",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        left_out(
            "field",
            "workflow: `tenant`, `principal_id`, `principal_name`, `principal_email`",
            "who started it is known: we did",
        ),
        left_out(
            "field",
            "workflow: `launched_version`, `current_version`, `warn_after_ms`",
            "they decide nothing, and people see them in Amperity",
        ),
        used(
            "field",
            "task: `id`",
            "models:Task.id",
            "states::TestTasks::test_those_that_did_not_succeed_are_named_as_text",
        ),
        used(
            "field",
            "task: `label`",
            "models:Task.label",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        used(
            "field",
            "task: `task_definition_type`",
            "models:Task.task_definition_type",
            "states::TestTasks::test_those_that_did_not_succeed_are_named_as_text",
        ),
        used(
            "field",
            "task: `state`",
            "models:Task.state",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start states::TestTasks::test_outcomes "
            "answers::test_one_odd_task_does_not_hide_a_failed_one",
        ),
        used(
            "field",
            "task: `created_at`, `started_at`",
            "models:Task.started_at",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        used(
            "field",
            "task: `ended_at`",
            "models:Task.ended_at",
            "states::TestTasks::test_the_table_has_both_spellings_of_the_start",
        ),
        used(
            "field",
            "task: `error`",
            "models:Task.error",
            "life::TestFailing::test_shows_the_vendors_words_and_the_tasks",
        ),
        used(
            "field",
            "task: `execution_type`",
            "models:Task.execution_type",
            "conformance/test_gaps.py::test_what_is_read_and_not_shown",
            "Read, not shown",
        ),
        left_out(
            "field",
            "task: `tenant`, `state_changed_at`, `run_id`, `task_definition_id`, `task_instance_id`, "
            "`timeout_ms`, `workflow_id`",
            "not needed to tell people which task failed, and why",
        ),
        used(
            "field",
            "error: `type`, `message`, `attribution`, `data`",
            "dagster_runs.remote_run.lenient:ErrorText",
            "states::TestStates::test_the_error_of_a_failed_run_is_told",
            "The message",
        ),
        used(
            "field",
            "error `…/cancel` of a run that somebody stopped",
            f"{_RUN}.fetch_status",
            "states::TestStates::test_a_stopped_run_is_canceled "
            "life::TestFailing::test_a_workflow_that_somebody_stops_is_no_success",
            "The state decides; the message is shown",
        ),
        used(
            "field",
            "list: `data[]`",
            "models:WorkflowPage.data",
            "lost::TestInBothKindsOfList::test_one_candidate "
            "lost::TestInAStep::test_one_candidate_is_presumed_to_be_ours answers::test_of_a_list",
        ),
        used(
            "field",
            "list: `next_token`, absent or empty on the last page",
            "models:WorkflowPage.next_token",
            "lost::TestInBothKindsOfList::test_beyond_the_first_page lost::test_a_list_without_an_end_is_no_list",
        ),
        left_out("field", "list: `total`", "only with `with_total`"),
        left_out(
            "field",
            "a bare workflow where the list is due",
            "one sample only, against the specification; it is an error that quotes the answer",
            "conformance/test_gaps.py::test_amperitys_bare_workflow_is_no_list",
        ),
        used(
            "state",
            "Scheduled",
            "models:_WORDS[scheduled]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Started",
            "models:_WORDS[started]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "In progress, in every spelling",
            "models:_WORDS[inprogress]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Running",
            "models:_WORDS[running]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Running with failures",
            "models:_WORDS[runningwithfailures]",
            "states::TestStates::test_every_documented_one_in_every_spelling "
            "life::TestMaterializing::test_words_that_are_no_end_are_waited_through",
            "Still going",
        ),
        used(
            "state",
            "Finalizing",
            "models:_WORDS[finalizing]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Up for retry",
            "models:_WORDS[upforretry]",
            "states::TestStates::test_every_documented_one_in_every_spelling "
            "life::TestMaterializing::test_words_that_are_no_end_are_waited_through",
        ),
        used(
            "state",
            "Paused",
            "models:_WORDS[paused]",
            "states::TestStates::test_every_documented_one_in_every_spelling "
            "life::TestMaterializing::test_words_that_are_no_end_are_waited_through",
            "Waits for a person, until our timeout",
        ),
        used(
            "state",
            "Stopping",
            "models:_WORDS[stopping]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Canceling",
            "models:_WORDS[canceling]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Succeeded",
            "models:_WORDS[succeeded]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Failed",
            "models:_WORDS[failed]",
            "states::TestStates::test_every_documented_one_in_every_spelling "
            "states::TestStates::test_the_error_of_a_failed_run_is_told",
        ),
        used(
            "state",
            "Canceled",
            "models:_WORDS[canceled]",
            "states::TestStates::test_every_documented_one_in_every_spelling "
            "calls::TestWhatIsSent::test_a_stop_has_no_body states::TestStates::test_a_stopped_run_is_canceled",
        ),
        used(
            "state",
            "Stopped",
            "models:_WORDS[stopped]",
            "states::TestStates::test_every_documented_one_in_every_spelling",
        ),
        used(
            "state",
            "Skipped, of a task",
            "run:tasks_succeeded",
            "life::TestMaterializing::test_skipped_tasks_are_a_warning_that_names_them "
            "states::TestTasks::test_outcomes",
            "A warning that names the task",
        ),
        used(
            "state",
            "any other word",
            "dagster_runs.remote_run.state:state_of",
            "states::TestStates::test_any_other_is_unknown answers::test_of_any_state "
            "remote_run/test_waiting.py::test_an_unknown_word_with_an_end_is_an_error_that_quotes_it",
        ),
        used(
            "rule",
            "stop: at once, or by way of Stopping",
            f"{_RUN}.cancel",
            "life::TestStopping::test_stops_the_workflow calls::TestWhatIsSent::test_a_stop_has_no_body "
            "states::TestStates::test_a_stopped_run_is_canceled",
        ),
        used(
            "rule",
            "stop: orchestration tasks that have started go on",
            f"{_RUN}.cancel_caveat",
            "life::TestStopping::test_stops_the_workflow "
            "calls::TestFields::test_orchestrations_alone_go_on_when_stopped",
            "Said plainly",
        ),
        used(
            "rule",
            "stop: what has ended already, 409",
            f"{_R}.stop_workflow",
            "life::TestStopping::test_bears_a_workflow_that_has_ended_just_then "
            "calls::TestRefusals::test_a_run_that_has_ended_cannot_be_stopped",
        ),
        used(
            "rule",
            "10 requests a second",
            f"{_R}.requests_per_second",
            "rate::test_a_burst_of_threads_and_resources_stays_within_it "
            "rate::test_starts_looks_stops_and_lists_count_alike rate::test_ten_a_second_is_the_default",
        ),
        left_out(
            "rule",
            "`Retry-After`, rate-limit headers",
            "not documented; heeded if they come",
            "transport/test_retries.py::test_what_a_retry_after_header_asks_for",
        ),
        left_out(
            "rule",
            "idempotency key",
            "none is documented; a lost start is looked for",
            "lost::TestInBothKindsOfList::test_one_candidate "
            "lost::TestInAStep::test_one_candidate_is_presumed_to_be_ours",
        ),
        left_out(
            "rule",
            "`Deprecation`, `Sunset` headers",
            "for the people who maintain this package, who read the changelog",
        ),
        left_out("rule", "a page for a run", "its address is not documented"),
        used(
            "login",
            "hosts of AWS, Azure, Australia; with or without `/api`",
            f"{_R}.base_url",
            "calls::TestAddress::test_of_the_api calls::TestAddress::test_works_with_and_without_api "
            "test_definitions.py::test_amperity_of_azure_and_australia",
        ),
        used(
            "login",
            "header `amperity-tenant`, also a sandbox's id",
            f"{_R}.tenant",
            "calls::TestWhatIsSent::test_the_headers "
            "calls::TestAddress::test_tenants_and_their_sandboxes_are_taken "
            "calls::TestRefusals::test_a_wrong_tenant",
        ),
        used(
            "login",
            "header `api-version`",
            f"{_R}.api_version",
            "calls::TestWhatIsSent::test_the_headers calls::TestRefusals::test_a_version_that_there_is_not",
        ),
        left_out("login", "query `api_version`", "the header says the same"),
        used(
            "login",
            "JWT",
            f"{_R}.access_token",
            "calls::TestWhatIsSent::test_the_headers calls::TestRefusals::test_a_wrong_token "
            "login::test_a_token_from_the_settings_is_not_renewed",
        ),
        used(
            "login",
            "OAuth client credentials",
            f"{_R}.client_id {_R}.client_secret",
            "login::test_the_request_is_a_form_with_the_tenant "
            "login::test_the_tokens_usual_address_is_the_tenants "
            "login::test_the_first_call_logs_in_and_the_others_do_not",
        ),
        used(
            "login",
            "`access_token`",
            "dagster_runs.transport.oauth:_TokenAnswer.access_token",
            "login::test_the_first_call_logs_in_and_the_others_do_not",
        ),
        used(
            "login",
            "`expires_in`",
            "dagster_runs.transport.oauth:_TokenAnswer.expires_in",
            "login::test_a_token_is_renewed_before_it_ends "
            "login::test_a_token_of_a_short_life_is_renewed_at_its_half answers::test_of_a_token",
        ),
        left_out("login", "`token_type`", "always Bearer"),
        used(
            "login",
            "an expired token: 401",
            "dagster_runs.transport.auth:RenewedToken.renew",
            "login::test_a_token_that_is_refused_is_renewed_once_and_the_call_succeeds "
            "login::test_a_start_with_a_token_that_is_refused_starts_one_run "
            "login::test_a_token_is_renewed_once_for_a_call",
        ),
        used(
            "error",
            "`status`, `message`, `request_id`, `trace_id`",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_an_error_is_read_in_every_shape",
        ),
        used(
            "error",
            "400, 401, 403, 404, 409",
            f"{_R}.error_reader",
            "calls::TestRefusals::test_a_wrong_token calls::TestRefusals::test_a_run_that_there_is_not "
            "calls::TestRefusals::test_an_error_is_read_in_every_shape",
        ),
        used(
            "error",
            "405",
            "dagster_runs.transport.errors:VendorError",
            "transport/test_errors.py::test_the_class_for_a_status "
            "transport/test_errors.py::test_an_unknown_status_is_an_error_too",
        ),
        used(
            "error",
            "429, 500, 503",
            "dagster_runs.transport.retry:may_send_again",
            "rate::test_a_429_has_started_nothing life::TestAttaching::test_errors_of_a_look_do_not_end_it "
            "transport/test_retries.py::test_a_read_is_sent_again_after "
            "transport/test_retries.py::test_pauses_are_jittered",
        ),
    ],
)
