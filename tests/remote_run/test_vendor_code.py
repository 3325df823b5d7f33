"""Mistakes in a vendor's code are survived with one start and a clear message without secrets."""

import logging
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import dagster as dg
import pytest
import requests

from dagster_runs import StartOutcomeUnknown, build_remote_run_asset
from dagster_runs.remote_run.vendor_code import VendorCodeError
from dagster_runs.transport.errors import UnexpectedResponseError
from dagster_runs.vendor_sdk import (
    CheckOutcome,
    DataCheck,
    ListedRun,
    RunResult,
    RunState,
    RunStatus,
    StartAttempt,
    StartCandidate,
    VendorError,
)
from tests.remote_run.acme_jobs import ATTEMPT, AcmeResource, Job, define

LISTED = ListedRun("r1", None, RunState.RUNNING, None)


@pytest.mark.parametrize("returned", [None, "", True, 1.5, b"r1", "r\n1"])
def test_start_that_returns_no_id_may_have_started_a_run(returned: Any) -> None:
    run = define(start=lambda self, resource, attempt: returned)()
    with pytest.raises(VendorCodeError, match="it must return the vendor's id of the run") as raised:
        run.send_start(AcmeResource(), ATTEMPT)
    assert raised.value.may_have_been_accepted


def test_number_is_a_valid_id() -> None:
    run = define(start=lambda self, resource, attempt: 70_471_823_123)()
    assert run.send_start(AcmeResource(), ATTEMPT) == "70471823123"


def raising(error: Exception) -> Callable[..., Any]:
    """Returns the method of a vendor that raises an error."""

    def method(self: Any, *arguments: Any) -> Any:
        raise error

    return method


CALLS: dict[str, Callable[[Job], Any]] = {
    "start": lambda run: run.send_start(AcmeResource(), ATTEMPT),
    "fetch_status": lambda run: run.get_status(AcmeResource(), "r1"),
    "fetch_result": lambda run: run.get_result(AcmeResource(), "r1", RunStatus(RunState.FAILED, "x"), None),
    "fetch_progress": lambda run: run.get_progress(AcmeResource(), "r1", RunStatus(RunState.RUNNING, "x")),
    "status_of_listed": lambda run: run.get_status_of_listed(AcmeResource(), LISTED),
    "target_of_listed": lambda run: run.get_target_of_listed(AcmeResource(), LISTED),
    "find_started": lambda run: run.get_started(AcmeResource(), ATTEMPT),
}
OTHERS: dict[str, Callable[..., Any]] = {"target_of_listed": lambda self, resource, listed: "7"}


