"""Mistakes in a vendor's code are survived with one start and a clear message without secrets."""

import logging
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, ClassVar

import dagster as dg
import pytest
import requests
from pydantic import BaseModel

from dagster_runs import StartOutcomeUnknown, build_remote_run_asset
from dagster_runs.remote_run.vendor_code import VendorCodeError, checked_list
from dagster_runs.transport.clock import use_clock
from dagster_runs.transport.errors import UnexpectedResponseError
from dagster_runs.vendor_sdk import (
    UNREADABLE_ID,
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
from tests.transport.conftest import InstantClock

LISTED = ListedRun("r1", None, RunState.RUNNING, None)
KEY = "acme-k3y-5f1c"


@pytest.mark.parametrize("returned", [None, "", True, 1.5, b"r1", "r\n1"])
def test_start_that_returns_no_id_may_have_started_a_run(returned: Any) -> None:
    run = define(start=lambda self, resource, attempt: returned)()
    with pytest.raises(VendorCodeError, match="it must return the run id that the vendor returned") as raised:
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
        ("target_of_listed", 7, "returned 7; it must return a string or None"),
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
        (lambda: RunStatus(RunState.FAILED, None), "vendor_status of a RunStatus is None"),
        (lambda: RunStatus(RunState.FAILED, "x", {"message": "?"}), "error of a RunStatus is"),
        (lambda: RunStatus(RunState.FAILED, "x", started_at="2026-01-01"), "started_at of a RunStatus is '2026-01-01'"),
        (lambda: RunStatus(RunState.FAILED, "x", is_retryable="no"), "is_retryable of a RunStatus is 'no'"),
        (lambda: StartCandidate("r1", is_ours="no"), "is_ours of a StartCandidate is 'no'"),
        (lambda: StartCandidate(" ", is_ours=True), "must be ambiguous, and not ours"),
        (lambda: StartCandidate(UNREADABLE_ID, is_ours=True), "must be ambiguous, and not ours"),
        (lambda: ListedRun("r1", datetime(2026, 1, 1), RunState.FAILED, None), "must be epoch seconds by our clock"),
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


def test_time_without_a_zone_is_utc() -> None:
    status = RunStatus(RunState.FAILED, "x", finished_at=datetime(2026, 1, 1))
    assert status.finished_at == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_checks_may_be_a_generator() -> None:
    assert RunResult({}, (CheckOutcome(name, passed=True) for name in "ab")).checks[1].name == "b"  # type: ignore[arg-type]


def test_number_is_a_valid_id_everywhere() -> None:
    assert StartCandidate(7, is_ours=True).run_id == "7"  # type: ignore[arg-type]
    assert ListedRun(7, None, RunState.RUNNING, None).run_id == "7"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "broken"),
    [("list_runs", ValueError("?")), ("list_runs", "r1"), ("list_finished", ValueError("?")), ("list_finished", None)],
)
def test_mistake_in_a_list_names_the_method(method: str, broken: Any) -> None:
    def listed(self: Any, since: float, until: float | None = None, targets: Any = ()) -> Any:
        yield LISTED
        if isinstance(broken, Exception):
            raise broken
        yield broken

    resource = type("Listing", (AcmeResource,), {method: listed, "__module__": __name__})()
    found = checked_list(resource, method, 0.0, None, ())
    assert found is not None
    assert next(found) is LISTED
    with pytest.raises(VendorCodeError, match=rf"Listing\.{method}\(\) (raised ValueError: \?|returned)"):
        next(found)
    assert checked_list(AcmeResource(), method, 0.0, None, ()) is None


class StrangeError(VendorError):
    """An error of the vendor's own, which does not call the constructor of its base."""

    def __init__(self) -> None:
        self.secret = KEY

    def __str__(self) -> str:
        return f"the key is {self.secret}"


class SecretResource(AcmeResource):
    """A connection with a key that the vendor's own code may show."""

    secret_fields = ("key",)
    key: str


