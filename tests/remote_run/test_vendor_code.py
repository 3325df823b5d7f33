"""Mistakes in a vendor's code: refused when the class is defined, or survived with one start and a clear message."""

from collections.abc import Callable
from typing import Any, ClassVar

import dagster as dg
import pytest
import requests

from dagster_runs import StartOutcomeUnknown, build_remote_run_asset
from dagster_runs.remote_run.data_checks import data_checks_of
from dagster_runs.remote_run.vendor_code import VendorCodeError
from dagster_runs.transport.errors import UnexpectedResponseError
from dagster_runs.vendor_sdk import (
    Auth,
    CheckOutcome,
    DataCheck,
    HeaderAuth,
    RemoteRun,
    RemoteRunResource,
    RunResult,
    RunState,
    RunStatus,
    StartAttempt,
)

ATTEMPT = StartAttempt("correlation-id", 1_790_000_000.0, "dagster-run")


class AcmeResource(RemoteRunResource):
    """A connection to a server that does not exist; the runs below make no calls."""

    vendor = "Acme"

    def api_url(self) -> str:
        return "http://127.0.0.1:9"

    def auth(self) -> Auth:
        return HeaderAuth({}, secrets=())


class Job(RemoteRun[AcmeResource]):
    """A run that succeeds at once."""

    vendor, label, resource_key = "Acme", "job", "acme"

    job_id: int = 7

    @property
    def target(self) -> str:
        return str(self.job_id)

    def start(self, resource: AcmeResource, attempt: StartAttempt) -> str:
        return "r1"

    def fetch_status(self, resource: AcmeResource, run_id: str) -> RunStatus:
        return RunStatus(RunState.SUCCEEDED, "done")


def define(**attributes: Any) -> type[Job]:
    """Defines a kind of run with these attributes, as a `class` statement does."""
    defined: type[Job] = type(Job)("MyJob", (Job,), {"__module__": __name__, "__qualname__": "MyJob", **attributes})
    return defined


async def fetch_later(self: Any, resource: Any, run_id: str) -> RunStatus:
    raise NotImplementedError


def start_lazily(self: Any, resource: Any, attempt: StartAttempt) -> Any:
    yield "r1"


REFUSED = {
    "a property set as an attribute": ({"target": "x"}, r"target is 'x', but it is a property of a RemoteRun"),
    "a property that is always true": ({"start_is_idempotent": True}, r"`@property def start_is_idempotent\(self\)"),
    "a property without its decorator": ({"target": lambda self: "x"}, "Put @property above its definition"),
    "a method set as an attribute": ({"run_url": "https://x"}, "run_url is 'https://x', but it is a method"),
    "a field that hides a property": ({"__annotations__": {"target": str}}, "The field target would hide a part"),
    "checks as a property": ({"data_checks": property(lambda self: {})}, r"Define declared_checks\(\) if the checks"),
    "an asynchronous method": ({"fetch_status": fetch_later}, r"fetch_status\(\) is asynchronous or a generator"),
    "a generator": ({"start": start_lazily}, r"start\(\) is asynchronous or a generator"),
    "other arguments": ({"cancel": lambda self, run_id: None}, r"They are \(self, resource, run_id\)"),
    "an earlier flag": ({"can_cancel": True}, r"Delete it: a run can be canceled if its class defines cancel\(\)"),
    "an earlier set": ({"checks_on_failure": frozenset({"a"})}, r"Use DataCheck\(description, on_failure=True\)"),
    "no label": ({"label": ""}, "It has no label. Set it as text"),
    "a check with a space": ({"data_checks": {"has rows": "?"}}, "data_checks has 'has rows'"),
    "a check that every run has": ({"data_checks": {"run_status": "?"}}, "is not run_status, which every run has"),
    "an unknown field": (
        {"sensitive_fields": frozenset({"token"})},
        "sensitive_fields names token; its fields are job_id",
    ),
    "a forgotten target_of_listed": (
        {"status_of_listed": lambda self, resource, listed: None},
        r"It has status_of_listed\(\), but no target_of_listed\(\)",
    ),
}


@pytest.mark.parametrize(("attributes", "message"), REFUSED.values(), ids=REFUSED)
def test_mistake_is_refused_when_the_class_is_defined(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message) as raised:
        define(**attributes)
    assert str(raised.value).startswith("MyJob is not a valid kind of run. ")


def test_abstract_base_of_several_kinds_of_runs_needs_no_label() -> None:
    class Base(RemoteRun[AcmeResource]):
        vendor = "Acme"

    assert Base.vendor == "Acme"


def test_capabilities_follow_from_the_methods() -> None:
    assert not Job.can_cancel()
    assert define(cancel=lambda self, resource, run_id: None).can_cancel()
    assert Job().observation_problem() is not None
    assert define(target_of_listed=lambda self, resource, listed: "7")().observation_problem() is None


class Steps(Job):
    """A run whose checks are its steps."""

    steps: tuple[str, ...] = ()

    def declared_checks(self) -> dict[str, str | DataCheck]:
        return {step: DataCheck(f"Whether {step} succeeded.", on_failure=True) for step in self.steps}


def test_checks_can_depend_on_the_fields_of_a_run() -> None:
    asset = build_remote_run_asset(Steps(steps=("build", "test")), key="models")
    assert {spec.name for spec in asset.check_specs} == {"run_status", "build", "test"}
    assert data_checks_of(Job) == {}


def test_function_that_returns_a_run_with_such_checks_is_refused() -> None:
    def choose(context: dg.AssetExecutionContext) -> Steps:
        return Steps()

    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"pass `Steps\(...\)`, not a function or the class"):
        build_remote_run_asset(choose, key="models")


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
}


@pytest.mark.parametrize("method", CALLS)
def test_bug_in_a_method_names_the_method_and_the_line(method: str) -> None:
    run = define(**{method: raising(KeyError("id"))})()
    with pytest.raises(
        VendorCodeError, match=rf"MyJob\.{method}\(\) raised KeyError: 'id' \(test_vendor_code.py, line"
    ) as raised:
        CALLS[method](run)
    assert raised.value.may_have_been_accepted == (method == "start")
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("method", CALLS)
def test_outage_of_a_call_without_the_client_is_no_bug(method: str) -> None:
    run = define(**{method: raising(requests.ConnectionError("refused"))})()
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
