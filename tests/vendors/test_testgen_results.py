"""Results of finished runs, from servers with both response formats."""

from typing import Any

import pytest

from dagster_runs import QualityGate, TestGenResource
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.vendors.testgen.runs import SCORE_WITHIN
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt, check, group_run, numbers, run_to_completion, suite_run

MOUNTS = ["testgen", "testgen-old"]


@pytest.fixture(params=MOUNTS)
def either(request: pytest.FixtureRequest, testgen_at: TestGenMaker) -> TestGenResource:
    return testgen_at(request.param)


class TestTestRuns:
    __test__ = True

    @pytest.mark.covers(
        "testgen.endpoint.test-run",
        "testgen.field.test-run-result",
        "testgen.field.test-run-result-result-counts",
        "testgen.field.test-run-result-score",
        "testgen.field.counts-passed",
        "testgen.field.counts-failed",
        "testgen.field.counts-warning",
        "testgen.field.counts-error",
        "testgen.field.counts-log",
        "testgen.field.counts-dismissed",
    )
    def test_report_score_and_counts_in_both_formats(self, sandbox: Sandbox, either: TestGenResource) -> None:
        result = run_to_completion(sandbox, either, suite_run(well_known.SUITE_ORDERS))
        assert numbers(result) == {
            "testgen/score": 0.8713,
            "testgen/tests_passed": 41,
            "testgen/tests_failed": 5,
            "testgen/tests_warning": 2,
            "testgen/tests_error": 0,
            "testgen/tests_log": 0,
            "testgen/tests_dismissed": 0,
        }

    @pytest.mark.parametrize(
        ("suite", "passed", "severity"),
        [
            (well_known.SUITE_CLEAN, True, None),
            (well_known.SUITE_FEATURES, True, None),
            (well_known.SUITE_ORDERS, False, "ERROR"),
            (well_known.SUITE_DEFAULT, False, "ERROR"),
            (well_known.SUITE_BAD_SQL, False, "ERROR"),
            (well_known.SUITE_EMPTY, False, "ERROR"),
        ],
    )
    @pytest.mark.covers("testgen.state.completed")
    def test_are_judged_by_their_counts(
        self, suite: str, passed: bool, severity: str | None, sandbox: Sandbox, either: TestGenResource
    ) -> None:
        outcome = check(run_to_completion(sandbox, either, suite_run(suite)), "tests_passed")
        assert outcome.passed is passed
        if severity:
            assert outcome.severity.value == severity

    @pytest.mark.covers("testgen.rule.score-without-tests", "end.nothing-tested")
    def test_empty_suite_fails_all_checks_despite_a_perfect_score(
        self, sandbox: Sandbox, either: TestGenResource
    ) -> None:
        result = run_to_completion(sandbox, either, suite_run(well_known.SUITE_EMPTY), QualityGate(min_score=0.5))
        assert numbers(result)["testgen/score"] == 1.0
        assert [outcome.passed for outcome in result.checks] == [False, False]

    @pytest.mark.covers("testgen.field.counts-error")
    def test_broken_test_fails_tests_passed_despite_a_perfect_score(
        self, sandbox: Sandbox, either: TestGenResource
    ) -> None:
        result = run_to_completion(sandbox, either, suite_run(well_known.SUITE_BAD_SQL))
        assert numbers(result)["testgen/score"] == 1.0
        assert not check(result, "tests_passed").passed

    @pytest.mark.parametrize("missing", ["result", "result.result_counts", "result.result_counts.failed"])
    @pytest.mark.covers("testgen.field.test-run-result")
    def test_missing_counts_fail_all_checks(self, missing: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.add_fault(Fault("missing_field", field=missing, path="/test-runs/"))
        run = suite_run()
        run_id = run.start(testgen, attempt())
        sandbox.advance(100)
        status = run.fetch_status(testgen, run_id)
        failed = type(status)(RunState.FAILED, status.vendor_status)  # so that it does not wait for a score
        result = run.fetch_result(testgen, run_id, failed, None)
        assert [outcome.passed for outcome in result.checks] == [False, False]
        assert "no counts" in str(result.checks[0].description)

    @pytest.mark.parametrize("value", ["many", None, {}, [], 1.5])
    @pytest.mark.covers("testgen.field.test-run-result-result-counts")
    def test_invalid_counts_fail_tests_passed(self, value: Any, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.add_fault(Fault("wrong_type", field="result.result_counts.failed", value=value, path="/test-runs/"))
        result = run_to_completion(sandbox, testgen, suite_run())
        assert not check(result, "tests_passed").passed


class TestFailingTests:
    __test__ = True

    @pytest.mark.covers(
        "testgen.endpoint.test-results",
        "testgen.parameter.results-status",
        "testgen.field.results-items",
        "testgen.field.results-result-status",
        "testgen.field.results-result-message",
    )
    def test_are_listed_worst_first(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.set_behavior(
            well_known.SUITE_CLEAN,
            Behavior(counts={"passed": 3, "failed": 2, "error": 1, "warning": 1, "log": 1}),
            vendor="testgen",
        )
        table = run_to_completion(sandbox, testgen, suite_run()).metadata["testgen/failing_tests"]
        assert [record.data["status"] for record in table.records] == ["failed", "failed", "error", "warning"]
        assert all(record.data["message"] for record in table.records)

    def test_are_not_requested_if_no_test_failed(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        result = run_to_completion(sandbox, testgen, suite_run(well_known.SUITE_FEATURES))
        assert "testgen/failing_tests" not in result.metadata
        assert not [request for request in sandbox.requests("testgen") if request.path.endswith("/results")]

    @pytest.mark.covers("testgen.endpoint.test-results")
    def test_are_omitted_if_the_server_cannot_list_them(self, sandbox: Sandbox, testgen_old: TestGenResource) -> None:
        result = run_to_completion(sandbox, testgen_old, suite_run(well_known.SUITE_ORDERS))
        assert "testgen/failing_tests" not in result.metadata
        assert numbers(result)["testgen/tests_failed"] == 5
        asked = [request for request in sandbox.requests("testgen-old") if request.path.endswith("/results")]
        assert [request.status for request in asked] == [404]

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("status", status=500, path="/results"),
            Fault("not_json", path="/results"),
            Fault("missing_field", field="items", path="/results"),
            Fault("reset", path="/results"),
        ],
        ids=lambda fault: fault.kind,
    )
    @pytest.mark.usefixtures("clock")
    def test_failed_request_does_not_affect_the_result(
        self, fault: Fault, sandbox: Sandbox, testgen_at: TestGenMaker
    ) -> None:
        sandbox.add_fault(fault)
        result = run_to_completion(sandbox, testgen_at("testgen", max_retries=1), suite_run(well_known.SUITE_ORDERS))
        assert numbers(result)["testgen/tests_failed"] == 5

    @pytest.mark.covers("testgen.parameter.page")
    def test_long_lists_are_truncated(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.set_behavior(
            well_known.SUITE_CLEAN, Behavior(counts={"failed": 60, "error": 130, "warning": 9}), vendor="testgen"
        )
        table = run_to_completion(sandbox, testgen, suite_run()).metadata["testgen/failing_tests"]
        statuses = [record.data["status"] for record in table.records]
        assert (len(statuses), statuses.count("failed"), statuses.count("error")) == (100, 60, 40)


class TestProfilingRuns:
    __test__ = True

    @pytest.mark.covers(
        "testgen.endpoint.profiling-run",
        "testgen.field.profiling-run-result",
        "testgen.field.profiling-run-result-score",
        "testgen.field.profiling-run-result-table-ct",
        "testgen.field.profiling-run-result-column-ct",
        "testgen.field.profiling-run-result-record-ct",
        "testgen.field.profiling-run-result-issue-counts",
        "testgen.field.issues-definite",
        "testgen.field.issues-likely",
        "testgen.field.issues-possible",
        "testgen.field.issues-potential-pii-high",
        "testgen.field.issues-potential-pii-moderate",
        "testgen.field.issues-dismissed",
    )
    def test_report_score_sizes_and_issues_of_the_new_format(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        assert numbers(run_to_completion(sandbox, testgen, group_run())) == {
            "testgen/score": 0.9921,
            "testgen/table_count": 4,
            "testgen/column_count": 37,
            "testgen/record_count": 12_480,
            "testgen/hygiene_definite": 2,
            "testgen/hygiene_likely": 1,
            "testgen/hygiene_possible": 2,
            "testgen/hygiene_dismissed": 0,
            "testgen/pii_high": 1,
            "testgen/pii_moderate": 3,
        }

    @pytest.mark.covers(
        "testgen.endpoint.profiling-run",
        "testgen.field.profiling-run-result-score",
        "testgen.field.profiling-run-result-column-ct",
        "testgen.field.profiling-run-result-record-ct",
        "testgen.field.profiling-run-result-issue-counts",
        "testgen.field.issues-definite",
        "testgen.field.issues-likely",
        "testgen.field.issues-possible",
        "testgen.field.issues-potential-pii-high",
        "testgen.field.issues-potential-pii-moderate",
        "testgen.field.issues-dismissed",
    )
    def test_report_score_sizes_and_issues_of_the_old_format(
        self, sandbox: Sandbox, testgen_old: TestGenResource
    ) -> None:
        # On older servers, potential PII counts as possible issues.
        assert numbers(run_to_completion(sandbox, testgen_old, group_run())) == {
            "testgen/score": 0.9921,
            "testgen/table_count": 4,
            "testgen/column_count": 37,
            "testgen/record_count": 12_480,
            "testgen/hygiene_definite": 2,
            "testgen/hygiene_likely": 1,
            "testgen/hygiene_possible": 6,
            "testgen/hygiene_dismissed": 0,
        }

    @pytest.mark.covers("testgen.field.profiling-run-result-table-ct", "end.nothing-tested")
    def test_run_without_tables_fails_all_checks_despite_a_perfect_score(
        self, sandbox: Sandbox, either: TestGenResource
    ) -> None:
        result = run_to_completion(sandbox, either, group_run(well_known.TABLE_GROUP_NO_SCHEMA))
        assert numbers(result)["testgen/score"] == 1.0
        assert numbers(result)["testgen/table_count"] == 0
        assert [outcome.passed for outcome in result.checks] == [False, False]

    @pytest.mark.covers("testgen.field.issues-definite", "testgen.field.issues-likely")
    def test_are_judged_by_definite_and_likely_issues(self, sandbox: Sandbox, either: TestGenResource) -> None:
        outcome = check(run_to_completion(sandbox, either, group_run()), "hygiene_issues")
        assert (outcome.passed, outcome.severity.value) == (False, "ERROR")
        gate = QualityGate(max_failures=2, max_warnings=1)
        assert check(run_to_completion(sandbox, either, group_run(), gate), "hygiene_issues").passed


class TestFlaggedColumns:
    __test__ = True

    @pytest.mark.covers(
        "testgen.endpoint.potential-pii",
        "testgen.field.findings-column",
        "testgen.field.findings-kind",
    )
    def test_name_definite_issues_and_potential_pii(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        issues = [
            {"likelihood": "definite", "table_name": "orders", "column_name": "total", "issue_type_name": name}
            for name in ("Mixed Types", "Dummy Values")
        ]
        pii = [
            {"pii_risk": risk, "table_name": table, "column_name": column}
            for risk, table, column in (
                ("moderate", "people", "email"),
                ("high", "people", "email"),
                ("moderate", "orders", "total"),
            )
        ]
        sandbox.set_behavior(
            well_known.TABLE_GROUP, Behavior(issues=[*issues, {"likelihood": "possible"}], pii=pii), vendor="testgen"
        )
        result = run_to_completion(sandbox, testgen, group_run())
        assert [record.data for record in result.metadata["testgen/flagged_columns"].records] == [
            {"column": "orders.total", "definite issues": "Mixed Types, Dummy Values", "potential PII": "moderate"},
            {"column": "people.email", "definite issues": "", "potential PII": "high"},
        ]

    def test_cost_no_call_if_there_are_none(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.set_behavior(well_known.TABLE_GROUP, Behavior(issues={"possible": 2}, pii={}), vendor="testgen")
        result = run_to_completion(sandbox, testgen, group_run())
        assert "testgen/flagged_columns" not in result.metadata
        assert not [one.path for one in sandbox.requests() if one.path.endswith(("/hygiene-issues", "/potential-pii"))]

    @pytest.mark.usefixtures("clock")
    def test_are_missing_if_the_server_cannot_list_them(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        for path in ("/hygiene-issues", "/potential-pii"):
            sandbox.add_fault(Fault("status", status=500, path=path, times=None))
        result = run_to_completion(sandbox, testgen, group_run())
        assert "testgen/flagged_columns" not in result.metadata
        assert numbers(result)["testgen/hygiene_definite"] == 2

    def test_left_out_ones_are_counted(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.set_behavior(well_known.TABLE_GROUP, Behavior(issues={"definite": 130}, pii={}), vendor="testgen")
        result = run_to_completion(sandbox, testgen, group_run())
        assert result.metadata["testgen/flagged_columns_left_out"].value == "30 of 130 findings are left out"


class TestLateScores:
    __test__ = True

    def wait(self, sandbox: Sandbox, resource: TestGenResource, delay: float | None, **options: Any) -> dict[str, Any]:
        """Returns the numbers of the result, fetched as soon as the run has ended."""
        given = {"running_seconds": 1, "queued_seconds": 1, "counts": {"passed": 5}, **options}
        if delay is not None:
            given["score_delay"] = delay
        sandbox.set_behavior(well_known.SUITE_CLEAN, Behavior(**given), vendor="testgen")
        run = suite_run()
        run_id = run.start(resource, attempt())
        sandbox.advance(2.1)
        self.result = run.fetch_result(resource, run_id, run.fetch_status(resource, run_id), None)
        return numbers(self.result)

    @pytest.mark.parametrize("delay", [0.0, 4.0, 20.0])
    @pytest.mark.covers("testgen.field.test-run-result-score")
    def test_are_polled_for(
        self, delay: float, sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
    ) -> None:
        assert self.wait(sandbox, testgen, delay)["testgen/score"] == 1.0
        assert delay - 1 <= sum(clock.pauses) <= delay + 2

    @pytest.mark.parametrize("never", [{"delay": 1e6}, {"delay": None, "score": None}])
    @pytest.mark.covers("testgen.field.test-run-result-score")
    def test_are_polled_for_a_limited_time(
        self, never: dict[str, Any], sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
    ) -> None:
        # A draft of a suite never gets a score.
        assert "testgen/score" not in self.wait(sandbox, testgen, **never)
        assert SCORE_WITHIN - 1 <= sum(clock.pauses) <= SCORE_WITHIN + 2
        assert check(self.result, "tests_passed").passed
        outcome = check(self.result, "quality_score")
        assert (outcome.passed, outcome.severity.value) == (False, "WARN")

    @pytest.mark.parametrize("outcome", ["fail", "cancel"])
    def test_are_not_polled_for_if_the_run_did_not_complete(
        self, outcome: str, sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
    ) -> None:
        self.wait(sandbox, testgen, None, outcome=outcome)
        assert clock.pauses == []


class TestLinks:
    __test__ = True

    @pytest.mark.covers("testgen.rule.pages-test-results-profiling-results")
    def test_point_to_the_results_page(self, testgen_at: TestGenMaker) -> None:
        resource = testgen_at("testgen", ui_url="https://ui.example.com/", project_code="MY PROJECT&1")
        query = "?project_code=MY+PROJECT%261&run_id=j1"
        assert suite_run().run_url(resource, "j1") == f"https://ui.example.com/test-runs:results{query}"
        assert group_run().run_url(resource, "j1") == f"https://ui.example.com/profiling-runs:results{query}"

    @pytest.mark.parametrize("field", ["ui_url", "project_code"])
    @pytest.mark.covers("testgen.parameter.project-code")
    def test_need_both_settings(self, field: str, testgen_at: TestGenMaker) -> None:
        resource = testgen_at("testgen", **{field: None})
        assert suite_run().run_url(resource, "j1") is None
        assert group_run().run_url(resource, "j1") is None

    @pytest.mark.covers("testgen.rule.pages-test-results-profiling-results")
    def test_can_be_opened(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        import requests

        run_id = suite_run().start(testgen, attempt())
        url = suite_run().run_url(testgen, run_id)
        assert url is not None
        page = requests.get(url, timeout=5)
        assert run_id in page.text