@pytest.mark.parametrize("method", CALLS)
def test_bug_in_a_method_names_the_method_and_the_line(method: str) -> None:
    run = define(**{**OTHERS, method: raising(KeyError("id"))})()
    with pytest.raises(
        VendorCodeError, match=rf"MyJob\.{method}\(\) raised KeyError: 'id' \(test_vendor_code.py, line"
    ) as raised:
        CALLS[method](run)
    assert raised.value.may_have_been_accepted == (method == "start")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("method", "returned", "message"),
    [
        ("fetch_status", None, "returned None; it must return a RunStatus"),
        ("fetch_status", "done", "returned 'done'; it must return a RunStatus"),
        ("fetch_result", None, "returned None; it must return a RunResult"),
        ("fetch_progress", ["rows"], "returned list; it must return a mapping of metadata"),
        ("fetch_progress", {7: "rows"}, "returned dict; it must return a mapping of metadata"),
        ("status_of_listed", RunState.FAILED, "it must return a RunStatus"),
        ("target_of_listed", 7, "returned 7; it must return text or None"),
        ("find_started", ["r1"], "returned list; it must return a list of StartCandidate, or None"),
        ("find_started", "r1", "it must return a list of StartCandidate, or None"),
    ],
)
def test_wrong_return_value_names_the_method(method: str, returned: Any, message: str) -> None:
    run = define(**{**OTHERS, method: lambda self, *arguments: returned})()
    with pytest.raises(VendorCodeError, match=rf"MyJob\.{method}\(\) .*{message}"):
        CALLS[method](run)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RunStatus("done", "done"), "state of a RunStatus is 'done'; it must be a RunState"),
        (lambda: RunStatus(RunState.FAILED, None), "the status of a RunStatus is None"),
        (lambda: CheckOutcome("rows", passed="no"), "passed of the check 'rows' is 'no'; it must be True or False"),
        (lambda: CheckOutcome("rows", passed=False, severity="WARN"), "severity of the check 'rows' is 'WARN'"),
        (lambda: RunResult(None), "metadata of a RunResult is a NoneType"),
        (lambda: RunResult({}, [True]), "checks of a RunResult must be a list of CheckOutcome"),
        (lambda: RunResult({}, CheckOutcome("rows", passed=True)), "must be a list of CheckOutcome"),
        (lambda: StartCandidate(None, is_ours=True), "the id of a run is None; it must be text or a whole number"),
        (lambda: ListedRun(True, None, RunState.FAILED, None), "the id of a run is True"),
        (lambda: ListedRun("r1", None, "done", None), "the state of a ListedRun is 'done'"),
    ],
)
def test_wrong_value_is_refused_where_it_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_number_is_a_valid_id_everywhere() -> None:
    assert StartCandidate(7, is_ours=True).run_id == "7"  # type: ignore[arg-type]
    assert ListedRun(7, None, RunState.RUNNING, None).run_id == "7"  # type: ignore[arg-type]


class SecretResource(AcmeResource):
    """A connection with a key that the vendor's own code may show."""

    secret_fields = ("key",)
    key: str


KEY = "acme-k3y-5f1c"


@pytest.mark.parametrize(
    "error",
    [
        KeyError(f"https://acme.example?key={KEY}"),
        requests.ConnectionError(f"GET /runs?key={KEY} failed"),
        VendorError(f"could not send {KEY}", vendor="Acme", hint=f"Replace {KEY}."),
    ],
)
@pytest.mark.parametrize("method", CALLS)
def test_secret_in_an_error_of_the_vendors_code_is_hidden(method: str, error: Exception) -> None:
    def fail(self: Any, *arguments: Any) -> Any:
        try:
            raise ValueError(f"the key is {KEY}")
        except ValueError as cause:
            raise error from cause

    run, resource = define(**{**OTHERS, method: fail})(), SecretResource(key=KEY)
    with pytest.raises(VendorError) as raised:
        {
            "start": lambda: run.send_start(resource, ATTEMPT),
            "fetch_status": lambda: run.get_status(resource, "r1"),
            "fetch_result": lambda: run.get_result(resource, "r1", RunStatus(RunState.FAILED, "x"), None),
            "fetch_progress": lambda: run.get_progress(resource, "r1", RunStatus(RunState.RUNNING, "x")),
            "status_of_listed": lambda: run.get_status_of_listed(resource, LISTED),
            "target_of_listed": lambda: run.get_target_of_listed(resource, LISTED),
            "find_started": lambda: run.get_started(resource, ATTEMPT),
        }[method]()
    shown = "".join(traceback.format_exception(raised.value))
    assert KEY not in shown + repr(raised.value) + raised.value.hint
    assert "[redacted]" in shown


