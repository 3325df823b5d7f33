"""Mistakes in a kind of run are refused when its class is defined, and valid variants are accepted."""

import functools
from typing import Any, ClassVar

import dagster as dg
import pytest
from pydantic import computed_field

from dagster_runs import build_remote_run_asset
from dagster_runs.remote_run.data_checks import data_checks_of
from dagster_runs.vendor_sdk import DataCheck, RemoteRun, RunStatus, StartAttempt
from tests.remote_run.acme_jobs import AcmeResource, Job, define, define_from


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
    "no label": ({"label": ""}, "It has no label. Set it to a string"),
    "a check with a space": ({"data_checks": {"has rows": "?"}}, "data_checks has 'has rows'"),
    "a check that every run has": ({"data_checks": {"run_status": "?"}}, "is not run_status, which every run has"),
    "an unknown field": (
        {"sensitive_fields": frozenset({"token"})},
        "sensitive_fields names token; its fields are job_id",
    ),
    "a check without a text": ({"data_checks": {"rows": 5}}, r"data_checks\['rows'\] is 5. It must be a description"),
    "checks that are a list": ({"data_checks": ["rows"]}, "data_checks is a list. It must map the name of each check"),
    "an unknown threshold": (
        {"gate_fields": frozenset({"minimum"})},
        "gate_fields names minimum; the thresholds of a QualityGate are max_failures, max_warnings, min_score, warn",
    ),
    "a set without its comma": (
        {"gate_fields": ("min_score")},
        r'gate_fields is a string. Use a set: gate_fields = frozenset\(\{"min_score"\}\)',
    ),
    "a set of numbers": ({"sensitive_fields": {7}}, r"sensitive_fields is \{7\}. It must be a set of strings"),
    "a timeout with its unit": ({"default_timeout": "1h"}, "default_timeout is '1h'. It must be a positive number"),
    "a timeout of zero": ({"default_timeout": 0}, "default_timeout is 0. It must be a positive number"),
    "an endless timeout": ({"default_timeout": float("inf")}, "default_timeout is inf"),
    "a window of one field": (
        {"partition_window_fields": ("job_id",)},
        r"partition_window_fields is \('job_id',\). It must be the names of two fields",
    ),
    "a window of an unknown field": (
        {"partition_window_fields": ("job_id", "end")},
        "partition_window_fields names end; its fields are job_id",
    ),
    "a hint that is no text": ({"manual_stop_hint": 5}, "manual_stop_hint is 5. It must be a string"),
    "a class attribute that became a field": (
        {"__annotations__": {"data_checks": dict}, "data_checks": {}},
        "data_checks is annotated as a field of the run. It is an attribute of the class: annotate it with ClassVar",
    ),
    "a method in place of a method of the class": (
        {"can_cancel": lambda self: True},
        r"can_cancel\(\) is a method of the class. Put @classmethod above its definition",
    ),
    "a method of the class with other arguments": (
        {"from_payload": classmethod(lambda cls: None)},
        r"from_payload\(\) has other arguments. They are \(cls, fields\)",
    ),
    "a static method with other arguments": (
        {"run_url": staticmethod(lambda run_id: None)},
        r"run_url\(\) has other arguments. They are \(self, resource, run_id\)",
    ),
    "an asynchronous method of the class": (
        {"from_payload": classmethod(fetch_later)},
        r"from_payload\(\) is asynchronous or a generator",
    ),
    "an argument that is keyword-only": (
        {"with_overrides": lambda self, changes: self},
        r"with_overrides\(\) has other arguments. They are \(self, changes, \*, by\)",
    ),
    "a method of the package": ({"send_start": lambda self, resource, attempt: "r1"}, "belongs to RemoteRun"),
    "another method of the package": ({"get_status": lambda self, resource, run_id: {}}, "Give your method another"),
    "a list in place of a set": ({"sensitive_fields": ["job_id"]}, r"is \['job_id'\]. It must be a set of strings"),
    "a blank label": ({"label": " "}, "It has no label"),
    "a label that became a field": (
        {"__annotations__": {"label": str}, "label": "job"},
        "label is annotated as a field of the run",
    ),
    "a forgotten target_of_listed": (
        {"status_of_listed": lambda self, resource, listed: None},
        r"It has status_of_listed\(\), but no target_of_listed\(\)",
    ),
}


@pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute")
@pytest.mark.parametrize(("attributes", "message"), REFUSED.values(), ids=REFUSED)
def test_mistake_is_refused_when_the_class_is_defined(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message) as raised:
        define(**attributes)
    assert str(raised.value).startswith("MyJob is not a valid kind of run. ")
    assert ".." not in str(raised.value).replace("(...)", "")


class WithoutAProperty:
    """A part that an author shares between several kinds of runs."""

    target = "x"


class Asynchronous:
    async def fetch_status(self, resource: Any, run_id: str) -> RunStatus:
        raise NotImplementedError


class WithAnotherTimeout:
    default_timeout = "1h"


@pytest.mark.parametrize(
    ("mixin", "message"),
    [
        (WithoutAProperty, "target is 'x', but it is a property of a RemoteRun"),
        (Asynchronous, r"fetch_status\(\) is asynchronous"),
        (WithAnotherTimeout, "default_timeout is '1h'"),
    ],
)
def test_mistake_in_a_mixin_is_refused(mixin: type, message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        define_from((mixin, Job))


def test_base_class_of_a_vendor_may_have_the_name_of_ours() -> None:
    base = type(Job)("RemoteRun", (Job,), {"__module__": __name__, "__qualname__": "RemoteRun"})
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="target is 'x', but it is a property"):
        define_from((base,), target="x")


def _run_url(self: Any, resource: Any, run_id: str, page: str = "") -> str:
    return f"https://acme.example/{page}{run_id}"


def _sync(function: Any) -> Any:
    @functools.wraps(function)
    def run_it(*arguments: Any) -> Any:
        raise NotImplementedError

    return run_it


ACCEPTED: dict[str, dict[str, Any]] = {
    "a plain function around an asynchronous one": {"fetch_status": _sync(fetch_later)},
    "an annotation without a value": {"__annotations__": {"default_timeout": ClassVar[float]}},
    "a computed field": {"target": computed_field(return_type=str)(property(lambda self: str(self.job_id)))},
    "a method of the class": {"can_cancel": classmethod(lambda cls: True)},
    "another method of the class": {"recognizes_listed_runs": classmethod(lambda cls: False)},
    "a keyword-only argument": {"with_overrides": lambda self, changes, *, by: self},
    "an argument with a default": {"run_url": _run_url},
    "any arguments": {"run_url": lambda self, *arguments: None},
    "a cached method": {"run_url": functools.lru_cache(_run_url)},
    "a partial method": {"run_url": functools.partialmethod(_run_url, page="runs/")},
    "a static method": {"run_url": staticmethod(lambda resource, run_id: None)},
    "a cached property": {"cancel_caveat": functools.cached_property(lambda self: "Rows that were written stay.")},
    "a class variable with an annotation": {
        "__annotations__": {"data_checks": ClassVar[dict[str, str]]},
        "data_checks": {"rows": "Whether there are rows."},
    },
    "an own attribute": {"__annotations__": {"pages": ClassVar[tuple[str, ...]]}, "pages": ("a",)},
}


@pytest.mark.parametrize("attributes", ACCEPTED.values(), ids=ACCEPTED)
def test_valid_variant_is_accepted(attributes: dict[str, Any]) -> None:
    run = define(**attributes)()
    assert run.page_url(AcmeResource(), "r1") in (None, "https://acme.example/r1", "https://acme.example/runs/r1")
    assert run.with_overrides({"job_id": 8}, by="The launch").target in ("7", "8")


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


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"run_status": "?"}, r"BadSteps.declared_checks\(\) has 'run_status'. The name of a check"),
        ({"has rows": "?"}, "has 'has rows'"),
        ({"rows": None}, r"BadSteps.declared_checks\(\)\['rows'\] is None. It must be a description"),
        (["rows"], r"BadSteps.declared_checks\(\) is a list. It must map the name of each check"),
        (None, "is a NoneType"),
    ],
)
def test_declared_checks_are_validated_like_data_checks(declared: Any, message: str) -> None:
    class BadSteps(Job):
        def declared_checks(self) -> Any:
            return declared

    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_remote_run_asset(BadSteps(), key="models")


def test_function_that_returns_a_run_with_such_checks_is_refused() -> None:
    def choose(context: dg.AssetExecutionContext) -> Steps:
        return Steps()

    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"pass `Steps\(...\)`, not a function or the class"):
        build_remote_run_asset(choose, key="models")