@pytest.mark.parametrize(
    "error",
    [
        KeyError(f"https://acme.example?key={KEY}"),
        requests.ConnectionError(f"GET /runs?key={KEY} failed"),
        VendorError(f"could not send {KEY}", vendor="Acme", hint=f"Replace {KEY}."),
        VendorError("refused", vendor="Acme", code=17, request_id=KEY),  # type: ignore[arg-type]
        StrangeError(),
        dg.Failure(f"could not send {KEY}"),
    ],
)
@pytest.mark.parametrize("method", CALLS)
def test_secret_in_an_error_of_the_vendors_code_is_hidden(method: str, error: Exception) -> None:
    def fail(self: Any, *arguments: Any) -> Any:
        try:
            raise ValueError(f"the key is {KEY}")
        except ValueError as cause:
            if hasattr(error, "add_note"):
                error.add_note(f"the key is {KEY}")
            raise error from cause

    run, resource = define(**{**OTHERS, method: fail})(), SecretResource(key=KEY)
    with pytest.raises((VendorError, dg.Failure)) as raised:
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
    assert KEY not in shown + repr(raised.value) + str(vars(raised.value))
    assert "[redacted]" in shown or isinstance(error, StrangeError)


def test_part_of_a_secret_in_an_error_of_pydantic_is_hidden() -> None:
    class Strict(BaseModel):
        number: int

    run = define(fetch_status=lambda self, resource, run_id: Strict(number=KEY + "x" * 60))()  # type: ignore[arg-type]
    with pytest.raises(VendorCodeError, match="number: Input should be a valid integer") as raised:
        run.get_status(SecretResource(key=KEY), "r1")
    assert KEY[:8] not in str(raised.value)


def test_secret_in_a_returned_value_is_hidden() -> None:
    resource, failed = SecretResource(key=KEY), RunStatus(RunState.FAILED, "x", f"bad key {KEY}")
    metadata = {"acme/a": KEY, "acme/b": dg.MetadataValue.text(KEY), "acme/c": dg.MetadataValue.url(f"https://x/{KEY}")}
    run = define(
        data_checks={"rows": "?"},
        fetch_status=lambda self, resource, run_id: failed,
        fetch_result=lambda self, *arguments: RunResult(metadata, [CheckOutcome("rows", passed=True, description=KEY)]),
        fetch_progress=lambda self, *arguments: metadata,
        run_url=lambda self, resource, run_id: f"https://acme.example?key={KEY}",
    )()
    shown = [
        run.get_status(resource, "r1"),
        run.get_result(resource, "r1", failed, None),
        run.get_progress(resource, "r1", failed),
        run.page_url(resource, "r1"),
    ]
    assert KEY not in str(shown)
    assert str(shown).count("[redacted]") >= 8


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"secret_fields": ("key")}, r'secret_fields is a string. Use a tuple: secret_fields = \("key",\)'),
        ({"secret_fields": ("keyy",)}, "secret_fields names keyy; its fields are "),
        ({"secret_fields": 5}, "secret_fields is 5. It must be a tuple of strings"),
        ({"vendor": ""}, "It has no vendor. Set it to the vendor's display name"),
    ],
)
def test_mistake_in_a_resource_class_is_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        type(AcmeResource)("Bad", (AcmeResource,), {"__module__": __name__, "__qualname__": "Bad", **attributes})


def test_bug_in_auth_is_an_error_without_secrets() -> None:
    class Broken(SecretResource):
        def auth(self) -> Any:
            raise ValueError(f"bad key {self.secret('key')}")

    with pytest.raises(VendorCodeError, match=r"Broken.auth\(\) raised ValueError: bad key \[redacted\]"):
        Broken(key=KEY).http()


def test_secret_in_an_error_of_the_link_is_hidden(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dagster_runs")
    run = define(run_url=raising(KeyError(KEY)))()
    assert run.page_url(SecretResource(key=KEY), "r1") is None
    assert "Run r1 has no link" in caplog.text
    assert KEY not in caplog.text


def test_link_that_is_no_text_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dagster_runs")
    assert define(run_url=lambda self, resource, run_id: 5)().page_url(AcmeResource(), "r1") is None
    assert "run_url() returned 5; it must return a string or None" in caplog.text


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
    with use_clock(InstantClock()):
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