def test_secret_in_an_error_of_the_link_is_hidden(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dagster_runs")
    run = define(run_url=raising(KeyError(KEY)))()
    assert run.page_url(SecretResource(key=KEY), "r1") is None
    assert "Run r1 has no link" in caplog.text
    assert KEY not in caplog.text


def test_link_that_is_no_text_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dagster_runs")
    assert define(run_url=lambda self, resource, run_id: 5)().page_url(AcmeResource(), "r1") is None
    assert "run_url() returned 5; it must return text or None" in caplog.text


@pytest.mark.parametrize("method", CALLS)
def test_outage_of_a_call_without_the_client_is_no_bug(method: str) -> None:
    run = define(**{**OTHERS, method: raising(requests.ConnectionError("refused"))})()
    with pytest.raises(UnexpectedResponseError, match="raised ConnectionError: refused") as raised:
        CALLS[method](run)
    assert not raised.value.is_permanent
    assert raised.value.may_have_been_accepted == (method == "start")


class Checked(Job):
    """A run with two checks, of which a test chooses the outcomes."""

    data_checks: ClassVar[dict[str, str | DataCheck]] = {"one": "?", "two": DataCheck("?", on_failure=True)}
    outcomes: ClassVar[list[CheckOutcome]] = []

    def fetch_result(self, resource: AcmeResource, run_id: str, status: RunStatus, gate: Any) -> RunResult:
        return RunResult({}, self.outcomes)


@pytest.mark.parametrize(
    ("outcomes", "reported"),
    [
        ([], {"one": False, "two": False}),
        ([CheckOutcome("one", passed=True)], {"one": True, "two": False}),
        ([CheckOutcome("two", passed=True), CheckOutcome("one", passed=True)], {"one": True, "two": True}),
        ([CheckOutcome("one", passed=False), CheckOutcome("one", passed=True)], {"one": False, "two": False}),
        ([CheckOutcome("one", passed=True), CheckOutcome("one", passed=False)], {"one": False, "two": False}),
        ([CheckOutcome("three", passed=True)], {"one": False, "two": False}),
    ],
)
def test_each_declared_check_has_one_outcome(
    outcomes: list[CheckOutcome], reported: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checked, "outcomes", outcomes)
    result = Checked().get_result(AcmeResource(), "r1", RunStatus(RunState.SUCCEEDED, "done"), None)
    assert {one.name: one.passed for one in result.checks} == reported


def test_missing_outcome_of_a_failed_run_is_expected() -> None:
    assert Checked().get_result(AcmeResource(), "r1", RunStatus(RunState.FAILED, "x"), None).checks == ()


def test_bug_in_the_link_costs_only_the_link(instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(define(run_url=raising(KeyError("page")))(), key="one")
    assert dg.materialize([asset], resources={"acme": AcmeResource()}, instance=instance).success


def test_bug_in_the_search_leaves_the_start_uncertain(instance: dg.DagsterInstance) -> None:
    run = define(start=raising(TimeoutError()), find_started=raising(KeyError("runs")))()
    asset = build_remote_run_asset(run, key="one")
    result = dg.materialize([asset], resources={"acme": AcmeResource()}, instance=instance, raise_on_error=False)
    [failed] = result.get_step_failure_events()
    assert StartOutcomeUnknown.__name__ in str(failed.step_failure_data.error_display_string)
    assert "MyJob.find_started() raised KeyError: 'runs'" in str(failed.step_failure_data.error_display_string)


def test_bug_after_the_post_is_a_start_with_an_unknown_outcome(instance: dg.DagsterInstance) -> None:
    sent: list[str] = []

    def start(self: Any, resource: Any, attempt: StartAttempt) -> str:
        sent.append(attempt.correlation_id)
        raise KeyError("runId")

    asset = build_remote_run_asset(
        define(start=start)(), key="one", retry_policy=dg.RetryPolicy(max_retries=3), resource_key="acme"
    )
    result = dg.materialize([asset], resources={"acme": AcmeResource()}, instance=instance, raise_on_error=False)
    assert not result.success
    [failed] = result.get_step_failure_events()
    assert StartOutcomeUnknown.__name__ in str(failed.step_failure_data.error_display_string)
    assert "MyJob.start() raised KeyError: 'runId'" in str(failed.step_failure_data.error_display_string)
    assert len(sent) == 1
